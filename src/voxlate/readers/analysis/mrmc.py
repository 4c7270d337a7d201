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

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from voxlate.errors import InputRefused
from voxlate.evaluate.statistics import MarginResult
from voxlate.readers.analysis.records import Values

MANY_READERS = "random readers and random cases (Obuchowski-Rockette, Hillis degrees of freedom)"
ONE_READER = "this reader only, random cases (t with cases - 1 degrees of freedom)"


@dataclass(frozen=True)
class ReaderMean:
    """A figure of merit averaged over readers.

    Attributes:
        form: which inference was made; stands beside the interval wherever it is printed.
        per_reader: each reader's figure.
        low, high: interval of 95 % (of `confidence`).
    """

    form: str
    mean: float
    standard_error: float
    freedom: float
    low: float
    high: float
    per_reader: tuple[float, ...]


def reader_mean(figures: ArrayLike, influences: ArrayLike, *, confidence: float = 0.95) -> ReaderMean:
    """Returns the mean figure of merit of readers (r) with its interval.

    Args:
        figures: one per reader.
        influences: (r, cases), how much each case moved each reader's figure; their sums of products over cases
            estimate the covariances of the figures. 0 where a reader did not read the case.
        confidence: of the interval.

    Raises:
        InputRefused: `TOO_FEW_CASES` below 2 cases.
    """
    values, moved = np.asarray(figures, dtype=np.float64), np.asarray(influences, dtype=np.float64)
    readers, cases = moved.shape
    if cases < 2:
        raise InputRefused("TOO_FEW_CASES", f"{cases} case gives no interval; read at least 2")
    covariance = moved @ moved.T * cases / (cases - 1)
    if readers == 1:
        form, variance, freedom = ONE_READER, float(covariance[0, 0]), float(cases - 1)
    else:
        form, (variance, freedom) = MANY_READERS, _obuchowski_rockette(values, covariance)
    error = float(np.sqrt(variance))
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    mean = float(values.mean())
    return ReaderMean(form, mean, error, freedom, mean - half, mean + half, tuple(float(v) for v in values))


def within_margin(found: ReaderMean, *, reference: float, margin: float, alpha: float) -> MarginResult:
    """Returns two one-sided tests on a reader mean: does it differ from `reference` by less than `margin`?"""
    distance = found.mean - reference
    p = max(upper_tail(distance + margin, found), upper_tail(margin - distance, found))
    half = float(stats.t.ppf(1 - alpha, found.freedom)) * found.standard_error
    return MarginResult(distance, distance - half, distance + half, p, p < alpha)


def not_below(found: ReaderMean, *, reference: float, alpha: float) -> MarginResult:
    """Returns a one-sided test on a reader mean: is it above `reference`?"""
    distance = found.mean - reference
    p = upper_tail(distance, found)
    half = float(stats.t.ppf(1 - alpha, found.freedom)) * found.standard_error
    return MarginResult(distance, distance - half, float("inf"), p, p < alpha)


def differs(found: ReaderMean, *, reference: float) -> float:
    """Returns the two-sided p that a reader mean is not `reference`."""
    return min(1.0, 2 * upper_tail(abs(found.mean - reference), found))


def mean_influences(values: Values) -> tuple[Values, Values]:
    """Returns each reader's mean over cases and the influences; (r, cases) with NaN where nothing was read."""
    present = np.isfinite(values)
    counts = np.maximum(present.sum(axis=1, keepdims=True), 1)
    means = np.where(present, values, 0).sum(axis=1, keepdims=True) / counts
    return means[:, 0], np.where(present, values - means, 0) / counts


def upper_tail(distance: float, found: ReaderMean) -> float:
    """Returns the probability of a t as large as `distance` in standard errors."""
    if found.standard_error == 0:
        return 0.0 if distance > 0 else 1.0 if distance < 0 else 0.5
    return float(stats.t.sf(distance / found.standard_error, found.freedom))


def _obuchowski_rockette(values: Values, covariance: Values) -> tuple[float, float]:
    readers = values.size
    between = float(values.var(ddof=1))
    shared = float(covariance[~np.eye(readers, dtype=bool)].mean())
    total = between + readers * max(shared, 0.0)
    if between == 0:
        # Readers agree exactly: what is left is the variance through cases, known about as well as of many cases.
        return total / readers, float("inf")
    return total / readers, (readers - 1) * (total / between) ** 2
