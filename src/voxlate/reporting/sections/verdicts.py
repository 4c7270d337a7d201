"""Verdicts on whether the model is better than a simpler method, as far as the tests allow one.

`better` and `worse` need both a 95 % interval that excludes 0 and an adjusted p below 0.05.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.schema.results import Comparison, Evaluated
from voxlate.reporting.case_selection import View
from voxlate.reporting.figures.quality_plots import patient_means
from voxlate.reporting.sections.quality import LEVEL
from voxlate.web import labels
from voxlate.web.html import Html, tag

Outcome = Literal["better", "worse", "leaning", "open", "untested"]


@dataclass(frozen=True)
class MethodComparison:
    """Comparison of the synthetic images with another method on one metric.

    Attributes:
        other: the other method.
        metric: name of the metric.
        unit: unit of `difference`.
        n: number of patients that both methods share.
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
    difference: float
    interval: tuple[float, float] | None
    p_adjusted: float | None
    comparisons: int
    lost: int
    note: str = ""

    @property
    def outcome(self) -> Outcome:
        """Outcome of the test.

        `better` or `worse` when interval and adjusted p agree, `leaning` when only the interval excludes 0, `open` when
        it does not or the metric has no direction, `untested` without a test.
        """
        if self.interval is None or self.p_adjusted is None:
            return "untested"
        low, high = self.interval
        better = metric_of(self.metric).better
        if low <= 0 <= high or better not in {"lower", "higher"}:
            return "open"
        if self.p_adjusted >= LEVEL:
            return "leaning"
        return "better" if (self.difference < 0) == (better == "lower") else "worse"


def compare_with(evaluated: Evaluated, view: View, metric: str, other: str) -> MethodComparison | None:
    """Returns the comparison of the synthetic images with another method; None when they share no patient.

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
    difference = math.fsum(ours[patient] - theirs[patient] for patient in both) / len(both)
    untested = MethodComparison(other, metric, unit, len(both), difference, None, None, 0, lost)
    test = _test(evaluated, view, metric, other)
    return untested if test is None or test.mean_difference is None else _with_test(untested, test)


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


_OPENINGS = {
    "better": "Better than the {other}.",
    "worse": "Worse than the {other}.",
    "leaning": "No significant difference from the {other} after adjustment, but the 95 % interval excludes 0.",
    "open": "No significant difference from the {other}. This does not prove that there is no difference.",
    "untested": "Not tested against the {other}.",
}
_MARKS = {"better": "✓", "worse": "✗", "leaning": "~", "open": "?", "untested": "?"}


def verdict_line(comparison: MethodComparison) -> Html:
    """Returns a list item with the verdict, the difference, its certainty, and the number of patients who lost."""
    label = metric_of(comparison.metric).label
    other = labels.method(comparison.other).lower()
    unit = "points" if comparison.unit.startswith("%") else comparison.unit
    decimals = labels.decimals_for([comparison.difference])
    direction = "lower" if comparison.difference < 0 else "higher"
    facts = f"Its {label} is {labels.number(abs(comparison.difference), decimals)} {unit}".rstrip() + f" {direction}"
    facts += f" ({_certainty(comparison, decimals)})." if comparison.interval else f" ({labels.n_is(comparison.n)})."
    patients = labels.count(comparison.n, "patient")
    losses = (
        f"It is worse in {comparison.lost} of {patients}." if comparison.lost else f"It is worse in none of {patients}."
    )
    opening = _OPENINGS[comparison.outcome].format(other=other)
    notes = [note for note in (labels.without_paths(comparison.note), _power_note(comparison)) if note]
    remark = f" Remark: {'; '.join(notes)}." if notes else ""
    mark = tag("span", _MARKS[comparison.outcome], class_="mark", aria_hidden="true")
    return tag(
        "li", mark, tag("div", tag("b", opening), f" {facts} {losses}{remark}"), class_=f"verdict {comparison.outcome}"
    )


def _power_note(comparison: MethodComparison) -> str:
    """Returns a remark when too few patients make significance impossible: of 2ⁿ sign flips, two are extreme."""
    least = 2.0 ** (1 - comparison.n) * comparison.comparisons
    if comparison.outcome != "leaning" or least < LEVEL:
        return ""
    compared = labels.count(comparison.comparisons, "comparison")
    return f"with {labels.count(comparison.n, 'patient')} and {compared} an adjusted p below {LEVEL} is hardly possible"


def _certainty(comparison: MethodComparison, decimals: int) -> str:
    low, high = comparison.interval or (math.nan, math.nan)
    if comparison.difference < 0:
        low, high = -high, -low
    interval = f"95 % interval {labels.number(low, decimals)} to {labels.number(high, decimals)}"
    p = labels.p_value(comparison.p_adjusted)
    p = p if p.startswith("<") else f"=\N{NO-BREAK SPACE}{p}"
    tests = labels.count(comparison.comparisons, "comparison")
    return f"{interval}, p {p} adjusted for {tests}, {labels.n_is(comparison.n)}"
