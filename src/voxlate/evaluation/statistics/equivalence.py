"""Is a difference small enough not to matter? A p value above 0.05 never shows that; these tests do.

The margin is fixed before the data are seen, in the unit of the values. Suggested: tissue volume ± 2 % of the
reference (between-scanner variation is 0.65 to 5 %), lesion sensitivity −5 points, Dice −0.02, reader quality
−0.25 of 5 points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from voxlate.errors import UsageError
from voxlate.evaluation.statistics.samples import differences


@dataclass(frozen=True)
class MarginResult:
    """What a test against a margin found.

    Attributes:
        mean_difference: first − second.
        low: lower end of the interval that the test reads; −inf when only the upper end matters.
        high: its upper end.
        p: probability of such data if the difference were at the margin; NaN where the difference is the same in
            every patient, of which nothing can be inferred.
        is_shown: whether p is below alpha.
    """

    mean_difference: float
    low: float
    high: float
    p: float
    is_shown: bool


def tost(first: ArrayLike, second: ArrayLike, *, margin: float, alpha: float = 0.05) -> MarginResult:
    """Returns two one-sided paired t-tests (Schuirmann 1987): is |difference| below the margin?

    The interval is the 1 − 2 alpha one; equivalence is shown just when it lies within ± margin.

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
    """Returns a one-sided paired t-test: is the first no worse than the second by more than the margin?

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
        raise UsageError("MARGIN", f"the margin is {margin}, and must be a positive number in the values' unit")


def _moments(first: ArrayLike, second: ArrayLike) -> tuple[float, float, int]:
    d = differences(first, second)
    return float(d.mean()), float(d.std(ddof=1) / np.sqrt(d.size)), d.size - 1


def _upper_tail(distance: float, error: float, freedom: int) -> float:
    if error == 0:
        return float("nan")
    return float(stats.t.sf(distance / error, freedom))
