"""Checks p values printed in the seed papers against the means and standard deviations printed beside them.

    python benchmarks/published_tests.py

A paper that prints two means and SDs of the same n patients, but not the SD of the difference, does not state the
correlation between both columns. The correlation lies between −1 and 1, which bounds t and p of a paired test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from voxlate.errors import UsageError
from voxlate.evaluation.statistics.paired import TestResult
from voxlate.evaluation.statistics.samples import MINIMUM_PATIENTS


@dataclass(frozen=True)
class Summary:
    """A printed mean and sample standard deviation."""

    mean: float
    sd: float


def paired_t_from_summary(first: Summary, second: Summary, *, n: int, correlation: float) -> TestResult:
    """Returns the paired t-test that two printed rows imply, were the correlation between them known.

    Raises:
        UsageError: `SUMMARY` when n is below 3 or the correlation not within ±1.
    """
    if n < MINIMUM_PATIENTS or not -1 <= correlation <= 1:
        raise UsageError("SUMMARY", f"n = {n} and correlation = {correlation} do not describe a paired comparison")
    variance = first.sd**2 + second.sd**2 - 2 * correlation * first.sd * second.sd
    difference = first.mean - second.mean
    if variance <= 0:
        return TestResult(float(np.copysign(np.inf, difference)), 0.0) if difference else TestResult(0.0, 1.0)
    t = difference / np.sqrt(variance / n)
    return TestResult(float(t), float(2 * stats.t.sf(abs(t), n - 1)))


def paired_t_bounds_from_summary(first: Summary, second: Summary, *, n: int) -> tuple[TestResult, TestResult]:
    """Returns the strongest and the weakest paired t-test that two printed rows allow (correlation 1 and −1).

    A printed p below the strongest is impossible.
    """
    strongest = paired_t_from_summary(first, second, n=n, correlation=1.0)
    weakest = paired_t_from_summary(first, second, n=n, correlation=-1.0)
    return strongest, weakest


def implied_correlation(first: Summary, second: Summary, *, n: int, p: float) -> float:
    """Returns the correlation between both columns at which the paired t-test has the printed p.

    Near 0 it suggests that the test was not paired; outside ±1 the printed p is impossible.

    Raises:
        UsageError: `SUMMARY` when p is not between 0 and 1 or an SD is 0.
    """
    if not 0 < p < 1 or min(first.sd, second.sd) <= 0:
        raise UsageError("SUMMARY", f"p = {p} with SDs {first.sd} and {second.sd} implies no correlation")
    t = float(stats.t.isf(p / 2, n - 1))
    variance = n * ((first.mean - second.mean) / t) ** 2
    return (first.sd**2 + second.sd**2 - variance) / (2 * first.sd * second.sd)


def main() -> None:
    # Bottani 2024, Table 1: PSNR of the cGAN Res-U-Net and of the baseline, 26 patients, printed as significant.
    strongest, weakest = paired_t_bounds_from_summary(Summary(23.89, 4.30), Summary(23.03, 2.83), n=26)
    print(f"Bottani 2024: t at most {strongest.statistic:.2f}, p between {strongest.p:.4f} and {weakest.p:.2f}")
    # Chen 2022: PSNR, 42 patients, printed p = 0.00037.
    correlation = implied_correlation(Summary(27.21, 1.18), Summary(28.24, 1.26), n=42, p=0.00037)
    print(f"Chen 2022: the printed p implies a correlation of {correlation:.3f}, near 0: the test was not paired")


if __name__ == "__main__":
    main()
