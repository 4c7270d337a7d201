"""Whether the model beat a simpler method, said only as far as the tests carry."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from voxlate.evaluation.results import Comparison, Evaluated
from voxlate.reporting import labels
from voxlate.reporting.case_selection import View
from voxlate.reporting.figures.quality_plots import patient_means
from voxlate.reporting.sections.quality import LEVEL
from voxlate.web.html import Html, tag

Outcome = Literal["better", "worse", "leaning", "open", "untested"]


@dataclass(frozen=True)
class Gain:
    """How the synthetic image compares with another method on one metric.

    Attributes:
        difference: mean over patients of synthetic minus the other method, in `unit`.
        interval: 95 % confidence interval of `difference`; `None` where none was computed.
        p_adjusted: after correction for `comparisons`.
        lost: patients in whom the synthetic image is worse.
        note: what the evaluation remarked on the test.
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
        """Returns `better` or `worse` only when interval and adjusted p agree.

        `leaning` when the interval alone excludes 0, `open` when it does not, `untested` without a test.
        """
        if self.interval is None or self.p_adjusted is None:
            return "untested"
        low, high = self.interval
        known = labels.metric(self.metric)
        if low <= 0 <= high or known.better not in {"lower", "higher"}:
            return "open"
        if self.p_adjusted >= LEVEL:
            return "leaning"
        return "better" if (self.difference < 0) == (known.better == "lower") else "worse"


def gain(evaluated: Evaluated, view: View, metric: str, other: str) -> Gain | None:
    """Returns how the synthetic image compares with `other`; nothing when the two share no patient."""
    means = patient_means(evaluated, view, metric)
    ours, theirs = means.get("synthetic", {}), means.get(other, {})
    both = sorted(set(ours) & set(theirs))
    if not both:
        return None
    known = labels.metric(metric)
    lost = sum(known.loss(ours[patient]) > known.loss(theirs[patient]) for patient in both)
    unit = next(s.unit for s in evaluated.scores if s.metric == metric and view.holds(s))
    plain = math.fsum(ours[patient] - theirs[patient] for patient in both) / len(both)
    empty = Gain(other, metric, unit, len(both), plain, None, None, 0, lost)
    test = _test(evaluated, view, metric, other)
    return empty if test is None or test.mean_difference is None else _tested(empty, test)


def _test(evaluated: Evaluated, view: View, metric: str, other: str) -> Comparison | None:
    place = (view.protocol, view.intensity, view.region, metric)
    for test in evaluated.evaluation.comparisons:
        if (test.protocol, test.intensity, test.region, test.metric) != place:
            continue
        if {test.first, test.second} == {"synthetic", other}:
            return test
    return None


def _tested(found: Gain, test: Comparison) -> Gain:
    sign = 1.0 if test.first == "synthetic" else -1.0
    interval = None
    if test.ci_low is not None and test.ci_high is not None:
        low, high = sorted((sign * test.ci_low, sign * test.ci_high))
        interval = (low, high)
    return replace(
        found,
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
    "leaning": "Not shown to differ from the {other} after adjustment, though the 95 % interval excludes 0.",
    "open": "No difference from the {other} was shown, which is no proof that there is none.",
    "untested": "Not tested against the {other}.",
}
_MARKS = {"better": "✓", "worse": "✗", "leaning": "~", "open": "?", "untested": "?"}


def sentence(found: Gain) -> Html:
    """Returns one list item that says how the model did against the other method."""
    known = labels.metric(found.metric)
    other = labels.method(found.other).lower()
    unit = "points" if found.unit.startswith("%") else found.unit
    decimals = labels.decimals_for([found.difference])
    direction = "lower" if found.difference < 0 else "higher"
    facts = f"Its {known.label} is {labels.number(abs(found.difference), decimals)} {unit}".rstrip() + f" {direction}"
    facts += f" ({_certainty(found, decimals)})." if found.interval else f" ({labels.n_is(found.n)})."
    patients = labels.count(found.n, "patient")
    losses = f"It is worse in {found.lost} of {patients}." if found.lost else f"It is worse in none of {patients}."
    opening = _OPENINGS[found.outcome].format(other=other)
    notes = [note for note in (labels.without_paths(found.note), _floor(found)) if note]
    remark = f" Remark: {'; '.join(notes)}." if notes else ""
    mark = tag("span", _MARKS[found.outcome], class_="mark", aria_hidden="true")
    return tag(
        "li", mark, tag("div", tag("b", opening), f" {facts} {losses}{remark}"), class_=f"verdict {found.outcome}"
    )


def _floor(found: Gain) -> str:
    """Says when no result at all could have been significant: n patients have 2ⁿ sign flips, two of them extreme."""
    least = 2.0 ** (1 - found.n) * found.comparisons
    if found.outcome != "leaning" or least < LEVEL:
        return ""
    compared = labels.count(found.comparisons, "comparison")
    return f"with {labels.count(found.n, 'patient')} and {compared} hardly any adjusted p below {LEVEL} is possible"


def _certainty(found: Gain, decimals: int) -> str:
    low, high = found.interval or (math.nan, math.nan)
    if found.difference < 0:
        low, high = -high, -low
    interval = f"95 % interval {labels.number(low, decimals)} to {labels.number(high, decimals)}"
    p = labels.p_value(found.p_adjusted)
    p = p if p.startswith("<") else f"=\N{NO-BREAK SPACE}{p}"
    return f"{interval}, p {p} adjusted for {labels.count(found.comparisons, 'comparison')}, {labels.n_is(found.n)}"
