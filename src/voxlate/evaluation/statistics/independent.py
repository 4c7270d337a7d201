"""The t-test of two independent samples, kept to show what published tables did; paired images need a paired test.

Li et al. 2022 compare models on the slices of five patients by it. Both models were applied to the same slices, so the
samples are not independent, and slices of a patient are not independent of each other (pseudo-replication): the test
takes n slices for n people. The first fault hides differences, the second invents them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from voxlate.errors import InputRefused
from voxlate.evaluation.statistics.paired import TestResult
from voxlate.evaluation.statistics.samples import sample

_LEAST_VALUES = 2  # a single value has no spread


class Summary(NamedTuple):
    """Number, mean and standard deviation (divisor `number`) of the values of a group, such as the slices of a scan."""

    number: int
    mean: float
    sd: float


def independent_t(first: ArrayLike, second: ArrayLike) -> TestResult:
    """Returns Student's t-test of two independent samples with equal variances; two samples of one value have p = 1.

    Args:
        first: (scans,), values of the first method.
        second: (other scans,), values of the second method, same unit.

    Raises:
        InputRefused: as `voxlate.evaluation.statistics.samples.sample`.
    """
    one, two = sample(first, name="first sample"), sample(second, name="second sample")
    return _student(*(Summary(values.size, float(values.mean()), float(values.std())) for values in (one, two)))


def independent_t_of_groups(first: Iterable[Summary], second: Iterable[Summary]) -> TestResult:
    """Returns Student's t-test of all values of two sets of groups, such as all slices of two sets of scans.

    Args:
        first: groups of the first sample; together at least 2 values.
        second: groups of the second sample, same unit; together at least 2 values.

    Raises:
        InputRefused: `TOO_FEW_PATIENTS` for fewer values.
    """
    return _student(_joined(first, "first sample"), _joined(second, "second sample"))


def _joined(groups: Iterable[Summary], name: str) -> Summary:
    """Returns the summary of all values of the groups."""
    counts, means, sds = np.array([*groups], dtype=np.float64).reshape(-1, 3).T
    total = int(counts.sum())
    if total < _LEAST_VALUES:
        raise InputRefused("TOO_FEW_PATIENTS", f"the {name} has {total} values; give {_LEAST_VALUES} or more")
    mean = float((counts * means).sum() / total)
    squares = (counts * (np.square(sds) + np.square(means - mean))).sum()  # within groups and between their means
    return Summary(total, mean, float(np.sqrt(squares / total)))


def _student(one: Summary, two: Summary) -> TestResult:
    freedom = one.number + two.number - 2
    variance = (one.number * one.sd**2 + two.number * two.sd**2) / freedom
    difference = one.mean - two.mean
    if variance == 0:
        return TestResult(0.0, 1.0) if difference == 0 else TestResult(float("nan"), float("nan"))
    t = difference / float(np.sqrt(variance * (1 / one.number + 1 / two.number)))
    return TestResult(t, float(2 * stats.t.sf(abs(t), freedom)))
