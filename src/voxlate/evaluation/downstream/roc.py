"""Intervals of areas under the ROC curve over patients (DeLong, DeLong and Clarke-Pearson 1988), and of differences.

Every patient has one score and one class. The interval is computed on the logit of the AUC, so that it stays between 0
and 1. When the classes are separated perfectly the standard error is 0; the other end of the interval is then
0.025^(1/k), the exact bound of k disjoint pairs of a positive and a negative patient, k being the smaller class. It is
wider than needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from voxlate.errors import InputRefused
from voxlate.evaluation.statistics.auc import auc_influences
from voxlate.evaluation.statistics.samples import Values

LEAST_OF_A_CLASS = 2
"""DeLong's variance needs two patients of each class."""

_TAIL = 0.025  # of 95 % intervals


@dataclass(frozen=True)
class Area:
    """An area under the ROC curve.

    Attributes:
        auc: how often a positive patient has the higher score; ties count ½.
        low, high: ends of its 95 % interval.
        influences: (patients,), contribution of each patient to the deviation of the AUC.
    """

    auc: float
    low: float
    high: float
    influences: Values


@dataclass(frozen=True)
class AreaDifference:
    """Difference of two areas on the same patients: first − second.

    Attributes:
        difference: of the areas.
        low, high: ends of its 95 % interval; NaN when the standard error is 0.
        p: two-sided, of a difference of 0; NaN likewise, and 1 for equal scores.
    """

    difference: float
    low: float
    high: float
    p: float


def area(scores: ArrayLike, is_positive: ArrayLike) -> Area:
    """Returns the AUC with its interval.

    Args:
        scores: (patients,), higher for the positive class.
        is_positive: (patients,), the class.

    Raises:
        InputRefused: `LENGTHS`, `NON_FINITE`, or `TOO_FEW_PATIENTS` below two of a class.
    """
    values, positive = np.asarray(scores, dtype=np.float64), np.asarray(is_positive, dtype=bool)
    if values.ndim != 1 or values.shape != positive.shape:
        raise InputRefused("LENGTHS", f"{values.size} scores come with {positive.size} classes; give one for each")
    if not np.isfinite(values).all():
        raise InputRefused("NON_FINITE", f"{int((~np.isfinite(values)).sum())} scores are not finite")
    require_classes(positive)
    aucs, influences = auc_influences(
        np.where(positive, np.nan, values)[None], np.where(positive, values, np.nan)[None]
    )
    auc = float(aucs[0])
    error = _standard_error(influences[0], positive)
    return Area(auc, *_interval(auc, error, positive), influences[0])


def difference(first: Area, second: Area, is_positive: ArrayLike) -> AreaDifference:
    """Returns the difference of two areas that were measured on the same patients in the same order (DeLong 1988)."""
    positive = np.asarray(is_positive, dtype=bool)
    value = first.auc - second.auc
    error = _standard_error(first.influences - second.influences, positive)
    if error == 0:
        return AreaDifference(value, float("nan"), float("nan"), 1.0 if value == 0 else float("nan"))
    z = float(stats.norm.isf(_TAIL))
    p = float(2 * stats.norm.sf(abs(value) / error))
    return AreaDifference(value, max(value - z * error, -1.0), min(value + z * error, 1.0), p)


def require_classes(is_positive: NDArray[np.bool_], least: int = LEAST_OF_A_CLASS) -> None:
    """Raises `InputRefused` `TOO_FEW_PATIENTS` when a class has fewer than `least` patients."""
    positive = int(is_positive.sum())
    negative = is_positive.size - positive
    if min(positive, negative) < least:
        raise InputRefused(
            "TOO_FEW_PATIENTS",
            f"{positive} patients are positive and {negative} negative; each class needs at least {least}",
        )


def _standard_error(influences: Values, positive: NDArray[np.bool_]) -> float:
    """Returns DeLong's standard error: the influences hold 1 / n, his variances have n − 1 degrees of freedom."""
    variance = 0.0
    for own in (influences[positive], influences[~positive]):
        variance += float(np.square(own).sum()) * own.size / (own.size - 1)
    return float(np.sqrt(variance))


def _interval(auc: float, error: float, positive: NDArray[np.bool_]) -> tuple[float, float]:
    if auc in {0.0, 1.0}:
        pairs = int(min(positive.sum(), (~positive).sum()))
        bound = _TAIL ** (1 / pairs)
        return (bound, 1.0) if auc == 1.0 else (0.0, 1 - bound)
    if error == 0:  # all scores are equal, and the AUC is ½ by ties alone
        return 0.0, 1.0
    z = float(stats.norm.isf(_TAIL))
    logit, scaled = np.log(auc / (1 - auc)), error / (auc * (1 - auc))
    low, high = (float(1 / (1 + np.exp(-(logit + sign * z * scaled)))) for sign in (-1, 1))
    return low, high
