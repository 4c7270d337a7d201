"""Do two methods differ on the same patients? Paired tests and their effect size.

All functions take two vectors of shape (patients,) in the same order and unit and work on the differences
d = first − second, one per patient. All tests are two-sided.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from voxlate.evaluation.statistics.samples import Values, differences, standard_deviation

FLIPS = 10_000
"""Drawn sign patterns; the Monte Carlo error of a p of 0.05 is 0.002."""

EXACT_FLIPS_UP_TO = 14
"""Up to this many patients all 2^n sign patterns are used (16,384 for 14); beyond, `FLIPS` are drawn."""


@dataclass(frozen=True)
class TestResult:
    """Result of a test.

    Attributes:
        statistic: t, W, or the mean difference, depending on the test.
        p: two-sided probability of a statistic at least as extreme if there were no difference.
    """

    statistic: float
    p: float


def paired_t(first: ArrayLike, second: ArrayLike) -> TestResult:
    """Returns Student's paired t-test; equal samples have p = 1.

    For a constant difference the standard error is 0, and statistic and p are NaN.

    Args:
        first: (patients,), values of the first method.
        second: (patients,), values of the second method, same order and unit.

    Raises:
        InputRefused: as `differences`.
    """
    d = differences(first, second)
    spread = standard_deviation(d)
    if spread == 0:
        return TestResult(0.0, 1.0) if d[0] == 0 else TestResult(float("nan"), float("nan"))
    t = float(d.mean()) / (spread / np.sqrt(d.size))
    return TestResult(t, float(2 * stats.t.sf(abs(t), d.size - 1)))


def wilcoxon(first: ArrayLike, second: ArrayLike) -> TestResult:
    """Returns Wilcoxon's signed-rank test (zero differences dropped; exact without ties up to 50 patients).

    Args:
        first: (patients,), values of the first method.
        second: (patients,), values of the second method, same order and unit.

    Raises:
        InputRefused: as `differences`.
    """
    d = differences(first, second)
    if not d.any():
        return TestResult(0.0, 1.0)
    result = stats.wilcoxon(d)
    return TestResult(float(result.statistic), float(result.pvalue))


def least_p(n: int) -> float:
    """Returns the smallest p of a sign-flip permutation test of n patients: of 2ⁿ sign patterns two are extreme."""
    return 2.0 ** (1 - n)


def sign_flip(first: ArrayLike, second: ArrayLike, *, seed: int = 0) -> TestResult:
    """Returns the sign-flip permutation test of the mean difference.

    It uses all 2^n sign patterns up to 14 patients; beyond, 10,000 patterns are drawn and the observed one is counted
    among them, so that p is never 0. The smallest possible p is `least_p`, which is 0.25 for 3 patients.

    Args:
        first: (patients,), values of the first method.
        second: (patients,), values of the second method, same order and unit.
        seed: of the drawn patterns.

    Raises:
        InputRefused: as `differences`.
    """
    d = differences(first, second)
    observed = abs(float(d.mean()))
    means = np.abs(_signs(d.size, seed) @ d) / d.size
    # Patterns that give the observed mean in another order of summation must count as equal to it.
    extreme = int(np.count_nonzero(means >= observed * (1 - 1e-12) - 1e-300))
    if d.size <= EXACT_FLIPS_UP_TO:
        return TestResult(float(d.mean()), extreme / means.size)
    return TestResult(float(d.mean()), (extreme + 1) / (means.size + 1))


@lru_cache(maxsize=4)
def _signs(n: int, seed: int) -> Values:
    """Returns sign patterns of shape (patterns, n), values 1 and −1."""
    if n <= EXACT_FLIPS_UP_TO:
        patterns = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    else:
        patterns = np.random.default_rng(seed).integers(0, 2, size=(FLIPS, n))
    return np.asarray(1.0 - 2.0 * patterns, dtype=np.float64)


def cohen_dz(first: ArrayLike, second: ArrayLike) -> float:
    """Returns the effect size of a paired design: mean of the differences / their standard deviation.

    Zero for equal samples, infinite for a constant difference.

    Args:
        first: (patients,), values of the first method.
        second: (patients,), values of the second method, same order and unit.

    Raises:
        InputRefused: as `differences`.
    """
    d = differences(first, second)
    mean, spread = float(d.mean()), standard_deviation(d)
    if spread == 0:
        return 0.0 if mean == 0 else float(np.copysign(np.inf, mean))
    return mean / spread
