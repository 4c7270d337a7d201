import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from preparation.heads import simulated
from voxlate.preparation import PreparationSettings, fit_preparation
from voxlate.preparation.registration.t1_linear import CROP, T1Linear
from voxlate.preparation.registration.templates import mni_template
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.steps.grid import resized
from voxlate.preparation.steps.resample import resample
from voxlate.reference_level import reference_level


def case(contrast: str = "T1ce"):
    subject = simulated("ct_to_mr" if contrast == "CT" else "t1ce_t1")
    return subject.images[contrast], subject.truth.brain_mask


def test_the_published_frame_has_the_published_sizes_and_its_own_header():
    frame = T1Linear(case()[0].grid, Transform.identity())
    assert frame.crop.shape == CROP
    assert frame.crop.spacing_mm == pytest.approx((1, 1, 1))
    assert frame.grid.shape == (128, 128, 128)
    assert frame.grid.spacing_mm == pytest.approx((169 / 128, 208 / 128, 179 / 128))
    extent = np.array(frame.grid.shape) * frame.grid.spacing_mm
    assert extent == pytest.approx(CROP)


def test_the_published_frame_keeps_the_whole_brain_of_the_template():
    template = mni_template()
    frame = T1Linear(template.volume.grid, Transform.identity())
    there = frame.apply(template.volume.with_data(template.mask))
    volume_mm3 = there.data.sum() * there.grid.voxel_volume_mm3
    assert volume_mm3 == pytest.approx(template.mask.sum(), rel=0.005)


@pytest.mark.slow
def test_a_head_goes_to_the_published_frame_and_comes_back_to_its_own_grid():
    source, mask = case()
    settings = PreparationSettings(frame="t1_linear", reference="min_max", bias=True, bias_control_mm=600)
    preparation = fit_preparation(source, mask, settings)
    prepared = preparation.apply(source)
    assert prepared.data.shape == (128, 128, 128)
    assert prepared.data.min() >= -1e-6
    assert prepared.data.max() <= 1 + 1e-6
    back = preparation.invert(prepared.data, source, level=preparation.level)
    assert back.grid.matches(source.grid)
    clean = preparation.bias.apply(source).data
    inside = mask.data > 0.5
    error = np.abs(back.data - clean)[inside].mean() / np.median(clean[inside])
    assert error < 0.13
    template = mni_template()
    overlap = preparation.mask & (
        T1Linear(template.volume.grid, Transform.identity()).apply(template.volume.with_data(template.mask)).data > 0.5
    )
    assert overlap.sum() / preparation.mask.sum() > 0.9


@pytest.mark.parametrize("reference", ["min_max", "percentile", "white_matter_peak", "z_score"])
def test_every_scale_comes_back_to_the_units_of_the_scan(reference):
    source, mask = case()
    preparation = fit_preparation(source, mask, PreparationSettings(reference=reference))
    offset = preparation.intensity.offset / preparation.level
    back = preparation.invert(preparation.apply(source).data, source, level=preparation.level, offset=offset)
    inside = mask.data > 0.5
    assert np.allclose(back.data[inside], source.data[inside], rtol=1e-4, atol=1e-2)
    assert not back.data[~inside].any()


def test_a_ct_keeps_its_window_while_its_target_has_a_scale_of_its_own():
    source, mask = case("CT")
    target = simulated("ct_to_mr").images["T1w"]
    preparation = fit_preparation(source, mask, PreparationSettings(range_hu=(-100, 300)))
    prepared = preparation.apply(source)
    assert prepared.data.min() >= 0
    assert prepared.data.max() <= 1
    seen, scale = preparation.apply_to_target(target)
    level = scale.scale
    inside = mask.data > 0.5
    assert level == pytest.approx(reference_level(target.data, inside & (target.data != 0)), rel=1e-5)
    back = preparation.invert(seen.data, source, level=level)
    assert np.allclose(back.data[inside], target.data[inside], rtol=1e-4, atol=0.1)


@pytest.mark.parametrize("target_reference", ["median_in_mask", "min_max", "percentile", "z_score"])
def test_a_target_comes_back_by_its_own_scale_whatever_that_of_the_source(target_reference):
    source, mask = case()
    target = simulated().images["T1w"]
    settings = PreparationSettings(reference="z_score", target_reference=target_reference)
    preparation = fit_preparation(source, mask, settings)
    seen, scale = preparation.apply_to_target(target)
    back = preparation.invert(seen.data, source, level=scale.scale, offset=scale.offset / scale.scale)
    inside = mask.data > 0.5
    assert np.allclose(back.data[inside], target.data[inside], rtol=1e-4, atol=0.05)


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValidationError, match="no width"):
        PreparationSettings(range_hu=(100, 100))
    with pytest.raises(ValidationError, match="is not a brain mask"):
        PreparationSettings(brain_mask="deepbet+guess")
    with pytest.raises(ValidationError, match="T1-weighted"):
        PreparationSettings(range_hu=(0, 100), frame="t1_linear")
    with pytest.raises(ValidationError, match="no bias field"):
        PreparationSettings(range_hu=(0, 100), bias=True)


def test_interpolating_there_and_back_stays_within_the_stated_error():
    source, mask = case()
    small = resized(source.grid, tuple(round(0.9 * n) for n in source.data.shape))
    inside = mask.data > 0.5
    for image, most in ((source.data, 0.11), (ndimage.gaussian_filter(source.data, 1.5), 0.015)):
        back = resample(resample(source.with_data(image), small), source.grid).data
        assert np.abs(back - image)[inside].mean() < most * np.median(image[inside])
