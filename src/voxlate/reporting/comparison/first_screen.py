"""The first screen of a comparison: which system is best, what is shown of it, and every patient as a dot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxlate.evaluation.comparison.schema import ComparedTest
from voxlate.evaluation.comparison.tables import ScoreTables
from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.protocols import AS_WRITTEN
from voxlate.evaluation.schema.table import MetricKey
from voxlate.reporting.comparison.pictures import patient_means_by_set
from voxlate.reporting.comparison.sentences import outcome_for, outcome_of
from voxlate.reporting.comparison.view import SOURCE, Results, TableView, name_of, set_name
from voxlate.reporting.figures.strip_plot import Strip, strips
from voxlate.reporting.sections.verdicts import is_powerless, too_few
from voxlate.web import labels
from voxlate.web.html import Html, tag

_MOST_CARDS = 4
"""Sets that are drawn. Chosen by hand: two rows of two cards."""


def first_screen(results: Results, view: TableView, tables: ScoreTables) -> Html | None:
    """Returns the verdict in plain words and one small plot per set; None without a metric.

    Args:
        results: rows and tests.
        view: the main table; its first column is the metric of the screen.
        tables: scores by set.
    """
    if not view.places:
        return None
    sentences = headline(results, view)
    first, rest = sentences[0], sentences[1:]
    return tag(
        "div",
        tag("p", first, class_="headline"),
        tag("ul", [tag("li", sentence) for sentence in rest], class_="remarks") if rest else None,
        tag("div", list(_cards(results, view, tables)), class_="cards"),
        class_="first-of-systems",
    )


def headline(results: Results, view: TableView) -> list[str]:
    """Returns the sentences of the first screen: the best system, against the source, against the others, the absent.

    Args:
        results: rows and tests.
        view: the main table; its first column is the metric.
    """
    told = [*_best(results, view), *_unequal(results)]
    told += [*_against_source(results, view), *_against_others(results, view)]
    comparison = results.comparison
    silent = [system for system in comparison.systems if system.is_collapsed or not system.n_evaluated]
    if silent:
        named = ", ".join(f"{system.name} ({'collapsed' if system.is_collapsed else 'no scores'})" for system in silent)
        told.append(f"Without a usable answer: {named}.")
    return told


def _best(results: Results, view: TableView) -> Iterator[str]:
    label = metric_of(view.places[0][1]).label
    comparison = results.comparison
    by_method: dict[str, list[str]] = {}
    for name in comparison.sets:
        best = results.best(view, name, view.places[0])
        if best:
            by_method.setdefault(best, []).append(set_name(name))
    if not by_method:
        yield f"No two methods have a mean {label}, so that none is the best."
        return
    parts: list[str] = []
    for best, names in by_method.items():
        if best in comparison.system_names:
            told = f"{best} has the best mean {label}"
        else:
            told = f"{'no' if parts else 'No'} system has a better mean {label} than the {name_of(best).lower()}"
        parts.append(told + _in_sets(results, names))
    yield f"{'; '.join(parts)}."


def _unequal(results: Results) -> Iterator[str]:
    """Yields that means are over different cases, where systems have different numbers of them."""
    numbers = {one.name: one.n_evaluated for one in results.comparison.systems if one.n_evaluated}
    if len(set(numbers.values())) > 1:
        counts = ", ".join(f"{name} {number}" for name, number in numbers.items())
        yield f"Each mean is over the cases that its system has ({counts}); tests are over those that both have."


def _in_sets(results: Results, names: Sequence[str]) -> str:
    """Returns ` in A and B`; empty where all patients are one set."""
    return f" in {' and '.join(names)}" if len(results.comparison.sets) > 1 else ""


def _against_source(results: Results, view: TableView) -> Iterator[str]:
    """Yields what the tests against the untouched source show, one sentence for better, worse and neither."""
    comparison = results.comparison
    found = {
        (system, name): results.test(view, name, system, SOURCE, view.places[0])
        for system in comparison.system_names
        for name in comparison.sets
    }
    tests = {key: test for key, test in found.items() if test is not None}
    if not tests:
        return
    shown = False
    for outcome in ("better", "worse"):
        own = [key for key, test in tests.items() if outcome_of(test) == outcome]
        if own:
            shown = True
            yield f"Shown to be {outcome} than the untouched source: {_listed(own, len(comparison.sets))}."
    if not shown:
        yield f"No system is shown to differ from the untouched source{_too_few(results, list(tests.values()))}."


def _against_others(results: Results, view: TableView) -> Iterator[str]:
    """Yields what the tests of the best system against the other systems show."""
    comparison = results.comparison
    by_clause: dict[tuple[str, str], list[str]] = {}
    for name in comparison.sets:
        best = results.best(view, name, view.places[0])
        clause = _clause(results, view, name, best) if best in comparison.system_names else ""
        if clause:
            by_clause.setdefault((best, clause), []).append(set_name(name))
    for (best, clause), names in by_clause.items():
        yield f"{best} is{_in_sets(results, names)} {clause}."


def _clause(results: Results, view: TableView, name: str, best: str) -> str:
    """Returns what is shown of the best system of a set, such as `shown to be better than a`; empty without tests.

    A system that lacks hard cases can have the best mean and yet be worse on the cases that it shares with another.
    """
    rivals = [other for other in results.comparison.system_names if other != best]
    tests = {other: results.test(view, name, best, other, view.places[0]) for other in rivals}
    known = {other: test for other, test in tests.items() if test is not None and test.mean_difference is not None}
    parts, left = [], list(known)
    for outcome, told in (("better", "better than {}"), ("worse", "worse than {} on the cases that both have")):
        own = [other for other, test in known.items() if outcome_for(best, test) == outcome]
        left = [other for other in left if other not in own]
        parts += [f"shown to be {told.format(', '.join(own))}"] if own else []
    if left:
        parts.append(f"not shown to differ from {', '.join(left)}{_too_few(results, [known[one] for one in left])}")
    return "; ".join(parts)


def _listed(keys: Sequence[tuple[str, str]], sets: int) -> str:
    by_system: dict[str, list[str]] = {}
    for system, name in keys:
        by_system.setdefault(system, []).append(set_name(name))
    if sets == 1:
        return ", ".join(by_system)
    return ", ".join(f"{system} ({', '.join(names)})" for system, names in by_system.items())


def _too_few(results: Results, tests: Sequence[ComparedTest]) -> str:
    """Returns the reason when no values of so few patients could show a difference; empty otherwise."""
    comparison = results.comparison
    if comparison.test != "permutation":
        return ""
    is_adjusted = comparison.correction != "none"
    if not tests or not all(is_powerless(test.n, test.m if is_adjusted else 1, test.alpha) for test in tests):
        return ""
    return f": {too_few(max(test.n for test in tests))}"


def _cards(results: Results, view: TableView, tables: ScoreTables) -> Iterator[Html]:
    """Yields a plot of the first metric for each set."""
    comparison = results.comparison
    region, name = view.places[0]
    means = patient_means_by_set(comparison, tables, MetricKey(view.protocol, AS_WRITTEN, region, name))
    metric = metric_of(name)
    unit = next((row.unit for row in comparison.summary if (row.protocol, row.metric) == (view.protocol, name)), "")
    for at, of in enumerate(comparison.sets[:_MOST_CARDS]):
        values = {method: list(own.values()) for method, own in means.get(set_name(of), {}).items()}
        if not values:
            continue
        strip = Strip(values, ours=results.best(view, of, view.places[0]))
        decimals = labels.decimals_for([strip.mean(method) for method in values])
        heading = [tag("b", set_name(of)), f" · {metric.label} {unit}".rstrip(), f" · {metric.direction}"]
        drawn = strips(strip, name=f"strip-set-{at}", metric=metric, decimals=decimals)
        yield tag("div", tag("span", heading, class_="name"), drawn, class_="card")
