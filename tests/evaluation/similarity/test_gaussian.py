"""The filter by matrix products is SciPy's filter, whatever the shape, the radius, the edge and the type."""

import numpy as np
import pytest
from scipy import ndimage

from voxlate.evaluation.similarity.gaussian import gaussian_mean

SHAPES = [(47, 33, 70), (5, 90, 8), (64, 1, 3), (40, 37), (100,)]
SCIPY = {"reflect": "reflect", "zero": "constant"}


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("beyond", SCIPY)
@pytest.mark.parametrize("sigma", [0.1, 0.7, 1.5, 9.0])
def test_it_equals_scipy_also_where_the_window_is_wider_than_the_image(shape, beyond, sigma):
    image = noise(shape)
    expected = ndimage.gaussian_filter(image, sigma, mode=SCIPY[beyond])
    assert gaussian_mean(image, sigma, beyond=beyond) == pytest.approx(expected, abs=1e-13)


def test_radius_axes_and_a_sigma_for_each_axis_are_those_of_scipy():
    image = noise((40, 35, 50))
    for options in ({"radius": 5}, {"axes": (0, 2)}, {"axes": (1,), "radius": 3}):
        expected = ndimage.gaussian_filter(image, 1.5, **options)
        assert gaussian_mean(image, 1.5, **options) == pytest.approx(expected, abs=1e-13)
    assert gaussian_mean(image, (0.5, 2, 4)) == pytest.approx(ndimage.gaussian_filter(image, (0.5, 2, 4)), abs=1e-13)


def test_single_precision_stays_within_a_millionth_of_the_largest_value():
    image = noise((50, 60, 55)).astype(np.float32)
    exact = ndimage.gaussian_filter(image.astype(np.float64), 2.0)
    found = gaussian_mean(image, 2.0)
    assert found.dtype == np.float32
    assert np.abs(found - exact).max() < 1e-6 * np.abs(image).max()


def test_views_of_an_image_are_filtered_as_copies_of_them():
    image = noise((30, 41, 37))
    for view in (image[::-1, 3:, ::2], image.T, np.asfortranarray(image)):
        assert gaussian_mean(view, 1.2) == pytest.approx(gaussian_mean(view.copy(order="C"), 1.2), abs=1e-15)


def test_a_constant_image_stays_constant_to_its_mirrored_edge():
    assert gaussian_mean(np.full((20, 9, 33), 3.0), 2.5) == pytest.approx(3.0, abs=1e-13)
