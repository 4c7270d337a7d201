"""Agreement beyond chance on categories and grades."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from voxlate.readers.analysis.records import Values


@dataclass(frozen=True)
class Kappa:
    """An agreement.

    Attributes:
        form: of the statistic.
        value: 1 for perfect agreement, 0 for chance; NaN when all answers are one category.
        observed: share of agreeing answers (weighted as the form says).
        prevalence_adjusted: 2 observed − 1 (Byrt 1993), for two categories; NaN otherwise.
        n: cases.
    """

    form: str
    value: float
    observed: float
    prevalence_adjusted: float
    n: int


def fleiss_kappa(ratings: ArrayLike) -> Kappa:
    """Returns Fleiss' kappa (1971) of (readers, cases) categories; cases not read by all are left out."""
    table = np.asarray(ratings, dtype=np.float64)
    table = table[:, np.isfinite(table).all(axis=0)]
    categories = np.unique(table)
    readers, n = table.shape
    if n == 0 or readers < 2:
        return Kappa("Fleiss", float("nan"), float("nan"), float("nan"), n)
    counts = (table[..., None] == categories).sum(axis=0)
    observed = float(((counts**2).sum(axis=1) - readers).mean() / (readers * (readers - 1)))
    expected = float(((counts.sum(axis=0) / (n * readers)) ** 2).sum())
    adjusted = 2 * observed - 1 if categories.size <= 2 else float("nan")
    return Kappa("Fleiss", _beyond(observed, expected), observed, adjusted, n)


def weighted_kappa(first: ArrayLike, second: ArrayLike, *, levels: int) -> Kappa:
    """Returns Cohen's kappa with quadratic weights (1968) of two readings on a scale from 1 to `levels`."""
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    both = np.isfinite(one) & np.isfinite(two)
    one, two = one[both], two[both]
    if one.size == 0:
        return Kappa("Cohen, quadratic weights", float("nan"), float("nan"), float("nan"), 0)
    observed = 1 - float(np.square(one - two).mean()) / (levels - 1) ** 2
    expected = 1 - float(np.square(one[:, None] - two[None]).mean()) / (levels - 1) ** 2
    return Kappa("Cohen, quadratic weights", _beyond(observed, expected), observed, float("nan"), one.size)


def mean_pairwise(ratings: Values, *, levels: int) -> Kappa:
    """Returns the mean over pairs of readers of the weighted kappa (Light 1971), (readers, cases)."""
    pairs = [weighted_kappa(ratings[i], ratings[j], levels=levels) for i in range(len(ratings)) for j in range(i)]
    known = [pair for pair in pairs if np.isfinite(pair.value)]
    form = "Light: mean over pairs of Cohen's kappa with quadratic weights"
    if not known:
        return Kappa(form, float("nan"), float("nan"), float("nan"), 0)
    value = float(np.mean([pair.value for pair in known]))
    return Kappa(form, value, float(np.mean([p.observed for p in known])), float("nan"), min(p.n for p in known))


def _beyond(observed: float, expected: float) -> float:
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")
