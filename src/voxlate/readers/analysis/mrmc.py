"""Several readers, the same cases: what would other readers of other cases find?

The form is Obuchowski and Rockette 1995 with the degrees of freedom of Hillis 2007, for one modality or for the
difference of two: figures of merit per reader, their covariances through the shared cases, and the spread between
readers,

    variance of the mean = (MS(reader) + r max(Cov2, 0)) / r,
    degrees of freedom   = (r - 1) ((MS(reader) + r max(Cov2, 0)) / MS(reader))².

Covariances come from the influence of each case on each reader's figure, with the case as the cluster: for the
AUC that is Obuchowski 1997, where the real and the synthetic image of one case are not independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from voxlate.evaluation.statistics import MarginResult
from voxlate.readers.analysis.records import Values

MANY_READERS = "random readers and random cases (Obuchowski-Rockette, Hillis degrees of freedom)"
ONE_READER = "this reader only, random cases (t with cases - 1 degrees of freedom)"

UNDEFINED = "undefined: no reader has the answers that it is computed from"
NO_VARIANCE = "no interval and no test: nothing varies between the cases and readers, so nothing can be inferred"
ONE_CASE = "no interval and no test: there is one case"


@dataclass(frozen=True)
class ReaderMean:
    """A figure of merit averaged over readers.

    Attributes:
        form: which inference was made; stands beside the interval wherever it is printed.
        mean: over the readers whose figure is defined; NaN when there is none.
        standard_error: NaN where nothing can be inferred, as `freedom`, `low` and `high`.
        low, high: interval of 95 % (of `confidence`), within the bounds of the figure.
        per_reader: each reader's figure; NaN where undefined.
        undefined: readers (by place) whose figure is undefined; they take no part in the mean.
        note: why there is no interval; empty when there is one.
    """

    form: str
    mean: float
    standard_error: float
    freedom: float
    low: float
    high: float
    per_reader: tuple[float, ...]
    undefined: tuple[int, ...] = ()
    note: str = ""


def reader_mean(
    figures: ArrayLike,
    influences: ArrayLike,
    *,
    confidence: float = 0.95,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> ReaderMean:
    """Returns the mean figure of merit of readers (r) with its interval.

    Readers without a figure (NaN) are left out and listed. With one case, or where figures and influences do not
    vary at all, the mean stands without an interval: a standard error of 0 would make any difference significant.

    Args:
        figures: one per reader; NaN where undefined.
        influences: (r, cases), how much each case moved each reader's figure; their sums of products over cases
            estimate the covariances of the figures. 0 where a reader did not read the case.
        confidence: of the interval.
        bounds: least and largest possible value; the interval is cut at them (0 and 1 for an AUC).
    """
    values, moved = np.asarray(figures, dtype=np.float64), np.asarray(influences, dtype=np.float64)
    is_defined = np.isfinite(values)
    undefined = tuple(int(at) for at in np.flatnonzero(~is_defined))
    per_reader = tuple(float(value) for value in values)
    form = ONE_READER if is_defined.sum() == 1 else MANY_READERS
    mean = float(values[is_defined].mean()) if is_defined.any() else math.nan
    note, variance, freedom = _inference(values[is_defined], moved[is_defined])
    error = math.sqrt(variance)
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    low, high = max(mean - half, bounds[0]), min(mean + half, bounds[1])
    if note:
        low = high = math.nan
    return ReaderMean(form, mean, error, freedom, low, high, per_reader, undefined, note)


def within_margin(found: ReaderMean, *, reference: float, margin: float, alpha: float) -> MarginResult:
    """Returns two one-sided tests on a reader mean: does it differ from `reference` by less than `margin`?"""
    distance = found.mean - reference
    p = float(np.max([upper_tail(distance + margin, found), upper_tail(margin - distance, found)]))
    half = float(stats.t.ppf(1 - alpha, found.freedom)) * found.standard_error
    return MarginResult(distance, distance - half, distance + half, p, p < alpha)


def not_below(found: ReaderMean, *, reference: float, alpha: float) -> MarginResult:
    """Returns a one-sided test on a reader mean: is it above `reference`?"""
    distance = found.mean - reference
    p = upper_tail(distance, found)
    half = float(stats.t.ppf(1 - alpha, found.freedom)) * found.standard_error
    return MarginResult(distance, distance - half, math.inf, p, p < alpha)


def differs(found: ReaderMean, *, reference: float) -> float:
    """Returns the two-sided p that a reader mean is not `reference`; NaN where nothing can be inferred."""
    p = 2 * upper_tail(abs(found.mean - reference), found)
    return p if math.isnan(p) else min(1.0, p)


def mean_influences(values: Values) -> tuple[Values, Values]:
    """Returns each reader's mean over cases and the influences; (r, cases) with NaN where nothing was read.

    A reader who read nothing has no mean: NaN.
    """
    present = np.isfinite(values)
    counts = present.sum(axis=1, keepdims=True)
    totals = np.where(present, values, 0).sum(axis=1, keepdims=True)
    means = np.divide(totals, counts, out=np.full(totals.shape, np.nan), where=counts > 0)
    return means[:, 0], np.where(present, values - means, 0) / np.maximum(counts, 1)


def upper_tail(distance: float, found: ReaderMean) -> float:
    """Returns the probability of a t as large as `distance` in standard errors; NaN where nothing can be inferred."""
    if found.note:
        return math.nan
    return float(stats.t.sf(distance / found.standard_error, found.freedom))


def _inference(values: Values, moved: Values) -> tuple[str, float, float]:
    """Returns why nothing can be inferred (empty if something can), the variance of the mean, degrees of freedom."""
    readers, cases = moved.shape
    if readers == 0:
        return UNDEFINED, math.nan, math.nan
    if cases < 2:
        return ONE_CASE, math.nan, math.nan
    covariance = moved @ moved.T * cases / (cases - 1)
    if readers == 1:
        variance, freedom = float(covariance[0, 0]), float(cases - 1)
    else:
        variance, freedom = _obuchowski_rockette(values, covariance)
    # Rounding leaves a variance of some 1e-34 where all influences are equal.
    if variance <= 1e-24 * max(1.0, float(np.square(values).max())):
        return NO_VARIANCE, math.nan, math.nan
    return "", variance, freedom


def _obuchowski_rockette(values: Values, covariance: Values) -> tuple[float, float]:
    readers = values.size
    between = float(values.var(ddof=1))
    shared = float(covariance[~np.eye(readers, dtype=bool)].mean())
    total = between + readers * max(shared, 0.0)
    if between == 0:
        # Readers agree exactly: what is left is the variance through cases, known about as well as of many cases.
        return total / readers, math.inf
    return total / readers, (readers - 1) * (total / between) ** 2
