"""Distances are those of SciPy's distance transform, the median is NumPy's, a blur is a ratio of two filters."""

import numpy as np
import pytest
from scipy import ndimage

from voxlate.evaluation.baselines import Blur
from voxlate.evaluation.cases.intensity import median
from voxlate.evaluation.cases.regions import within

RANDOM = np.random.default_rng(3)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.6, 0.6, 0.6), (0.9, 0.45, 4.0), (3.0, 1.0, 0.7)])
@pytest.mark.parametrize("distance", [0.0, 1.0, 3.0, float(np.nextafter(3.0, 0)), 5.0])
@pytest.mark.parametrize("share", [0.0005, 0.3])
def test_voxels_within_a_distance_are_those_of_the_distance_transform(spacing, distance, share):
    mask = RANDOM.random((31, 24, 19)) < share
    mask[0, 0, 18] = True
    expected = ndimage.distance_transform_edt(~mask, sampling=spacing) <= distance
    assert (within(mask, distance, spacing) == expected).all()


def test_nothing_is_near_an_empty_mask_and_all_is_near_within_the_size_of_the_image():
    assert not within(np.zeros((4, 5, 6), dtype=bool), 3.0, (1.0, 1.0, 1.0)).any()
    corner = np.zeros((4, 5, 6), dtype=bool)
    corner[0, 0, 0] = True
    assert within(corner, 20.0, (1.0, 1.0, 1.0)).all()


@pytest.mark.parametrize("size", [1, 2, 3, 20_000, 20_001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_median_is_that_of_numpy(size, dtype):
    for values in (RANDOM.normal(size=size).astype(dtype), np.arange(size, dtype=dtype)):
        before = values.copy()
        assert median(values) == float(np.median(values))
        assert (values == before).all()


def test_the_median_of_an_even_number_of_values_needs_the_largest_of_the_lower_half():
    values = np.random.default_rng(117).normal(size=1000)
    assert np.partition(values, 500)[499] != np.sort(values)[499]  # the lower half of a partition is not sorted
    assert median(values) == float(np.median(values))


@pytest.mark.parametrize("sigma_mm", [0.1, 1.0, 12.0])
def test_a_blur_is_the_ratio_of_two_filters_in_double_precision(sigma_mm):
    mask = ndimage.gaussian_filter(RANDOM.normal(size=(30, 40, 35)), 4) > 0
    image = (5 + RANDOM.normal(size=mask.shape)).astype(np.float32)
    sigma = [sigma_mm / spacing for spacing in (1.0, 0.8, 2.0)]
    total, weight = (
        ndimage.gaussian_filter(array.astype(float), sigma, mode="constant")
        for array in (np.where(mask, image, 0), mask)
    )
    found = Blur(mask, sigma_mm, (1.0, 0.8, 2.0)).of(image)
    assert found[mask] == pytest.approx(total[mask] / weight[mask], rel=2e-6)
    assert (found[~mask] == 0).all()
