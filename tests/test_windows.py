from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from voxlate.errors import UsageError
from voxlate.windows import blend_weights, translate_windows, window_starts


@given(st.integers(1, 200), st.integers(1, 64), st.sampled_from([0.0, 0.25, 0.5, 0.9]))
def test_windows_cover_every_voxel_and_stay_inside(size, window, overlap):
    starts = window_starts(size, window, overlap)
    covered = {voxel for start in starts for voxel in range(start, start + window)}
    assert covered >= set(range(size))
    assert size <= window or max(covered) == size - 1
    assert len(starts) == len(set(starts))


@given(st.integers(65, 300), st.sampled_from([0.25, 0.5, 0.75]))
def test_neighbouring_windows_share_the_overlap(size, overlap):
    starts = window_starts(size, 64, overlap)
    steps = [after - before for before, after in pairwise(starts)]
    assert max(steps) <= 64 * (1 - overlap) + 1


@pytest.mark.parametrize("size", [(7, 9, 5), (16, 16, 16), (17, 30, 23)])
@pytest.mark.parametrize("window", [(8, 8, 8), (5, 16, 7), None])
def test_a_constant_goes_in_and_the_same_constant_comes_out(size, window):
    x = torch.full((1, 1, *size), 0.7)
    answer = translate_windows(lambda part: part, x, window=window)
    assert answer.shape == x.shape
    assert torch.allclose(answer, x, atol=1e-6, rtol=0)


def test_a_network_that_answers_voxel_by_voxel_gives_the_same_in_windows():
    x = torch.rand(1, 2, 19, 22, 17)
    answer = translate_windows(lambda part: 3 * part + 1, x, window=(8, 8, 8))
    assert torch.allclose(answer, 3 * x + 1, atol=1e-5)


def test_weights_are_symmetric_positive_and_largest_in_the_middle():
    weights = blend_weights((5, 6, 7))
    assert torch.allclose(weights, weights.flip(0, 1, 2))
    assert weights.min() > 0
    assert weights.max() == weights[2, 2, 3]


@pytest.mark.parametrize(("window", "overlap", "code"), [(8, 1.0, "OVERLAP"), (8, -0.1, "OVERLAP"), (0, 0.5, "WINDOW")])
def test_windows_that_cannot_be_are_refused(window, overlap, code):
    with pytest.raises(UsageError, match=code):
        window_starts(20, window, overlap)


@pytest.mark.parametrize(("size", "window", "overlap"), [(100, 32, 0.25), (47, 16, 0.5), (101, 10, 0.0)])
def test_windows_are_spread_evenly_to_the_nearest_voxel(size, window, overlap):
    starts = np.array(window_starts(size, window, overlap))
    exact = np.linspace(0, size - window, len(starts))
    assert np.abs(starts - exact).max() <= 0.5
