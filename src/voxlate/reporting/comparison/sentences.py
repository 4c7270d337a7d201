"""What a comparison shows and what it does not, as sentences with intervals; the main metric of each set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from voxlate.evaluation.comparison.schema import ComparedTest, MarginRow
from voxlate.evaluation.metrics import metric_of
from voxlate.reporting.comparison.view import SOURCE, Place, Results, TableView, name_of
from voxlate.web import labels
from voxlate.web.html import Child, Html, tag

Outcome = Literal["better", "equivalent", "worse", "leaning", "open", "untested"]

_VERDICTS: dict[Outcome, tuple[str, str]] = {
    "better": ("✓", "better than {other}"),
    "equivalent": ("✓", "equivalent to {other} within the margin stated before the run"),
    "worse": ("✗", "worse than {other}"),
    "leaning": ("?", "no difference from {other} shown after adjustment, though the interval excludes 0"),
    "open": ("?", "no difference from {other} shown, and none excluded"),
    "untested": ("?", "not tested against {other}"),
}
"""Mark and verdict of each outcome, in the order of the page."""

_CLASSES = {"equivalent": "better"}
"""CSS class where it is not the outcome."""


def shown_and_not_shown(results: Results, view: TableView) -> Html | None:
    """Returns a list of sentences per set, one for each outcome; None without a test.

    Args:
        results: rows and tests.
        view: the main table; its first column is the metric of the sentences.
    """
    if not view.places:
        return None
    lines = [line for name in results.comparison.sets for line in _of_set(results, view, name, view.places[0])]
    return tag("ul", lines, class_="verdicts") if lines else None


def outcome_for(method: str, test: ComparedTest) -> Outcome:
    """Returns what a test shows of one of its two methods."""
    return outcome_of(test if test.first == method else _reversed(test))


def outcome_of(test: ComparedTest) -> Outcome:
    """Returns what a test shows of its first method."""
    difference, better = test.mean_difference, metric_of(test.metric).better
    if difference is None or test.p_adjusted is None:
        return "untested"
    if test.is_significant and better in {"lower", "higher"}:
        return "better" if (difference < 0) == (better == "lower") else "worse"
    if test.equivalence is not None and test.equivalence.is_shown:
        return "equivalent"
    excludes_zero = test.ci_low is not None and test.ci_high is not None and not test.ci_low <= 0 <= test.ci_high
    return "leaning" if excludes_zero else "open"


def _of_set(results: Results, view: TableView, name: str, place: Place) -> Iterator[Html]:
    systems = results.comparison.system_names
    found = [results.test(view, name, system, SOURCE, place) for system in systems]
    where = f"{name}: " if name else ""
    yield from _lines(where, "the untouched source", [test for test in found if test is not None])
    best = results.best(view, name, place)
    if best and best not in systems:
        text = f"{where}no system has a better mean than the {name_of(best).lower()}."
        yield _item("worse", "✗", [tag("b", text)])
        return
    rivals = [results.test(view, name, best, other, place) for other in systems if other != best]
    oriented = [_reversed(test) if test.first == best else test for test in rivals if test is not None]
    yield from _lines(f"{where}{best} has the best mean; ", best, oriented)


def _lines(where: str, other: str, tests: Sequence[ComparedTest]) -> Iterator[Html]:
    """Yields one item per outcome, with all systems that have it."""
    for outcome, (mark, verdict) in _VERDICTS.items():
        own = [test for test in tests if outcome_of(test) == outcome]
        if own:
            told = [[tag("br"), tag("b", test.first), f" {_difference(test)}"] for test in own]
            yield _item(outcome, mark, [tag("b", f"{where}{verdict.format(other=other)}: "), *told])


def _reversed(test: ComparedTest) -> ComparedTest:
    """Returns the test with its methods exchanged."""
    change = {
        "first": test.second,
        "second": test.first,
        "mean_difference": _minus(test.mean_difference),
        "ci_low": _minus(test.ci_high),
        "ci_high": _minus(test.ci_low),
        "equivalence": None if test.equivalence is None else _mirrored(test.equivalence),
        "non_inferiority": None,  # that the second is not worse is another test
    }
    return test.model_copy(update=change)


def _mirrored(row: MarginRow) -> MarginRow:
    return row.model_copy(update={"low": _minus(row.high), "high": _minus(row.low)})


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _item(outcome: Outcome, mark: str, content: Child) -> Html:
    shown = tag("span", mark, class_="mark", aria_hidden="true")
    return tag("li", shown, tag("div", content), class_=f"verdict {_CLASSES.get(outcome, outcome)}")


def _margin(test: ComparedTest, decimals: int, is_turned: bool) -> list[str]:
    """Returns the interval of the test of equivalence and its margin, whether or not equivalence is shown."""
    if test.equivalence is None:
        return []
    row = _mirrored(test.equivalence) if is_turned else test.equivalence
    coverage, p = 100 * (1 - 2 * test.alpha), labels.p_value(row.p)
    ends = f"{labels.number(row.low, decimals)} to {labels.number(row.high, decimals)}"
    shown = "within" if row.is_shown else "not within"
    return [f"{coverage:.4g} % interval {ends} {shown} the margin ± {row.margin:g}, TOST p {p}"]


def _difference(test: ComparedTest) -> str:
    """Returns the difference with its interval and p, such as `MAE 1.2 points lower (95 % interval 0.8 to 1.6, …)`."""
    difference = test.mean_difference or 0.0
    decimals = labels.decimals_for([difference])
    low, high = test.ci_low, test.ci_high
    if difference < 0:
        low, high = _minus(high), _minus(low)
    unit = "points" if test.unit.startswith("%") else labels.unit(test.unit)
    size = f"{labels.number(abs(difference), decimals)} {unit}".rstrip()
    direction = "lower" if difference < 0 else "higher"
    facts = []
    if low is not None and high is not None:
        facts.append(f"95 % interval {labels.number(low, decimals)} to {labels.number(high, decimals)}")
    if test.p_adjusted is not None:
        p = labels.p_value(test.p_adjusted)
        facts.append(f"p\N{NO-BREAK SPACE}{p if p.startswith('<') else f'= {p}'}".replace(" ", "\N{NO-BREAK SPACE}"))
        facts.append(f"m\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{test.m}")
    facts += _margin(test, decimals, difference < 0)
    facts.append(labels.n_is(test.n))
    return f"{metric_of(test.metric).label} {size} {direction} ({', '.join(facts)})"
