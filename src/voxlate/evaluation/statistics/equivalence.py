"""Is a difference smaller than a margin that matters?

A p value above 0.05 of an ordinary test does not show that two methods are equivalent; these tests against a margin do.
The margin must be fixed before the data are seen, in the unit of the values. Suggested: tissue volume ± 2 % of the
reference (between-scanner variation is 0.65 to 5 %), lesion sensitivity −5 points, Dice −0.02, reader quality
−0.25 of 5 points.

Samples are vectors of shape (patients,) in the same order and unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from voxlate.errors import UsageError
from voxlate.evaluation.statistics.samples import differences, standard_deviation


@dataclass(frozen=True)
class MarginResult:
    """Result of a test against a margin.

    Attributes:
        mean_difference: mean of first − second.
        low: lower end of the interval that is compared with the margin; −inf when only the upper end counts.
        high: upper end of the interval; +inf when only the lower end counts.
        p: probability of such data if the difference were at the margin; NaN when the difference is the same in every
            patient, because the standard error is then 0.
        is_shown: whether p is below alpha.
    """

    mean_difference: float
    low: float
    high: float
    p: float
    is_shown: bool


def tost(first: ArrayLike, second: ArrayLike, *, margin: float, alpha: float = 0.05) -> MarginResult:
    """Tests equivalence by two one-sided paired t-tests (TOST, Schuirmann 1987): |difference| below the margin.

    The interval has coverage 1 − 2 alpha; equivalence is shown exactly when it lies within ± margin.

    Args:
        first: (patients,), values of the first method.
        second: (patients,), values of the second method.
        margin: largest difference that does not matter, above 0.
        alpha: significance level.

    Raises:
        InputRefused: as `differences`.
        UsageError: `MARGIN` when the margin is not above 0.
    """
    _require_margin(margin)
    mean, error, freedom = _moments(first, second)
    p = float(np.max([_upper_tail(mean + margin, error, freedom), _upper_tail(margin - mean, error, freedom)]))
    half = float(stats.t.ppf(1 - alpha, freedom)) * error
    return MarginResult(mean, mean - half, mean + half, p, p < alpha)


def non_inferiority(
    first: ArrayLike,
    second: ArrayLike,
    *,
    margin: float,
    better: Literal["higher", "lower"],
    alpha: float = 0.05,
) -> MarginResult:
    """Tests non-inferiority by a one-sided paired t-test: the first is worse by less than the margin.

    Args:
        first: (patients,), values of the method under test.
        second: (patients,), values of the reference.
        margin: largest loss that does not matter, above 0.
        better: direction of better values.
        alpha: significance level.

    Raises:
        InputRefused: as `differences`.
        UsageError: `MARGIN` when the margin is not above 0.
    """
    _require_margin(margin)
    mean, error, freedom = _moments(first, second)
    half = float(stats.t.ppf(1 - alpha, freedom)) * error
    if better == "higher":
        p = _upper_tail(mean + margin, error, freedom)
        return MarginResult(mean, mean - half, float("inf"), p, p < alpha)
    p = _upper_tail(margin - mean, error, freedom)
    return MarginResult(mean, float("-inf"), mean + half, p, p < alpha)


def _require_margin(margin: float) -> None:
    if not (np.isfinite(margin) and margin > 0):
        raise UsageError("MARGIN", f"the margin is {margin}; it must be a positive number in the unit of the values")


def _moments(first: ArrayLike, second: ArrayLike) -> tuple[float, float, int]:
    """Returns mean and standard error of the differences, and the degrees of freedom."""
    d = differences(first, second)
    return float(d.mean()), float(standard_deviation(d) / np.sqrt(d.size)), d.size - 1


def _upper_tail(distance: float, error: float, freedom: int) -> float:
    """Returns the probability of a t value above distance / error; NaN without a standard error."""
    if error == 0:
        return float("nan")
    return float(stats.t.sf(distance / error, freedom))
