from contextlib import nullcontext

import nibabel as nib
import numpy as np
import pytest
from phantoms import ball, head

from voxlate.errors import InputRefused
from voxlate.preparation import PreparationSettings, fit_preparation
from voxlate.preparation.masks.skull_stripped import nonzero_mask
from voxlate.preparation.preprocessing import EVERY_KEY
from voxlate.preparation.register_pair import PairSettings, prepare_pair
from voxlate.preparation.steps.crop import Crop
from voxlate.preparation.steps.orientation import ToRas
from voxlate.reference_level import reference_level
from voxlate.volume import Volume

SETTINGS = PreparationSettings()
CODES = ["RAS", "LAS", "LPS", "PIR", "SLA", "ASR"]


def stored_as(codes: str) -> Volume:
    """Returns one and the same head with its voxels stored in another order."""
    image = nib.Nifti1Image(head(3).data, np.diag([1.0, 1.1, 0.9, 1.0]))
    back = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(image.affine), nib.orientations.axcodes2ornt(codes)
    )
    turned = image.as_reoriented(back)
    return Volume(turned.get_fdata(), turned.affine)


@pytest.mark.parametrize("codes", CODES)
def test_going_to_ras_and_back_changes_nothing(codes):
    stored = stored_as(codes)
    step = ToRas(stored.grid)
    there = step.apply(stored)
    assert there.grid.orientation == "RAS"
    assert there.grid.matches(step.grid)
    back = step.invert(there)
    assert np.array_equal(back.data, stored.data)
    assert np.array_equal(back.affine, stored.affine)


@pytest.mark.parametrize("codes", CODES)
def test_going_to_ras_is_what_nibabel_does(codes, oblique):
    for stored in (stored_as(codes), oblique):
        expected = nib.as_closest_canonical(nib.Nifti1Image(np.array(stored.data), stored.affine))
        there = ToRas(stored.grid).apply(stored)
        assert np.array_equal(there.data, expected.get_fdata(dtype=np.float32))
        assert np.allclose(there.affine, expected.affine)


@pytest.mark.parametrize("codes", CODES)
def test_a_scan_is_prepared_the_same_however_it_is_stored(codes):
    reference, stored = stored_as("RAS"), stored_as(codes)
    expected = fit_preparation(reference, None, SETTINGS).apply(reference)
    prepared = fit_preparation(stored, None, SETTINGS).apply(stored)
    assert np.array_equal(prepared.data, expected.data)
    assert np.allclose(prepared.affine, expected.affine)


def test_a_crop_keeps_each_voxel_at_its_place(oblique):
    mask = ball(oblique.data.shape, 5)
    crop = Crop.around(mask, oblique.grid, margin_mm=2)
    part = crop.apply(oblique)
    index = np.array([1, 2, 3, 1.0])
    whole_index = index + np.array([*crop.start, 0])
    assert np.allclose(part.affine @ index, oblique.affine @ whole_index)
    assert part.data[1, 2, 3] == oblique.data[tuple(whole_index[:3].astype(int))]


def test_the_margin_is_in_millimetres_and_stops_at_the_border():
    mask = np.zeros((10, 20, 30), dtype=bool)
    mask[5, 10, 15] = True
    crop = Crop.around(mask, Volume(np.zeros(mask.shape), np.diag([1.0, 2.0, 4.0, 1.0])).grid, margin_mm=8)
    assert (crop.start, crop.stop) == ((0, 6, 13), (10, 15, 18))


@pytest.mark.parametrize("is_ct", [False, True])
def test_networks_see_grey_levels_if_the_recipe_says_so(oblique, is_ct):
    low, high = map(float, np.percentile(oblique.data, [10, 90]))
    range_hu = (low, high) if is_ct else None
    settings = PreparationSettings(brain_mask="all", reference="min_max", range_hu=range_hu, grey_levels=16)
    preparation = fit_preparation(oblique, None, settings)
    target, scale = preparation.apply_to_target(oblique)
    for seen in (preparation.apply(oblique), target, preparation.apply_to_more(oblique)):
        levels = seen.data * np.float32(15)
        assert np.abs(levels - np.rint(levels)).max() < 1e-4
        assert 8 < len(np.unique(np.rint(levels))) <= 16
    back = preparation.invert(target.data, oblique, level=scale.scale, offset=scale.offset / scale.scale)
    assert np.abs(back.data - oblique.data).max() <= 0.5001 * scale.scale / 15


def test_grey_levels_need_a_scale_from_0_to_1():
    for wrong in ({"reference": "percentile"}, {"reference": "min_max", "target_reference": "z_score"}):
        with pytest.raises(ValueError, match=r"grey_levels.*reference: min_max"):
            PreparationSettings(grey_levels=256, **wrong)


def test_a_key_that_was_added_is_written_only_if_it_is_used():
    assert "grey_levels" not in PreparationSettings().model_dump(mode="json")
    assert PreparationSettings().model_dump(context=EVERY_KEY)["grey_levels"] is None
    assert PreparationSettings(reference="min_max", grey_levels=9).model_dump()["grey_levels"] == 9


def test_preparing_and_going_back_returns_the_brain_and_zero_elsewhere(oblique):
    preparation = fit_preparation(oblique, None, SETTINGS)
    prepared = preparation.apply(oblique)
    back = preparation.invert(prepared.data, oblique, level=preparation.level)
    assert np.allclose(back.data, oblique.data, rtol=1e-6)
    assert back.grid.matches(oblique.grid, tolerance_mm=0)
    assert back.stored_dtype == "int16"


def test_a_mask_decides_what_is_seen(scan):
    inner = ball(scan.data.shape, 4)
    preparation = fit_preparation(scan, scan.with_data(inner), SETTINGS)
    prepared = preparation.apply(scan)
    assert (prepared.data != 0).sum() == inner.sum()
    assert np.median(prepared.data[preparation.mask]) == pytest.approx(1)


def test_the_gain_of_the_scanner_does_not_matter(scan):
    louder = scan.with_data(scan.data * 7.5)
    quiet, loud = (fit_preparation(volume, None, SETTINGS).apply(volume).data for volume in (scan, louder))
    assert np.allclose(quiet, loud, rtol=1e-5)


def test_a_bright_vessel_does_not_move_the_reference_level(scan):
    mask = scan.data > 0
    brighter = np.where(scan.data > np.percentile(scan.data[mask], 97), 1e5, scan.data)
    assert reference_level(brighter, mask) == reference_level(scan.data, mask)


def test_the_target_is_scaled_by_its_own_level_on_the_source_s_grid(scan):
    target = scan.with_data(scan.data * 3)
    prepared, scale = fit_preparation(scan, None, SETTINGS).apply_to_target(target)
    assert scale.scale == pytest.approx(3 * reference_level(scan.data, scan.data > 0))
    assert np.allclose(prepared.data, fit_preparation(scan, None, SETTINGS).apply(scan).data, rtol=1e-5)


def test_holes_belong_to_the_brain_and_islands_do_not():
    data = ball((20, 20, 20), 7).astype(np.float32)
    expected = data > 0
    data[9:11, 9:11, 9:11] = 0
    data[0, 0, 0] = 5
    assert np.array_equal(nonzero_mask(data), expected)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (np.zeros((9, 9, 9)), "EMPTY_MASK"),
        (np.ones((9, 9, 9)), "CONSTANT"),
        (ball((9, 9, 9), 3) * 5.0, "CONSTANT"),
        (np.where(ball((9, 9, 9), 3), -np.arange(729.0).reshape(9, 9, 9) - 1, 0), "REFERENCE_LEVEL"),
    ],
)
def test_scans_that_cannot_be_prepared_are_refused(data, code):
    with pytest.raises(InputRefused, match=code):
        fit_preparation(Volume(data, np.eye(4)), None, SETTINGS)


@pytest.mark.parametrize(("voxels", "code"), [(0, "EMPTY_MASK"), (99, "MASK_TINY .*the mask has 99 voxels"), (100, "")])
def test_training_and_preparation_of_a_pair_refuse_a_given_mask_as_translation_does(scan, voxels, code):
    mask = np.zeros(scan.data.shape)
    mask.ravel()[np.flatnonzero(scan.data)[:voxels]] = 1
    refused = pytest.raises(InputRefused, match=f"{code}.*leave it out") if code else nullcontext()
    with refused:
        fit_preparation(scan, scan.with_data(mask), SETTINGS)
    refused = pytest.raises(InputRefused, match=f"{code}.*leave it out" if code else "MASK_IMPLAUSIBLE")
    with refused:  # a pair also needs a mask of the size of a brain
        prepare_pair(scan, scan, PairSettings(), mask=mask > 0)


def test_an_empty_mask_and_a_mask_on_another_grid_are_refused(scan):
    with pytest.raises(InputRefused, match="EMPTY_MASK"):
        fit_preparation(scan, scan.with_data(np.zeros(scan.data.shape)), SETTINGS)
    elsewhere = Volume(scan.data, np.diag([2.0, 1, 1, 1]))
    with pytest.raises(InputRefused, match="GRID_MISMATCH source and mask"):
        fit_preparation(scan, elsewhere, SETTINGS)
