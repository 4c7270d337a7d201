"""Do two methods differ on the same patients? Paired tests and their effect size.

All functions take two vectors of shape (patients,) in the same order and unit and work on the differences
d = first − second, one per patient. All tests are two-sided.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from voxlate.evaluation.statistics.samples import Values, differences, standard_deviation

FLIPS = 10_000
"""Drawn sign patterns; the Monte Carlo error of a p of 0.05 is 0.002."""

MOST_FLIPS = 100_000
"""Drawn while no pattern is as extreme as the data: with 10,000 alone no p is below 0.0001, which an adjustment for 100
tests raises above a level of 0.01, whatever the data."""

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

    It uses all 2^n sign patterns up to 14 patients; the smallest possible p is then `least_p`, which is 0.25 for 3
    patients. Beyond, 10,000 patterns are drawn, or more (at most `MOST_FLIPS`) until one is as extreme as the data; the
    observed one is counted among them, so that p is never 0 (Besag and Clifford 1991).

    Args:
        first: (patients,), values of the first method.
        second: (patients,), values of the second method, same order and unit.
        seed: of the drawn patterns.

    Raises:
        InputRefused: as `differences`.
    """
    d = differences(first, second)
    mean = float(d.mean())
    signs = _signs(d.size, seed)
    drawn, extreme = len(signs), _extreme(signs, d)
    if d.size <= EXACT_FLIPS_UP_TO:
        return TestResult(mean, extreme / drawn)
    while not extreme and drawn < MOST_FLIPS:
        bits = np.unpackbits(_more_bits(d.size, seed)[drawn - FLIPS : drawn], axis=1, count=d.size)
        extreme = _extreme(np.asarray(1.0 - 2.0 * bits, dtype=np.float64), d)
        drawn += FLIPS
    return TestResult(mean, (extreme + 1) / (drawn + 1))


def _extreme(signs: Values, d: Values) -> int:
    """Returns how many of the sign patterns (patterns, n) give a mean as far from 0 as that of the differences."""
    # Patterns that give the observed mean in another order of summation must count as equal to it.
    least = abs(float(d.mean())) * (1 - 1e-12) - 1e-300
    return int(np.count_nonzero(np.abs(signs @ d) / d.size >= least))


@lru_cache(maxsize=4)
def _more_bits(n: int, seed: int) -> NDArray[np.uint8]:
    """Returns the sign patterns beyond `FLIPS`, one bit per patient, of shape (patterns, ⌈n / 8⌉); 1 is a minus."""
    random = np.random.default_rng((seed, n))
    return random.integers(0, 256, size=(MOST_FLIPS - FLIPS, -(-n // 8)), dtype=np.uint8)


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
