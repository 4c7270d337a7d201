"""The risk-coverage curve that the benchmarks draw."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from risk_coverage import coverage_curve


def test_risk_and_coverage_of_a_few_scans_by_hand():
    curve = coverage_curve(np.array([0.5, 0.1, 0.9, 0.7]), np.array([True, False, True, False]))
    assert curve.thresholds == [0.1, 0.5, 0.7, 0.9]
    assert curve.coverage == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert curve.area == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert curve.least_area == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)


def test_scans_with_the_same_score_are_accepted_together():
    for wrong in ([True, False, False], [False, True, False], [False, False, True]):
        curve = coverage_curve(np.array([0.4, 0.4, 0.4]), np.array(wrong))
        assert (curve.coverage, curve.risk) == ([1.0], [pytest.approx(1 / 3)])
        assert curve.area == pytest.approx(1 / 3)
