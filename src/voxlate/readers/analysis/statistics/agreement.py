"""Agreement beyond chance on categories and grades: kappa statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from voxlate.readers.analysis.output.json_values import INLINE
from voxlate.readers.analysis.records import Record, Values, names


@dataclass(frozen=True)
class Kappa:
    """An agreement beyond chance.

    Attributes:
        form: name of the statistic.
        value: 1 for perfect agreement, 0 for chance; NaN when all answers are one category.
        observed: share of agreeing answers, weighted as `form` says.
        prevalence_adjusted: 2 observed − 1 (Byrt 1993), for two categories; NaN otherwise.
        n: images.
    """

    form: str
    value: float
    observed: float
    prevalence_adjusted: float
    n: int


@dataclass(frozen=True, kw_only=True)
class ReaderKappa:
    """The agreement of one reader's first and second answers to the same images."""

    reader: str
    kappa: Kappa = field(metadata=INLINE)


def fleiss_kappa(ratings: ArrayLike) -> Kappa:
    """Returns Fleiss' kappa (1971).

    Args:
        ratings: (readers, images) categories, NaN where not read; images not read by all readers are left out.

    Example:
        >>> kappa = fleiss_kappa([[0, 1, 1, 0], [0, 1, 0, 0]])
        >>> round(kappa.value, 2), kappa.observed
        (0.47, 0.75)
    """
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
    return Kappa("Fleiss", _beyond_chance(observed, expected), observed, adjusted, n)


def weighted_kappa(first: ArrayLike, second: ArrayLike, *, levels: int) -> Kappa:
    """Returns Cohen's kappa with quadratic weights (1968) of two readings.

    Args:
        first: (images,) grades from 1 to `levels`, NaN where not read.
        second: (images,) grades of the same images.
        levels: of the scale.

    Example:
        >>> round(weighted_kappa([1, 2, 3, 4], [1, 2, 4, 4], levels=5).value, 3)
        0.917
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    both = np.isfinite(one) & np.isfinite(two)
    one, two = one[both], two[both]
    if one.size == 0:
        return Kappa("Cohen, quadratic weights", float("nan"), float("nan"), float("nan"), 0)
    observed = 1 - float(np.square(one - two).mean()) / (levels - 1) ** 2
    expected = 1 - float(np.square(one[:, None] - two[None]).mean()) / (levels - 1) ** 2
    return Kappa("Cohen, quadratic weights", _beyond_chance(observed, expected), observed, float("nan"), one.size)


def mean_pairwise(ratings: Values, *, levels: int) -> Kappa:
    """Returns the mean over pairs of readers of the weighted kappa (Light 1971); `n` is that of the smallest pair.

    Args:
        ratings: (readers, images) grades from 1 to `levels`, NaN where not read.
        levels: of the scale.
    """
    pairs = [weighted_kappa(ratings[i], ratings[j], levels=levels) for i in range(len(ratings)) for j in range(i)]
    defined = [pair for pair in pairs if np.isfinite(pair.value)]
    form = "Light: mean over pairs of Cohen's kappa with quadratic weights"
    if not defined:
        return Kappa(form, float("nan"), float("nan"), float("nan"), 0)
    value = float(np.mean([pair.value for pair in defined]))
    observed = float(np.mean([pair.observed for pair in defined]))
    return Kappa(form, value, observed, float("nan"), min(pair.n for pair in defined))


def within_reader(records: Sequence[Record], grades: Sequence[float], *, levels: int) -> list[ReaderKappa]:
    """Returns the weighted kappa of each reader's first and repeated answers; readers without repeats are left out.

    Args:
        records: of one design.
        grades: one per record, from 1 to `levels`.
        levels: of the scale.
    """
    graded = list(zip(records, grades, strict=True))
    first = {(record.reader, record.case, record.shown): grade for record, grade in graded if not record.is_repeat}
    rows = []
    for reader in names(records)[0]:
        pairs = [
            (first[image], grade)
            for record, grade in graded
            if record.is_repeat and record.reader == reader
            for image in [(record.reader, record.case, record.shown)]
            if image in first
        ]
        if pairs:
            kappa = weighted_kappa([a for a, _ in pairs], [b for _, b in pairs], levels=levels)
            rows.append(ReaderKappa(reader=reader, kappa=kappa))
    return rows


def _beyond_chance(observed: float, expected: float) -> float:
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")
