"""How well is a mean over patients known? Intervals that cover it as often as they say, for 3 patients and for 300.

- Below `BOOTSTRAP_FROM` patients: Student's t interval, mean ± t(n−1) s/√n. Exact for normal values; its coverage
  falls where values are very skewed (measured: `benchmarks/results/intervals.json`).
- From there on: the studentised bootstrap (bootstrap-t, Efron 1979; Hall 1988), which follows skewness.

A percentile or BCa bootstrap is not used: over 3 to 9 patients its 95 % intervals cover 69 to 89 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from voxlate.evaluation.statistics.samples import Values, sample

BOOTSTRAP_FROM = 20
"""Patients from which resampling is used: below, some resamples hold so few distinct patients that their own
standard errors are far off and the interval is wider than Student's without covering more."""

RESAMPLES = 5000
"""Enough that the ends move by some 2 % of the width between seeds."""

STUDENT, BOOTSTRAP, NO_INTERVAL = "Student's t", "studentised bootstrap", "none: the values do not vary"

_LEAST_SPREAD = 1e-12
"""Of the largest value: a smaller standard deviation is rounding."""


@dataclass(frozen=True)
class Interval:
    """Where a mean lies.

    Attributes:
        low, high: ends; NaN where values do not vary, as a standard error of 0 is no knowledge.
        method: how they were computed.
    """

    low: float
    high: float
    method: str


def mean_interval(values: ArrayLike, *, confidence: float = 0.95, seed: int = 0) -> Interval:
    """Returns the interval of the mean of `values`, one per patient; see the module for which.

    Raises:
        InputRefused: as `voxlate.evaluation.statistics.samples.sample`.
    """
    v = sample(values)
    spread = float(v.std(ddof=1))
    if spread <= _LEAST_SPREAD * float(np.abs(v).max(initial=0.0)):
        return Interval(float("nan"), float("nan"), NO_INTERVAL)
    error = spread / np.sqrt(v.size)
    tails = np.array([(1 + confidence) / 2, (1 - confidence) / 2])
    is_student = v.size < BOOTSTRAP_FROM
    quantiles = stats.t.ppf(tails, v.size - 1) if is_student else np.quantile(_studentised_means(v, seed), tails)
    low, high = v.mean() - quantiles * error
    return Interval(float(low), float(high), STUDENT if is_student else BOOTSTRAP)


def _studentised_means(v: Values, seed: int) -> Values:
    """Returns (resampled mean − mean) / its own standard error, for each resample that varies."""
    centred = v - v.mean()
    weights = _resampling(v.size, seed)
    means = weights @ centred
    variances = np.maximum(weights @ np.square(centred) - np.square(means), 0) * v.size / (v.size - 1)
    varies = variances > 0
    return np.asarray(means[varies] / np.sqrt(variances[varies] / v.size), dtype=np.float64)


@lru_cache(maxsize=4)
def _resampling(n: int, seed: int) -> Values:
    """Returns (resamples, n) weights, each row how often each patient was drawn, divided by n."""
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    return counts / n
