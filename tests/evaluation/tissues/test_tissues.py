"""Segmentations of heads made here, volumes by the published formula, overlaps in closed form."""

import numpy as np
import pytest
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.evaluation.tissues import (
    BRIGHT,
    SEGMENTERS,
    TISSUES,
    dice,
    hd95,
    measure_tissues,
    undefined_overlaps,
    volume_agreement,
    volume_difference,
    with_differences,
)

SHAPE = (56, 60, 52)
SPACING = (2.0, 2.0, 2.0)
UNIT = (1.0, 1.0, 1.0)


def head(seed=0, *, noise=0.04, field=0.0, enhancement=0.0, means=(0.35, 0.75, 1.0)):
    """Returns an image of nested tissues with partial volume, its mask, and the tissue of each voxel."""
    random = np.random.default_rng(seed)
    index = np.indices(SHAPE) - (np.array(SHAPE)[:, None, None, None] - 1) / 2
    radius = np.sqrt((np.square(index) / np.square([25, 27, 23])[:, None, None, None]).sum(axis=0))
    wobble = radius + 0.6 * ndimage.gaussian_filter(random.normal(size=SHAPE), 3)
    tissue = np.select([wobble < 0.12, wobble < 0.72, wobble < 0.92, radius < 1], [1, 3, 2, 1], 0)
    mask = radius < 1
    clean = np.select([tissue == k for k in (1, 2, 3)], means, 0.0)
    clean = ndimage.gaussian_filter(clean, 0.6)
    vessels = (np.abs(ndimage.gaussian_filter(random.normal(size=SHAPE), 1.5)) > 0.17) & mask
    clean = clean + enhancement * vessels
    bias = np.exp(field * index[0] / 25)
    image = np.where(mask, clean * bias + random.normal(0, noise, SHAPE), 0).astype(np.float32)
    return image, mask, np.where(vessels & (enhancement > 0), BRIGHT, tissue)


def scores(name, **options):
    image, mask, tissue = head(**options)
    labels = SEGMENTERS[name](image, mask, spacing_mm=SPACING)
    return labels, mask, {key: dice(labels == number, (tissue == number) & mask) for key, number in TISSUES.items()}


@pytest.mark.parametrize("name", SEGMENTERS)
def test_tissues_of_a_plain_head_are_found(name):
    labels, mask, found = scores(name)
    assert (labels[~mask] == 0).all()
    assert (labels[mask] > 0).all()
    assert found["WM"] > 0.95
    assert found["GM"] > 0.85
    assert found["CSF"] > 0.80


@pytest.mark.parametrize("name", SEGMENTERS)
def test_vessels_are_not_labelled_as_white_matter(name):
    """The known failure of three classes on a contrast-enhanced scan: the brightest class is vessels alone."""
    labels, _, found = scores(name, enhancement=1.2)
    assert found["WM"] > 0.90
    assert (labels == BRIGHT).sum() > 300


@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_gain_changes_no_label(name):
    image, mask, _ = head()
    plain = SEGMENTERS[name](image, mask, spacing_mm=SPACING)
    scaled = SEGMENTERS[name](37 * image, mask, spacing_mm=SPACING)
    assert (plain != scaled)[mask].mean() < 1e-3


def test_the_mixture_corrects_a_smooth_bias_field():
    found = scores("mixture", field=0.25)[2]
    assert found["WM"] > 0.93
    assert found["GM"] > 0.80


def test_the_neighbours_outvote_noise():
    image, mask, tissue = head(noise=0.10)
    by_threshold = dice((image > 0.875) & mask, (tissue == TISSUES["WM"]) & mask)
    assert scores("mixture", noise=0.10)[2]["WM"] > by_threshold + 0.02


@pytest.mark.parametrize("name", SEGMENTERS)
def test_too_small_and_constant_brains_are_refused(name):
    image, mask, _ = head()
    with pytest.raises(InputRefused, match="CONSTANT"):
        SEGMENTERS[name](np.ones_like(image), mask, spacing_mm=SPACING)
    with pytest.raises(InputRefused, match="TOO_SMALL"):
        SEGMENTERS[name](image, mask & (np.arange(SHAPE[2]) == 4), spacing_mm=SPACING)


def test_zeros_at_the_edge_of_a_mask_are_no_tissue():
    target, mask, _ = head(0, means=(0.35, 0.75, 1.0))
    edge = mask & ~ndimage.binary_erosion(mask)
    zeros = edge & (np.indices(mask.shape).sum(axis=0) % 4 == 0)
    assert 0.01 < zeros.sum() / mask.sum() < 0.08
    image = np.where(zeros, 0, target)
    found = measure_tissues({"synthetic": image}, target, mask, spacing_mm=SPACING)
    assert found.left_out == []
    for row in found.rows:
        if row["method"] == "synthetic":
            # What is lost is the zeros themselves, not the tissues' places in the histogram.
            assert abs(row["volume_cm3"] - row["target_cm3"]) <= zeros.sum() * np.prod(SPACING) / 1000
            assert row["dice"] > 0.93


def test_an_image_with_a_hole_in_the_mask_is_not_segmented_and_the_others_are():
    target, mask, _ = head(0, means=(0.35, 0.75, 1.0))
    holed = np.where(np.arange(SHAPE[0])[:, None, None] < SHAPE[0] // 2, 0, target)
    found = measure_tissues({"synthetic": holed, "source": target}, target, mask, spacing_mm=SPACING)
    assert {entry.method for entry in found.left_out} == {"synthetic"}
    assert "% of the mask is 0" in found.left_out[0].reason
    assert {row["method"] for row in found.rows} == {"source", "target_again"}


def test_volume_difference_is_negative_when_the_image_overestimates():
    # Bottani 2024: (V_I − V_J) / TIV_I x mean TIV
    assert volume_difference(600, 630, tiv_cm3=1500, mean_tiv_cm3=1400) == pytest.approx(-30 / 1500 * 1400)


def measured(case, patient, image, target, mask):
    records = measure_tissues({"synthetic": image}, target, mask, spacing_mm=SPACING).rows
    return [{"case": case, "patient": patient, **record} for record in records]


@pytest.fixture(scope="module")
def study():
    records = []
    for seed, case in enumerate("abc"):
        target, mask, _ = head(seed, means=(0.35, 0.75, 1.0))
        made = ndimage.gaussian_filter(target, 0.8) * mask
        records += measured(case, case, made, target, mask)
    return records


def test_every_image_is_measured_by_every_segmenter_in_every_tissue(study):
    places = {(r["segmenter"], r["method"], r["tissue"]) for r in study}
    assert len(places) == len(SEGMENTERS) * 2 * len(TISSUES)


def test_the_floor_of_noise_is_nearer_to_the_target_than_a_blurred_image(study):
    for segmenter in SEGMENTERS:
        mean = {
            method: np.mean([r["dice"] for r in study if (r["segmenter"], r["method"]) == (segmenter, method)])
            for method in ("target_again", "synthetic")
        }
        assert mean["target_again"] > mean["synthetic"]


def test_differences_use_the_mean_tiv_of_all_targets(study):
    rows = [r for r in with_differences(study) if r["segmenter"] == "mixture"]
    tiv = {r["case"]: r["tiv_cm3"] for r in rows}
    assert all(r["mean_tiv_cm3"] == pytest.approx(np.mean(list(tiv.values()))) for r in rows)
    row = rows[0]
    expected = (row["target_cm3"] - row["volume_cm3"]) / row["tiv_cm3"] * row["mean_tiv_cm3"]
    assert row["vd_cm3"] == pytest.approx(expected)
    assert row["avd_cm3"] == abs(row["vd_cm3"])


def test_agreement_is_computed_over_patients_and_not_below_three(study):
    (row,) = [
        r
        for r in volume_agreement(study)
        if (r["segmenter"], r["method"], r["tissue"]) == ("mixture", "target_again", "WM")
    ]
    assert row["n"] == 3
    assert row["concordance"] <= 1
    assert row["bland_altman"]["bias"] == pytest.approx(0, abs=5)
    few = list(volume_agreement([r for r in study if r["case"] != "c"]))
    assert all("not computed below 3" in row["note"] for row in few)


def test_the_agreement_of_a_tissue_that_no_target_has_is_a_note(study):
    rows = [{**row, "target_cm3": 0.0} for row in study if row["tissue"] == "CSF"]
    notes = [row["note"] for row in volume_agreement(rows)]
    assert set(notes) == {"no target has this tissue (CSF)"}


def test_an_overlap_without_the_tissue_is_named_with_its_reason(study):
    row = next(iter(study))
    volumes = [(1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.0, 0.0)]
    rows = [{**row, "tissue": "CSF", "volume_cm3": image, "target_cm3": target} for image, target in volumes]
    assert [(metric, reason) for _, metric, reason in undefined_overlaps(rows)] == [
        ("hd95", "tissue absent in the image (CSF)"),
        ("hd95", "tissue absent in the target (CSF)"),
        ("hd95", "tissue absent in both the image and the target (CSF)"),
        ("dice", "tissue absent in both the image and the target (CSF)"),
    ]


def cube(start, stop):
    mask = np.zeros((20, 20, 20), dtype=bool)
    mask[start:stop, 5:15, 5:15] = True
    return mask


def test_dice_of_half_overlapping_cubes_is_one_half():
    assert dice(cube(0, 10), cube(5, 15)) == 0.5
    assert dice(cube(0, 10), cube(0, 10)) == 1.0
    assert np.isnan(dice(cube(0, 0), cube(0, 0)))


def test_hd95_of_a_shifted_plane_is_the_shift_in_millimetres():
    first, second = cube(5, 6), cube(8, 9)
    assert hd95(first, second, spacing_mm=(1.5, 1.0, 1.0)) == pytest.approx(4.5)
    assert hd95(first, first, spacing_mm=UNIT) == 0
    assert np.isnan(hd95(first, cube(0, 0), spacing_mm=UNIT))


def test_hd95_is_the_larger_directed_distance_and_ignores_five_percent_of_the_surface():
    body = cube(2, 18)
    stray = body.copy()
    stray[0, 0, 0] = True
    assert hd95(body, stray, spacing_mm=UNIT) == 0
    far = body.copy()
    far[18:20] = body[17:18]
    assert hd95(body, far, spacing_mm=UNIT) == hd95(far, body, spacing_mm=UNIT) == 2
