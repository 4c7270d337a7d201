import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from phantoms import ball

from voxlate.errors import InputRefused, UsageError
from voxlate.preparation.steps.intensity import (
    SCALES,
    LinearNormalisation,
    by_percentiles,
    by_range_hu,
    by_white_matter,
    by_z_score,
)

SHAPE = (16, 17, 18)
MASK = ball(SHAPE, 7)


def image(seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    tissue = np.where(random.random(SHAPE) < 0.45, random.normal(100, 5, SHAPE), random.normal(70, 7, SHAPE))
    return np.where(MASK, tissue, random.uniform(0, 20, SHAPE)).astype(np.float32)


@pytest.mark.parametrize("name", sorted(SCALES))
def test_every_scale_is_undone(name):
    data = image()
    scale = SCALES[name](data, MASK)
    assert np.allclose(scale.invert(scale.apply(data)), data, atol=1e-4)


@pytest.mark.parametrize("name", sorted(SCALES))
@given(gain=st.floats(0.01, 1000))
def test_the_gain_of_the_scanner_does_not_matter_on_any_scale(name, gain):
    data = image()
    louder = (data * np.float32(gain)).astype(np.float32)
    expected = SCALES[name](data, MASK).apply(data)
    assert np.allclose(SCALES[name](louder, MASK).apply(louder), expected, atol=0.02)


def test_scales_put_what_they_promise_where_they_promise_it():
    data = image()
    whole = SCALES["min_max"](data, MASK).apply(data)
    assert (whole.min(), whole.max()) == (0, 1)
    inside = by_percentiles(data, MASK).apply(data)[MASK]
    assert np.percentile(inside, [1, 99]) == pytest.approx([0, 1], abs=1e-5)
    z = by_z_score(data, MASK).apply(data)[MASK]
    assert (z.mean(), z.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))
    assert by_white_matter(data, MASK).scale == pytest.approx(100, rel=0.02)


@pytest.mark.parametrize("levels", [2, 3, 256])
@given(seed=st.integers(0, 9), scale=st.floats(0.01, 1000), offset=st.floats(-1000, 1000))
@example(seed=2, scale=0.01, offset=-512.4614029963541)  # float32 of the offset: some values fall outside 0 to 1
def test_grey_levels_come_back_exactly_and_other_values_within_half_a_level(levels, seed, scale, offset):
    plain, rounded = LinearNormalisation(scale, offset), LinearNormalisation(scale, offset, levels=levels)
    data = np.random.default_rng(seed).uniform(offset, offset + scale, 500)
    seen = rounded.apply(data)
    assert np.abs(seen * (levels - 1) - np.rint(seen * (levels - 1))).max() < 0.01
    assert np.abs(seen - np.clip(plain.apply(data), 0, 1)).max() <= 0.5 / (levels - 1) + 1e-6
    whole = np.arange(min(levels, 256), dtype=np.float64)  # of an image of 8 bits
    stored = LinearNormalisation(levels - 1, levels=levels)
    assert np.array_equal(stored.invert(stored.apply(whole)), whole)
    assert np.array_equal(stored.apply(stored.invert(stored.apply(whole))), stored.apply(whole))


def test_values_beyond_the_grey_levels_are_clipped():
    assert LinearNormalisation(10, levels=256).apply(np.float32([-5, 0, 10, 12])).tolist() == [0, 0, 1, 1]


def test_one_bright_vessel_moves_the_range_and_nothing_else():
    data = image()
    vessel = data.copy()
    vessel[8, 8, 8] = 5000
    for name in ("median_in_mask", "percentile", "white_matter_peak"):
        assert SCALES[name](vessel, MASK).scale == pytest.approx(SCALES[name](data, MASK).scale, rel=0.02)
    assert SCALES["min_max"](vessel, MASK).scale > 40 * SCALES["min_max"](data, MASK).scale


def test_a_window_of_hounsfield_units_cuts_off_what_lies_outside():
    scale = by_range_hu(-100, 300)
    found = scale.apply(np.array([-1000, -100, 100, 300, 3000], dtype=np.float32))
    assert found.tolist() == [0, 0, 0.5, 1, 1]
    assert scale.invert(found).tolist() == [-100, -100, 100, 300, 300]
    with pytest.raises(UsageError, match="RANGE_HU"):
        by_range_hu(100, 100)


@pytest.mark.parametrize("name", sorted(SCALES))
def test_a_constant_image_has_no_scale(name):
    with pytest.raises(InputRefused, match="CONSTANT"):
        SCALES[name](np.full(SHAPE, 5, np.float32), MASK)


@pytest.mark.parametrize("name", ["percentile", "white_matter_peak", "z_score"])
def test_an_empty_mask_has_no_scale(name):
    with pytest.raises(InputRefused, match="EMPTY_MASK"):
        SCALES[name](image(), np.zeros(SHAPE, bool))
