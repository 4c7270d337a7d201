"""Verdicts on whether the model is better than a simpler method, as far as the tests allow one.

`better` and `worse` need both a 95 % interval that excludes 0 and an adjusted p below 0.05. Everything else is told as
an average, with the reason why it is no more: no test, too few patients for one, or a test that showed nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.schema.results import Comparison, Evaluated
from voxlate.evaluation.statistics import MINIMUM_PATIENTS, least_p
from voxlate.reporting.case_selection import View
from voxlate.reporting.figures.quality_plots import patient_means
from voxlate.reporting.sections.quality import LEVEL
from voxlate.web import labels

Outcome = Literal["better", "worse", "leaning", "open", "few", "untested"]


@dataclass(frozen=True)
class MethodComparison:
    """Comparison of the synthetic images with another method on one metric.

    Attributes:
        other: the other method.
        metric: name of the metric.
        unit: unit of `difference`.
        n: number of patients that both methods share.
        ours: mean over these patients of the synthetic images.
        theirs: mean over these patients of the other method.
        difference: mean over patients of synthetic minus the other method.
        interval: 95 % confidence interval of `difference`; None when none was computed.
        p_adjusted: p value adjusted for `comparisons` tests; None without a test.
        comparisons: number of tests in the family.
        lost: number of patients in whom the synthetic image is worse.
        note: remark of the evaluation on the test.
    """

    other: str
    metric: str
    unit: str
    n: int
    ours: float
    theirs: float
    difference: float
    interval: tuple[float, float] | None
    p_adjusted: float | None
    comparisons: int
    lost: int
    note: str = ""

    @property
    def gain(self) -> float:
        """By how much the mean of the synthetic images is better, in `unit`; negative when it is worse.

        NaN for a metric without a better direction.
        """
        metric = metric_of(self.metric)
        signs = {"lower": -1.0, "higher": 1.0}
        if metric.better in signs:
            return signs[metric.better] * self.difference
        return metric.loss(self.theirs) - metric.loss(self.ours)

    @property
    def gain_interval(self) -> tuple[float, float] | None:
        """The 95 % interval of `gain`; None without a test, and for a metric without a better direction."""
        if self.interval is None:
            return None
        low, high = self.interval
        metric = metric_of(self.metric)
        if metric.better == "higher" or (metric.better == "one" and max(self.ours, self.theirs) <= metric.best):
            return low, high
        if metric.better == "lower" or (metric.better == "one" and min(self.ours, self.theirs) >= metric.best):
            return -high, -low
        return None

    @property
    def has_best_between(self) -> bool:
        """Whether the best value lies between the two means, as for a residual enhancement of −80 % against 100 %.

        A test of the difference of −180 then says nothing about which of the two is nearer to 0.
        """
        metric = metric_of(self.metric)
        low, high = sorted((self.ours, self.theirs))
        return metric.better == "one" and low < metric.best < high

    @property
    def outcome(self) -> Outcome:
        """Outcome of the test.

        `better` or `worse` when interval and adjusted p agree; `few` when so few patients cannot give an adjusted p
        below 0.05, whatever their values; `leaning` when only the interval excludes 0; `open` when it does not or the
        metric has no direction; `untested` without a test.
        """
        if self.interval is None or self.p_adjusted is None:
            return "untested"
        low, high = self.interval
        is_outside = not low <= 0 <= high and not math.isnan(self.gain)
        if is_outside and self.p_adjusted < LEVEL:
            return "better" if self.gain > 0 else "worse"
        if is_powerless(self.n, self.comparisons):
            return "few"
        return "leaning" if is_outside else "open"


def is_powerless(n: int, comparisons: int, level: float = LEVEL) -> bool:
    """Returns whether no values of n patients can give an adjusted p below the level.

    Holm multiplies the smallest p by the number of comparisons, and Bonferroni every p.

    Args:
        n: number of patients.
        comparisons: number of tests for which p is adjusted.
        level: of significance.
    """
    return least_p(n) * max(comparisons, 1) >= level


def too_few(n: int) -> str:
    """Returns the clause that n patients are too few for a test."""
    return f"{labels.count(n, 'patient')} {'is' if n == 1 else 'are'} too few for a test"


def compare_with(evaluated: Evaluated, view: View, metric: str, other: str) -> MethodComparison | None:
    """Returns the comparison of the synthetic images with another method; None when they share no patient.

    It is without a test where the evaluation has none, or only one of another question (`has_best_between`).

    Args:
        evaluated: an evaluation folder.
        view: protocol, region and intensities of the scores.
        metric: name of the metric.
        other: name of the other method.
    """
    means = patient_means(evaluated, view, metric)
    ours, theirs = means.get("synthetic", {}), means.get(other, {})
    both = sorted(set(ours) & set(theirs))
    if not both:
        return None
    loss = metric_of(metric).loss
    lost = sum(loss(ours[patient]) > loss(theirs[patient]) for patient in both)
    unit = next(s.unit for s in evaluated.scores if s.metric == metric and view.holds(s))
    first, second = (math.fsum(one[patient] for patient in both) / len(both) for one in (ours, theirs))
    untested = MethodComparison(
        other, metric, unit, len(both), first, second, first - second, None, None, comparisons=0, lost=lost
    )
    test = _test(evaluated, view, metric, other)
    if test is None or test.mean_difference is None or untested.has_best_between:
        return untested
    return _with_test(untested, test)


def _test(evaluated: Evaluated, view: View, metric: str, other: str) -> Comparison | None:
    key = (view.protocol, view.intensity, view.region, metric)
    for test in evaluated.evaluation.comparisons:
        if (test.protocol, test.intensity, test.region, test.metric) != key:
            continue
        if {test.first, test.second} == {"synthetic", other}:
            return test
    return None


def _with_test(untested: MethodComparison, test: Comparison) -> MethodComparison:
    """Returns the comparison with the results of its test, whose methods may be in either order."""
    sign = 1.0 if test.first == "synthetic" else -1.0
    interval = None
    if test.ci_low is not None and test.ci_high is not None:
        low, high = sorted((sign * test.ci_low, sign * test.ci_high))
        interval = (low, high)
    return replace(
        untested,
        n=test.n,
        difference=sign * (test.mean_difference or 0.0),
        interval=interval,
        p_adjusted=test.p_adjusted,
        comparisons=test.comparisons,
        note=test.note or "",
    )


def direction_of(comparison: MethodComparison) -> str:
    """Returns what can be said of the synthetic images, in few words: `better`, `worse on average` and the like.

    Args:
        comparison: with another method.
    """
    outcome, gain = comparison.outcome, comparison.gain
    if outcome in {"better", "worse"}:
        return outcome
    if outcome == "open" or not abs(gain) > 0:
        return "no difference shown"
    return "better on average" if gain > 0 else "worse on average"


def amount_of(comparison: MethodComparison) -> tuple[str, str]:
    """Returns the difference, such as ` by 1.03 points`, and its certainty: interval, p value and n.

    Both are told in the direction of the mean: a worse image is worse by a positive amount.

    Args:
        comparison: with another method.
    """
    gain = comparison.gain
    if math.isnan(gain):
        return "", certainty_of(comparison)
    decimals = labels.decimals_for([gain])
    unit = "points" if comparison.unit.startswith("%") else comparison.unit
    size = f"{labels.number(abs(gain), decimals)} {unit}".rstrip()
    if comparison.outcome == "open":
        return f": mean {size} {'better' if gain > 0 else 'worse'}", _with_interval(comparison, decimals)
    return f" by {size}" if gain else "", _with_interval(comparison, decimals)


def _with_interval(comparison: MethodComparison, decimals: int) -> str:
    if comparison.gain_interval is None:
        return certainty_of(comparison)
    low, high = comparison.gain_interval
    if comparison.gain < 0:
        low, high = -high, -low
    ends = f"95 % interval {labels.number(low, decimals)} to {labels.number(high, decimals)}"
    return f"{ends}, {certainty_of(comparison)}"


def certainty_of(comparison: MethodComparison) -> str:
    """Returns the adjusted p value with the number of comparisons, or why there is none, and the number of patients."""
    patients = labels.count(comparison.n, "patient")
    if comparison.outcome == "few" or comparison.n < MINIMUM_PATIENTS:
        return f"{patients}: too few for a test"
    if comparison.p_adjusted is None:
        return f"{patients}, not tested"
    p = labels.p_value(comparison.p_adjusted)
    p = p if p.startswith("<") else f"=\N{NO-BREAK SPACE}{p}"
    tests = labels.count(comparison.comparisons, "comparison")
    return f"p\N{NO-BREAK SPACE}{p} adjusted for {tests}, {patients}"
