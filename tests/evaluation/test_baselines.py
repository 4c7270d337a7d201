"""Baselines do what they are named for, and linear fits are those of least squares."""

import json

import numpy as np
import pytest
from small_study import anatomy

from voxlate.errors import InputRefused
from voxlate.evaluation.baselines import (
    BASELINES_FILE,
    PROBABILITIES,
    HistogramMatch,
    blur,
    blurred_like,
    histogram_match_to_json,
    read_histogram_match,
)
from voxlate.evaluation.cases.intensity import fitted, linear_fit, range_of, robustly_fitted
from voxlate.evaluation.similarity import psnr

TARGET, MASK, LESION = anatomy(3)
UNIT = (1.0, 1.0, 1.0)


def match_of(source, target):
    """Returns the histogram match of one training case."""
    return HistogramMatch(*(np.quantile(image[MASK], PROBABILITIES) for image in (source, target)), n_cases=1)


def test_a_histogram_match_undoes_any_rising_change_of_intensity():
    source = (0.3 + TARGET**3).astype(np.float32)
    match = match_of(source, TARGET)
    assert match.apply(source)[MASK] == pytest.approx(TARGET[MASK], abs=5e-3)


def test_values_beyond_the_training_range_go_on_along_the_last_step():
    match = match_of(TARGET, 2 * TARGET)
    beyond = np.array([[[-5.0, 20.0]]], dtype=np.float32)
    assert match.apply(beyond).ravel() == pytest.approx([-10.0, 40.0], rel=0.1)


def test_knots_survive_the_file(tmp_path):
    match = match_of((0.3 + TARGET**3).astype(np.float32), TARGET)
    (tmp_path / BASELINES_FILE).write_text(json.dumps(histogram_match_to_json(match)))
    again = read_histogram_match(tmp_path)
    assert (again.apply(TARGET) == match.apply(TARGET)).all()
    assert read_histogram_match(tmp_path / "nowhere") is None


@pytest.mark.parametrize("error", [0.02, 0.06])
def test_the_blurred_target_reaches_the_psnr_of_the_synthetic_image(error):
    synthetic = TARGET + np.random.default_rng(0).normal(0, error, TARGET.shape).astype(np.float32)
    blurred = blurred_like(TARGET, synthetic, MASK, spacing_mm=UNIT)
    wanted, reached = (psnr(image, TARGET, data_range=1.0, mask=MASK) for image in (synthetic, blurred.image))
    assert reached == pytest.approx(wanted, abs=0.2)
    assert blurred.gap_db == pytest.approx(reached - wanted, abs=1e-3)
    assert 0.1 < blurred.sigma_mm < 16


def test_a_blur_that_cannot_reach_the_psnr_is_not_called_matched():
    blurred = blurred_like(TARGET, TARGET + np.float32(5), MASK, spacing_mm=UNIT)
    assert blurred.sigma_mm == pytest.approx(16, rel=0.02)
    assert blurred.gap_db > 3
    assert not blurred.is_matched


def test_the_constant_is_the_median_of_the_training_targets():
    match = match_of(TARGET, 2 * TARGET)
    assert np.unique(match.constant(TARGET)) == pytest.approx(2 * np.median(TARGET[MASK]))


def test_blur_of_a_constant_is_that_constant_up_to_the_edge_of_the_mask():
    assert blur(np.full_like(TARGET, 3.0), MASK, 2.0, UNIT)[MASK] == pytest.approx(3.0, rel=1e-5)
    assert (blur(TARGET, MASK, 2.0, UNIT)[~MASK] == 0).all()


def test_the_linear_fit_is_that_of_least_squares():
    image = 0.5 * TARGET + 3 + np.random.default_rng(0).normal(0, 0.1, TARGET.shape).astype(np.float32)
    expected = np.polyfit(image[MASK], TARGET[MASK], 1)
    assert linear_fit(image, TARGET, MASK) == pytest.approx(expected, rel=1e-3)


def test_the_fit_of_a_constant_is_the_mean_of_the_target():
    assert fitted(np.full_like(TARGET, 7.0), TARGET, MASK)[MASK] == pytest.approx(TARGET[MASK].mean(), rel=1e-5)


def test_a_robust_fit_is_not_pulled_by_a_lesion():
    image = (TARGET * np.where(LESION, 3.0, 1.0)).astype(np.float32)
    off = np.abs(fitted(image, TARGET, MASK) - TARGET)[MASK & ~LESION].max()
    robust = np.abs(robustly_fitted(image, TARGET, MASK) - TARGET)[MASK & ~LESION].max()
    assert robust < 0.01 < off


def test_the_range_is_the_percentile_of_the_target_in_the_mask():
    assert range_of(TARGET, MASK) == pytest.approx(np.percentile(TARGET[MASK], 99.5))
    with pytest.raises(InputRefused, match="CONSTANT"):
        range_of(np.ones_like(TARGET), MASK)
    with pytest.raises(InputRefused, match="DATA_RANGE"):
        range_of(-TARGET - 1, MASK)
