"""Multi-reader multi-case (MRMC) inference: the mean of a figure of merit over readers, its interval and tests.

The mean generalises to other readers and other cases. The method is that of Obuchowski and Rockette 1995 with the
degrees of freedom of Hillis 2007, for one modality or for the difference of two. From r readers' figures of merit,
their mean square between readers MS(reader), and the mean covariance Cov2 of two readers through the shared cases,

    variance of the mean = (MS(reader) + r max(Cov2, 0)) / r,
    degrees of freedom   = (r - 1) ((MS(reader) + r max(Cov2, 0)) / MS(reader))².

The covariances are estimated from the influence of each patient on each reader's figure, the sum of those of the cases.
The patient is the cluster, because several cases of one patient are not independent, and neither are the real and the
synthetic image of one case; for the AUC this is Obuchowski 1997. Without patients each case is taken for another one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from voxlate.evaluation.statistics import MarginResult
from voxlate.readers.analysis.records import Values

MANY_READERS = "random readers and random cases (Obuchowski-Rockette, Hillis degrees of freedom)"
ONE_READER = "this reader only, random cases (t with cases - 1 degrees of freedom; patients - 1 where they are named)"

UNDEFINED = "undefined: no reader has the answers that it is computed from"
NO_VARIANCE = "no interval and no test: nothing varies between the cases and readers, so nothing can be inferred"
ONE_CASE = "no interval and no test: there is one case or one patient"


@dataclass(frozen=True)
class ReaderMean:
    """A figure of merit averaged over readers.

    Attributes:
        form: method of inference; reports print it beside the interval.
        mean: over the readers whose figure is defined; NaN when none is.
        standard_error: of the mean. NaN when nothing can be inferred, as are `freedom`, `low` and `high`.
        freedom: degrees of freedom; infinite when the readers' figures are equal.
        low, high: ends of the interval, within the bounds of the figure.
        per_reader: each reader's figure; NaN where undefined.
        undefined: indices of the readers whose figure is undefined; they are not part of the mean.
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
    read: ArrayLike | None = None,
    patients: Sequence[str] | None = None,
    confidence: float = 0.95,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> ReaderMean:
    """Returns the mean figure of merit over readers with its interval.

    Readers with an undefined figure are left out and listed. With one case, or if figures and influences do not vary
    at all, the mean has no interval: a standard error of 0 would make any difference significant.

    Args:
        figures: (readers,) figures of merit, NaN where undefined.
        influences: (readers, cases) influence of each case on each reader's figure, 0 where a reader did not read
            the case. The sums of their products over cases estimate the covariances of the figures.
        read: (readers, cases), whether a reader read the case; all when `None`. A case that was not read is no degree
            of freedom.
        patients: (cases,) the patient of each case; each case is another patient when `None`.
        confidence: of the interval.
        bounds: least and largest possible value of the figure, 0 and 1 for an AUC; the interval is cut at them.

    Example:
        >>> import numpy as np
        >>> mean = reader_mean(*mean_influences(np.array([[1.0, 2.0, 4.0], [2.0, 3.0, 4.0]])))
        >>> round(mean.mean, 2), round(mean.low, 2), round(mean.high, 2)
        (2.67, 1.07, 4.26)
    """
    values, effects = np.asarray(figures, dtype=np.float64), np.asarray(influences, dtype=np.float64)
    has_read = np.ones(effects.shape, dtype=bool) if read is None else np.asarray(read, dtype=bool)
    if patients is not None:
        effects, has_read = _by_patient(effects, has_read, patients)
    is_defined = np.isfinite(values)
    undefined = tuple(int(at) for at in np.flatnonzero(~is_defined))
    per_reader = tuple(float(value) for value in values)
    form = ONE_READER if is_defined.sum() == 1 else MANY_READERS
    mean = float(values[is_defined].mean()) if is_defined.any() else math.nan
    note, variance, freedom = _inference(values[is_defined], effects[is_defined], has_read[is_defined].sum(axis=1))
    error = math.sqrt(variance)
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    low, high = max(mean - half, bounds[0]), min(mean + half, bounds[1])
    if note:
        low = high = math.nan
    return ReaderMean(form, mean, error, freedom, low, high, per_reader, undefined, note)


def _by_patient(
    influences: Values, read: NDArray[np.bool_], patients: Sequence[str]
) -> tuple[Values, NDArray[np.bool_]]:
    """Returns (readers, patients) sums of the influences of the cases, and whether a reader read any of them."""
    _, of_case = np.unique(np.asarray(patients), return_inverse=True)
    is_of = of_case[:, None] == np.arange(of_case.max(initial=-1) + 1)
    return influences @ is_of, read @ is_of


def within_margin(result: ReaderMean, *, reference: float, margin: float, alpha: float) -> MarginResult:
    """Tests equivalence by two one-sided tests (TOST): the mean differs from `reference` by less than `margin`.

    Args:
        result: mean over readers.
        reference: such as 0.5 for an AUC.
        margin: above 0, in units of the figure.
        alpha: of each test; the interval has coverage 1 − 2 alpha.
    """
    distance = result.mean - reference
    p = float(np.max([upper_tail(distance + margin, result), upper_tail(margin - distance, result)]))
    half = float(stats.t.ppf(1 - alpha, result.freedom)) * result.standard_error
    return MarginResult(distance, distance - half, distance + half, p, p < alpha)


def not_below(result: ReaderMean, *, reference: float, alpha: float) -> MarginResult:
    """Tests by a one-sided test that the mean is above `reference`.

    Args:
        result: mean over readers.
        reference: in units of the figure, such as −margin for a difference.
        alpha: of the test; the interval has coverage 1 − alpha and no upper end.
    """
    distance = result.mean - reference
    p = upper_tail(distance, result)
    half = float(stats.t.ppf(1 - alpha, result.freedom)) * result.standard_error
    return MarginResult(distance, distance - half, math.inf, p, p < alpha)


def differs(result: ReaderMean, *, reference: float) -> float:
    """Returns the two-sided p of a difference of the mean from `reference`; NaN when nothing can be inferred."""
    p = 2 * upper_tail(abs(result.mean - reference), result)
    return p if math.isnan(p) else min(1.0, p)


def mean_influences(values: Values) -> tuple[Values, Values]:
    """Returns each reader's mean over cases, (readers,), and the influences of the cases on it, (readers, cases).

    The mean of a reader without a value is NaN.

    Args:
        values: (readers, cases), NaN where a reader did not read the case.
    """
    present = np.isfinite(values)
    counts = present.sum(axis=1, keepdims=True)
    totals = np.where(present, values, 0).sum(axis=1, keepdims=True)
    means = np.divide(totals, counts, out=np.full(totals.shape, np.nan), where=counts > 0)
    return means[:, 0], np.where(present, values - means, 0) / np.maximum(counts, 1)


def upper_tail(distance: float, result: ReaderMean) -> float:
    """Returns the one-sided p of `distance`, in units of the figure; NaN when nothing can be inferred."""
    if result.note:
        return math.nan
    return float(stats.t.sf(distance / result.standard_error, result.freedom))


def _inference(values: Values, influences: Values, cases: NDArray[np.integer[Any]]) -> tuple[str, float, float]:
    """Returns the note (empty when something can be inferred), the variance of the mean, and its degrees of freedom.

    Args:
        values: (readers,) figures.
        influences: (readers, clusters) of cases or patients.
        cases: (readers,) clusters that each reader read.
    """
    readers = values.size
    if readers == 0:
        return UNDEFINED, math.nan, math.nan
    if cases.max() < 2:
        return ONE_CASE, math.nan, math.nan
    # The influences hold 1 / n, an unbiased covariance n − 1; a reader of one case has influences of 0.
    unbiased = influences * np.sqrt(cases / np.maximum(cases - 1, 1))[:, None]
    covariance = unbiased @ unbiased.T
    if readers == 1:
        variance, freedom = float(covariance[0, 0]), float(cases[0] - 1)
    else:
        variance, freedom = _obuchowski_rockette(values, covariance)
    # Rounding leaves a variance of about 1e-34 when all influences are equal.
    if variance <= 1e-24 * max(1.0, float(np.square(values).max())):
        return NO_VARIANCE, math.nan, math.nan
    return "", variance, freedom


def _obuchowski_rockette(values: Values, covariance: Values) -> tuple[float, float]:
    readers = values.size
    between = float(values.var(ddof=1))
    shared = float(covariance[~np.eye(readers, dtype=bool)].mean())
    total = between + readers * max(shared, 0.0)
    if between == 0:
        # MS(reader) is 0 and the formula undefined. Only the variance through cases is left; normal theory is used.
        return total / readers, math.inf
    return total / readers, (readers - 1) * (total / between) ** 2
