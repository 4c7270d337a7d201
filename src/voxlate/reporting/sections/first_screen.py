"""The first screen of a report: the verdict in plain words, the middle case in three planes, and three figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxlate.evaluation.enhancement import RESIDUAL
from voxlate.evaluation.lesions.sentences import UNLABELLED
from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.schema.results import Evaluated
from voxlate.reporting.case_selection import View, usual_first
from voxlate.reporting.figures.quality_plots import patient_means, units_of_metrics
from voxlate.reporting.figures.strip_plot import Strip, strips
from voxlate.reporting.sections.places import SIMPLE_METHODS, Place, places_of
from voxlate.reporting.sections.verdicts import EXPLORATORY, MethodComparison, amount_of, direction_of, too_few
from voxlate.web import labels
from voxlate.web.document import note
from voxlate.web.html import Child, Html, tag
from voxlate.web.tables import Cell, Column, table

_MOST_CARDS = 3
"""Chosen by hand: three cards fill one row of a page."""

_MARKS = {"better": "✓", "worse": "✗", "better on average": "↑", "worse on average": "↓", "no difference shown": "?"}
_CLASSES = {"better": "better", "worse": "worse", "worse on average": "worse"}


def first_screen(evaluated: Evaluated, view: View, middle: Child) -> Html:
    """Returns the first section of the page.

    Args:
        evaluated: an evaluation folder.
        view: protocol, region and intensities of the scores, and the metric of the rank.
        middle: the pictures of the middle case.
    """
    places = places_of(evaluated, view)
    return tag(
        "div",
        tag(
            "div",
            tag("p", headline(places), class_="headline"),
            tag("p", what_was_done(evaluated), class_="lead"),
            tag("div", list(_cards(evaluated, view, places)), class_="cards"),
        ),
        tag("div", middle),
        tag(
            "div", _table(places, _simple_name(places)) if places else None, _terms(places, evaluated), class_="places"
        ),
        class_="first",
    )


def headline(places: Sequence[Place]) -> str:
    """Returns the verdict in a few sentences: against the untouched source, then where a simple method is better.

    Args:
        places: the places judged; those of the same outcome are joined.
    """
    if not places:
        return "Nothing could be compared: no patient has scores of the synthetic image and of a simpler method."
    against_source = [(place.short, place.source) for place in places if place.source is not None]
    beaten = _beaten(places)
    parts = [_against_source(against_source)] if against_source else []
    if beaten:
        parts.append(f"A simple method is {'; '.join(beaten)}.")
    elif any(place.simple is not None and place.simple.gain < 0 for place in places):
        parts.append("No simple method is shown to be better.")
    elif any(place.simple is not None for place in places):
        parts.append("No simple method is better on average.")
    return " ".join([*parts, *_too_few([comparison for _, comparison in against_source])])


def _beaten(places: Sequence[Place]) -> list[str]:
    """Returns where a simple method is better, and where it is better on average without a test that shows it."""
    told = []
    for outcome, words in (("worse", "better"), ("worse on average", "better on average")):
        found = [(place.short, place.simple) for place in places if place.simple is not None]
        where = [(name, one) for name, one in found if direction_of(one) == outcome]
        told += [f"{words} {_places(where)}"] if where else []
    return told


def _places(found: Sequence[tuple[str, MethodComparison]]) -> str:
    """Returns the places of comparisons, each once; those with tests outside the primary family come last, labelled."""
    primary = list(dict.fromkeys(name for name, one in found if not one.is_exploratory))
    others = list(dict.fromkeys(name for name, one in found if one.is_exploratory))
    if not others:
        return _joined(primary)
    return (
        f"{_joined(primary)} and, {EXPLORATORY}, {_joined(others)}" if primary else f"{_joined(others)} ({EXPLORATORY})"
    )


def _against_source(comparisons: Sequence[tuple[str, MethodComparison]]) -> str:
    """Returns the sentence against the untouched source; every place is named once with what holds there."""
    by_direction: dict[str, list[tuple[str, MethodComparison]]] = {}
    for name, comparison in comparisons:
        by_direction.setdefault(direction_of(comparison), []).append((name, comparison))
    told = [f"{direction} {_places(found)}" for direction, found in by_direction.items()]
    return f"Against the untouched source: {'; '.join(told)}."


def _joined(names: Sequence[str]) -> str:
    """Returns `in a`, `in a and in b` or `in a, in b and in c`."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _too_few(found: Sequence[MethodComparison]) -> list[str]:
    """Returns the sentence that no verdict is more than an average, when there are too few patients everywhere."""
    if not found or any(comparison.outcome not in {"few", "untested"} for comparison in found):
        return []
    return [f"{too_few(max(comparison.n for comparison in found))}."]


def what_was_done(evaluated: Evaluated) -> str:
    """Returns the sentence of what was translated and what it was compared with."""
    evaluation = evaluated.evaluation
    direction = evaluation.direction
    real = evaluation.kind_shown
    absent = len(evaluation.missing) + len(evaluation.refused)
    left_out = f" {labels.count(absent, 'further case')} had no result; see below." if absent else ""
    return (
        f"{labels.count(len(evaluation.cases), f'{real}scan')} of {labels.count(evaluation.n_patients, 'patient')} "
        f"translated from "
        f"{direction.source} to synthetic {direction.target} and compared with the {real}{direction.target} of the "
        f"same patient.{left_out}"
    )


def _table(places: Sequence[Place], simple: str) -> Html:
    columns = [
        Column("Where", is_row_header=True),
        Column("Synthetic", is_number=True, class_="ours"),
        Column("Untouched source", is_number=True),
        Column("Synthetic against the source"),
        Column(simple, is_number=True),
        Column("Synthetic against it"),
    ]
    return table(
        columns, [_row(place) for place in places], label="Verdict by place", class_="small stack verdict-table"
    )


def _simple_name(places: Sequence[Place]) -> str:
    """Returns the heading of the simple method: its name where it is the same in all places."""
    names = {labels.method(place.simple.other) for place in places if place.simple is not None}
    return names.pop() if len(names) == 1 else "Best simple method"


def _row(place: Place) -> list[Child | Cell]:
    known = [one for one in (place.source, place.simple) if one is not None]
    unit = tag("small", f" {known[0].unit}") if known[0].unit else None
    decimals = labels.decimals_for([known[0].ours, *(one.theirs for one in known)])
    where = tag("b", f"{place.name[:1].upper()}{place.name[1:]}")
    cells: list[Child | Cell] = [[where, tag("br"), tag("small", metric_of(place.metric).label)]]
    distance = _distance(place.metric, known[0].ours, known[0].our_loss, decimals)
    cells.append(Cell([tag("b", labels.number(known[0].ours, decimals)), unit, *distance]))
    for one in (place.source, place.simple):
        value: Child = labels.MISSING
        if one is not None:
            distance = _distance(place.metric, one.theirs, one.their_loss, decimals)
            value = [labels.number(one.theirs, decimals), unit, *distance]
        if one is not None and one is place.simple:
            value = [value, tag("br"), tag("small", labels.method(one.other))]
        cells += [Cell(value), labels.MISSING if one is None else _told(one)]
    return cells


def _distance(name: str, mean: float, loss: float, decimals: int) -> list[Child]:
    """Returns a line with the mean distance from the best value, where patients lie on both sides of it."""
    metric = metric_of(name)
    told, of_mean = (labels.number(value, decimals) for value in (loss, metric.loss(mean)))
    if metric.better != "one" or told == of_mean:
        return []
    return [tag("br"), tag("small", f"mean distance from {metric.best:g}: {told}")]


def _told(comparison: MethodComparison) -> Child:
    direction = direction_of(comparison)
    mark = tag("span", _MARKS[direction], class_="mark", aria_hidden="true")
    opening = tag("b", f"{direction[:1].upper()}{direction[1:]}")
    amount, certainty = amount_of(comparison)
    text = tag("span", opening, amount, tag("br"), tag("small", certainty))
    return tag("div", mark, text, class_=" ".join(["told", _CLASSES.get(direction, "")]).strip())


def _terms(places: Sequence[Place], evaluated: Evaluated) -> Html:
    """Returns what the words of the table mean, and that lesions were not evaluated where that is so."""
    names, metrics = {place.name for place in places}, {place.metric for place in places}
    parts = ["Mask: the voxels that were evaluated, in most studies the brain."] if "inside the mask" in names else []
    if "in the rim of lesions" in names:
        parts.append("Rim: 5 mm around lesions.")
    if RESIDUAL in metrics:
        parts.append("Residual enhancement: 100 % as in the untouched source, 0 % as in the target.")
    if "in lesions" not in names and evaluated.evaluation.cases:
        parts.append(UNLABELLED)
    return note(" ".join(parts))


def _cards(evaluated: Evaluated, view: View, places: Sequence[Place]) -> Iterator[Html]:
    """Yields one card for each of the first metrics: the mean, and every patient as a dot."""
    best = places[0].simple.other if places and places[0].simple is not None else SIMPLE_METHODS[0]
    units = units_of_metrics(evaluated, view)
    for name in usual_first(units, _MOST_CARDS):
        means = patient_means(evaluated, view, name)
        if "synthetic" not in means:
            continue
        metric = metric_of(name)
        values = {method: list(means[method].values()) for method in ("source", best, "synthetic") if method in means}
        strip = Strip(values, ours="synthetic")
        decimals = labels.decimals_for([strip.mean(method) for method in values])
        number = labels.mean_and_sd(strip.mean("synthetic"), strip.sd("synthetic"), decimals).split(" ", 1)
        spread = f" {number[1]}" if len(number) > 1 else ""
        title = [tag("b", f"{metric.label} {metric.arrow}".rstrip()), f" {metric.direction}"]
        value = [number[0], tag("small", f"{spread} {units[name]}".rstrip())]
        yield tag(
            "div",
            tag("span", title, class_="name", title=metric.meaning or None),
            tag("span", value, class_="value"),
            strips(strip, name=f"strip-{name}", metric=metric, decimals=decimals),
            class_="card",
        )
