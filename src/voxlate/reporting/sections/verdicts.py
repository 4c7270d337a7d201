"""Verdicts on whether the model is better than a simpler method, as far as the tests allow one.

`better` and `worse` need both a 95 % interval that excludes 0 and an adjusted p below 0.05. Everything else is told as
an average, with the reason why it is no more: no test, too few patients for one, or a test that showed nothing. Without
a test, an average is told as better or worse only if its interval excludes 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from voxlate.evaluation.metrics import Metric, metric_of
from voxlate.evaluation.schema.results import Comparison, Evaluated
from voxlate.evaluation.statistics import MINIMUM_PATIENTS, least_p, mean_interval, sign_flip
from voxlate.evaluation.statistics.samples import Values
from voxlate.reporting.case_selection import View
from voxlate.reporting.figures.quality_plots import patient_means
from voxlate.reporting.sections.quality import LEVEL
from voxlate.web import labels

EXPLORATORY = "exploratory"
"""Label of tests outside the primary family, as in `Comparison.family`."""

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
        our_loss: mean over these patients of `Metric.loss` of the synthetic images, such that lower is better: for
            residual enhancement of +100 % in one patient and -100 % in another the mean is 0, and the loss 100.
        their_loss: the same of the other method.
        gain: by how much the synthetic images are better, in `unit`, over patients; negative when they are worse; NaN
            for a metric without a better direction.
        gain_interval: 95 % confidence interval of `gain`; None when none was computed.
        p_adjusted: p value adjusted for `comparisons` tests; None without a test.
        comparisons: number of tests in the family.
        note: remark of the evaluation on the test.
        is_primary: whether the test is of the one family that was fixed before the data were seen.
    """

    other: str
    metric: str
    unit: str
    n: int
    ours: float
    theirs: float
    our_loss: float
    their_loss: float
    gain: float
    gain_interval: tuple[float, float] | None
    p_adjusted: float | None
    comparisons: int
    note: str = ""
    is_primary: bool = False

    @property
    def is_exploratory(self) -> bool:
        """Returns whether a test was run that is not of the primary family; such a result supports no claim."""
        return not self.is_primary and self.outcome not in {"few", "untested"}

    @property
    def outcome(self) -> Outcome:
        """Outcome of the test.

        `better` or `worse` when interval and adjusted p agree; `few` when so few patients cannot give an adjusted p
        below 0.05, whatever their values; `leaning` when only the interval excludes 0; `open` when it does not or the
        metric has no direction; `untested` without a test.
        """
        has_direction = not math.isnan(self.gain)
        if self.p_adjusted is None or (has_direction and self.gain_interval is None):
            return "untested"
        is_outside = self.gain_interval is not None and not self.gain_interval[0] <= 0 <= self.gain_interval[1]
        if is_outside and self.p_adjusted < LEVEL:
            return "better" if self.gain > 0 else "worse"
        if is_powerless(self.n, self.comparisons):
            return "few"
        return "leaning" if is_outside else "open"

    @property
    def is_undecided(self) -> bool:
        """Returns whether a test, or without one the interval of the difference, shows no difference."""
        if self.outcome == "untested" and self.gain_interval is not None:
            return self.gain_interval[0] <= 0 <= self.gain_interval[1]
        return self.outcome == "open"


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

    Args:
        evaluated: an evaluation folder.
        view: protocol, region and intensities of the scores.
        metric: name of the metric.
        other: name of the other method.
    """
    means, losses = (patient_means(evaluated, view, metric, are_losses=flag) for flag in (False, True))
    both = sorted(set(means.get("synthetic", {})) & set(means.get(other, {})))
    if not both:
        return None
    ours, theirs, our_losses, their_losses = (
        np.array([of[name][patient] for patient in both]) for of in (means, losses) for name in ("synthetic", other)
    )
    gains = their_losses - our_losses
    untested = MethodComparison(
        other,
        metric,
        next(s.unit for s in evaluated.scores if s.metric == metric and view.holds(s)),
        len(both),
        ours=float(ours.mean()),
        theirs=float(theirs.mean()),
        our_loss=float(our_losses.mean()),
        their_loss=float(their_losses.mean()),
        gain=float(gains.mean()),
        gain_interval=_interval_of(gains),
        p_adjusted=None,
        comparisons=0,
    )
    test = _test(evaluated, view, metric, other)
    if test is None or test.mean_difference is None:
        return untested
    if math.isnan(untested.gain):
        is_primary = test.family == "primary"
        return replace(untested, p_adjusted=test.p_adjusted, comparisons=test.comparisons, is_primary=is_primary)
    direction = _direction(metric_of(metric), ours - theirs, gains)
    return _with_test(untested, test, direction) if direction else _with_test_of_gains(untested, test, gains)


def _interval_of(gains: Values) -> tuple[float, float] | None:
    """Returns the 95 % interval of the mean of gains, (patients,); None for too few patients or without a direction."""
    if len(gains) < MINIMUM_PATIENTS or not np.isfinite(gains).all():
        return None
    interval = mean_interval(gains)
    return None if math.isnan(interval.low) else (interval.low, interval.high)


def _direction(metric: Metric, differences: Values, gains: Values) -> float:
    """Returns 1 where a higher value is better in all patients, -1 where a lower one is, 0 where it depends.

    It depends where values lie on both sides of the best one: a test of the difference of 200 between a residual
    enhancement of +100 % and -100 % says nothing about which of the two is nearer to 0.
    """
    signs = {"higher": 1.0, "lower": -1.0}
    if metric.better in signs:
        return signs[metric.better]
    return next((sign for sign in signs.values() if np.allclose(sign * differences, gains)), 0.0)


def _test(evaluated: Evaluated, view: View, metric: str, other: str) -> Comparison | None:
    key = (view.protocol, view.intensity, view.region, metric)
    for test in evaluated.evaluation.comparisons:
        if (test.protocol, test.intensity, test.region, test.metric) != key:
            continue
        if {test.first, test.second} == {"synthetic", other}:
            return test
    return None


def _with_test(untested: MethodComparison, test: Comparison, direction: float) -> MethodComparison:
    """Returns the comparison with the results of its test, whose methods may be in either order.

    Args:
        untested: the comparison.
        test: of the difference of the two methods.
        direction: 1 where higher values are better, -1 where lower ones are.
    """
    sign = direction if test.first == "synthetic" else -direction
    interval = None
    if test.ci_low is not None and test.ci_high is not None:
        low, high = sorted((sign * test.ci_low, sign * test.ci_high))
        interval = (low, high)
    return replace(
        untested,
        n=test.n,
        gain=sign * (test.mean_difference or 0.0),
        gain_interval=interval,
        p_adjusted=test.p_adjusted,
        comparisons=test.comparisons,
        note=test.note or "",
        is_primary=test.family == "primary",
    )


def _with_test_of_gains(untested: MethodComparison, test: Comparison, gains: Values) -> MethodComparison:
    """Returns the comparison with a test of its own, where values lie on both sides of the best one.

    Args:
        untested: the comparison.
        test: of the difference of the two methods; its family has as many comparisons. Bonferroni's adjustment over
            them needs no other p, and is never below Holm's.
        gains: (patients,), loss of the other method minus that of the synthetic images.
    """
    if test.p_adjusted is None:
        return untested
    has_interval = untested.gain_interval is not None
    p = sign_flip(gains, np.zeros_like(gains)).p
    return replace(
        untested,
        p_adjusted=min(1.0, p * max(test.comparisons, 1)) if has_interval else None,
        comparisons=test.comparisons,
        is_primary=test.family == "primary",
    )


def direction_of(comparison: MethodComparison) -> str:
    """Returns what can be said of the synthetic images, in few words: `better`, `worse on average` and the like.

    Args:
        comparison: with another method.
    """
    outcome, gain = comparison.outcome, comparison.gain
    if outcome in {"better", "worse"}:
        return outcome
    if comparison.is_undecided or not abs(gain) > 0:
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
    # The median of three: where the interval holds 0, its ends say how well the mean is known.
    decimals = labels.decimals_for([gain, *(comparison.gain_interval or ())])
    unit = "points" if comparison.unit.startswith("%") else comparison.unit
    size = f"{labels.number(abs(gain), decimals)} {unit}".rstrip()
    if comparison.is_undecided and gain:
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
    exploratory = f", {EXPLORATORY}" if comparison.is_exploratory else ""
    return f"p\N{NO-BREAK SPACE}{p} adjusted for {tests}, {patients}{exploratory}"
