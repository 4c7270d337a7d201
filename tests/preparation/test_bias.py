from functools import cache

import numpy as np
import pytest
from phantoms import ball, head

from preparation.heads import simulated
from voxlate.errors import InputRefused
from voxlate.preparation import PreparationSettings, fit_preparation, preprocessing
from voxlate.preparation.steps import bias
from voxlate.preparation.steps.bias import Bias, CoarseBias, fit_bias
from voxlate.preparation.steps.grid import coarser
from voxlate.volume import Grid, Volume


def shaded(strength: float):
    """Returns a simulated brain under a smooth field, that field, and the brain."""
    subject = simulated()
    image, mask = subject.images["T1w"], subject.truth.brain_mask.data > 0.5
    x, y, z = (np.linspace(-1, 1, n) for n in image.data.shape)
    field = np.exp(strength * (x[:, None, None] + 0.5 * y[None, :, None] ** 2 - 0.7 * z[None, None, :]))
    return image.with_data(image.data * field), field, mask


@cache
def fitted(strength: float) -> Bias:
    """Returns the field that is fitted to `shaded(strength)`; a fit takes seconds."""
    image, _, mask = shaded(strength)
    return fit_bias(image, mask)


def test_a_field_that_was_put_on_is_found():
    _, field, mask = shaded(0.4)
    found = np.log(fitted(0.4).values / fitted(0.0).values)[mask]
    truth = np.log(field[mask])
    assert np.corrcoef(found, truth)[0, 1] > 0.98
    assert np.std(found - (truth - truth.mean())) < 0.25 * truth.std()


def test_taking_the_field_out_and_putting_it_back_changes_nothing():
    image, _, mask = shaded(0.4)
    field = fitted(0.4)
    assert np.allclose(field.invert(field.apply(image)).data, image.data, rtol=1e-5)
    assert field.values.min() > 0
    assert np.log(field.values[mask]).mean() == pytest.approx(0, abs=0.02)


@pytest.mark.slow
def test_a_field_goes_on_to_the_edge_of_a_scan_that_ends_after_its_voxels():
    grid = Grid((154, 4, 4), np.eye(4))  # 38 voxels of 4 mm are 152 mm
    coarse = coarser(grid, 4.0)
    slope = np.linspace(-0.3, 0.3, coarse.shape[0], dtype=np.float32)[:, None, None]
    logarithm = Volume(np.broadcast_to(slope, coarse.shape).copy(), coarse.affine, "T1w")
    values = CoarseBias(logarithm, 0.0).on(grid).values[:, 2, 2]
    assert np.abs(np.diff(values)).max() < 0.01
    assert (values[0], values[-1]) == (pytest.approx(np.exp(-0.3), rel=1e-3), pytest.approx(np.exp(0.3), rel=1e-3))


def test_the_gain_of_the_scanner_is_no_bias():
    image, _, mask = shaded(0.4)
    louder = fit_bias(image.with_data(image.data * 50), mask)
    assert np.allclose(louder.values, fitted(0.4).values, rtol=0.02)


def test_an_image_without_signal_has_no_field():
    image, _, mask = shaded(0.2)
    with pytest.raises(InputRefused, match="EMPTY_MASK"):
        fit_bias(image.with_data(np.zeros(image.data.shape)), mask)


def test_the_field_does_not_depend_on_the_number_of_threads(monkeypatch):
    image, _, mask = shaded(0.4)
    process = pytest.importorskip("SimpleITK").ProcessObject
    monkeypatch.setattr(bias, "_ITERATIONS", (2, 2, 2))
    before, found = process.GetGlobalDefaultNumberOfThreads(), []
    try:
        for count in (1, 2, 3):
            process.SetGlobalDefaultNumberOfThreads(count)
            found.append(fit_bias(image, mask).values.tobytes())
    finally:
        process.SetGlobalDefaultNumberOfThreads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("region", ["brain", "all"])
def test_a_bias_field_is_fitted_in_the_brain_or_in_the_whole_image(region, monkeypatch):
    scan, masks = head(3), []
    brain = ball(scan.data.shape, 5)
    field = Bias(np.ones(scan.data.shape, np.float32))
    monkeypatch.setattr(preprocessing, "fit_bias", lambda volume, mask, **_: masks.append(mask) or field)
    settings = PreparationSettings(bias=True, bias_region=region)
    preparation = fit_preparation(scan, scan.with_data(brain.astype(np.float32)), settings)
    preparation.apply_to_target(scan)
    whole = scan.data > 0
    assert (whole & ~brain).any()
    assert len(masks) == 2
    assert all(np.array_equal(mask, whole if region == "all" else whole & brain) for mask in masks)
