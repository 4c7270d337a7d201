"""The t-test of two independent samples, kept to show what published tables did; paired images need a paired test.

Li et al. 2022 compare models on the slices of five patients by it. Both models were applied to the same slices, so the
samples are not independent, and slices of a patient are not independent of each other (pseudo-replication): the test
takes n slices for n people. The first fault hides differences, the second invents them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from voxlate.evaluation.statistics.paired import TestResult
from voxlate.evaluation.statistics.samples import sample


def independent_t(first: ArrayLike, second: ArrayLike) -> TestResult:
    """Returns Student's t-test of two independent samples with equal variances; two samples of one value have p = 1.

    Args:
        first: (scans,), values of the first method.
        second: (other scans,), values of the second method, same unit.

    Raises:
        InputRefused: as `voxlate.evaluation.statistics.samples.sample`.
    """
    one, two = sample(first, name="first sample"), sample(second, name="second sample")
    freedom = one.size + two.size - 2
    variance = (np.square(one - one.mean()).sum() + np.square(two - two.mean()).sum()) / freedom
    difference = float(one.mean() - two.mean())
    if variance == 0:
        return TestResult(0.0, 1.0) if difference == 0 else TestResult(float("nan"), float("nan"))
    t = difference / float(np.sqrt(variance * (1 / one.size + 1 / two.size)))
    return TestResult(t, float(2 * stats.t.sf(abs(t), freedom)))
