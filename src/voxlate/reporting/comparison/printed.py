"""A table as a paper prints it: a block of rows per test set, mean ± SD, stars, and the best value in bold."""

from __future__ import annotations

from collections.abc import Sequence

from voxlate.evaluation.comparison.schema import ComparedTest
from voxlate.evaluation.metrics import metric_of
from voxlate.reporting.comparison.sentences import outcome_for
from voxlate.reporting.comparison.view import (
    CORRECTIONS,
    MOST_COLUMNS,
    SOURCE,
    TEST_NAMES,
    Place,
    Results,
    TableView,
    methods_of,
    name_of,
    set_name,
)
from voxlate.web import labels
from voxlate.web.document import note
from voxlate.web.html import Child, Html, tag
from voxlate.web.tables import Cell, Column, Group, table

STAR, OPEN, FOOT = "*", "≈", "†"


def printed_table(results: Results, view: TableView) -> Html:
    """Returns the table with its notes.

    Args:
        results: rows and tests.
        view: which columns.
    """
    comparison = results.comparison
    columns = [Column("Method", is_row_header=True), Column("n", is_number=True)]
    columns += [Column(_heading(results, view, place), is_number=True) for place in view.places]
    methods = methods_of(comparison)
    blocks = []
    for name in comparison.sets:
        rows = [_row(results, view, name, method) for method in methods]
        blocks.append(Group(f"{set_name(name)} · {_patients(results.n(view, name))}", [row for row in rows if row]))
    class_ = "printed dense" if len(view.places) > MOST_COLUMNS else "printed"
    content = table(columns, blocks, label=view.title, class_=class_)
    return tag("div", content, note(_note(results, view)), _systems_without(results))


def _patients(n: str) -> str:
    """Returns `1 patient`, `3 patients` or, where methods differ, `2–3 patients`."""
    return "1 patient" if n == "1" else f"{n} patients"


def _heading(results: Results, view: TableView, place: Place) -> Child:
    region, name = place
    metric = metric_of(name)
    unit = next((row.unit for row in results.column(view, place)), metric.unit)
    where = f"{region.replace('_', ' ')}: " if view.has_regions else ""
    return [f"{where}{metric.label} {metric.arrow} ", tag("small", labels.unit(unit))]


def _row(results: Results, view: TableView, name: str, method: str) -> list[Child | Cell] | None:
    rows = {place: results.row(view, name, method, place) for place in view.places}
    is_system = method in results.comparison.system_names
    if not is_system and not any(row is not None and row.mean is not None for row in rows.values()):
        return None
    told = [tag("b", name_of(method)) if is_system else name_of(method)]
    if _reason(results, method):
        told.append(tag("sup", FOOT))
    n = labels.extent(row.n for row in rows.values() if row is not None)
    return [told, n, *(_cell(results, view, name, method, place) for place in view.places)]


def _cell(results: Results, view: TableView, name: str, method: str, place: Place) -> Child:
    row = results.row(view, name, method, place)
    if row is None or row.mean is None:
        return [labels.MISSING, tag("sup", class_="blank")]
    decimals = labels.decimals_for(other.mean for other in results.column(view, place))
    value = labels.mean_and_sd(row.mean, row.sd, decimals)
    best = results.best(view, name, place)
    marks = _marks(results, view, name, (method, best), place)
    return [tag("b", value) if method == best else value, tag("sup", marks, class_=None if marks else "blank")]


def _marks(results: Results, view: TableView, name: str, pair: tuple[str, str], place: Place) -> str:
    """Returns a star for a system that differs from the source, and a mark where the best is not shown to be better."""
    method, best = pair
    against_source = results.test(view, name, method, SOURCE, place)
    is_system = method in results.comparison.system_names
    star = STAR if is_system and against_source is not None and against_source.is_significant else ""
    against_best = results.test(view, name, method, best, place) if best and method != best else None
    is_open = against_best is not None and (
        not against_best.is_significant or outcome_for(best, against_best) == "worse"
    )
    return star + (OPEN if is_open else "")


def _reason(results: Results, method: str) -> str:
    return next((system.reason for system in results.comparison.systems if system.name == method), "")


def _systems_without(results: Results) -> Html | None:
    """Returns why systems have no scores or answer nothing; None when all do."""
    told = [
        tag("p", FOOT, " ", tag("b", system.name), f": {labels.without_paths(system.reason)}.", class_="note")
        for system in results.comparison.systems
        if system.reason
    ]
    return tag("div", told) if told else None


def _note(results: Results, view: TableView) -> str:
    comparison = results.comparison
    tests = [test for test in _tests_of(results, view) if test.m]
    parts = ["Mean ± standard deviation over patients.", f"{labels.DATA_KINDS[comparison.data_kind]}."]
    if not tests:
        return " ".join([*parts, "No test was run: no two methods share three patients."])
    levels = sorted({test.alpha for test in tests})
    level = " or ".join(f"{alpha:g}" for alpha in levels)
    how = f"{TEST_NAMES[comparison.test]}, {CORRECTIONS[comparison.correction]}"
    sizes = _sizes(tests)
    if SOURCE in comparison.baselines:
        parts.append(
            f"{STAR} differs from the untouched source, p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}{level} ({how}{sizes}); "
            "the means show the direction."
        )
    parts.append(
        f"Bold: the best mean of a set. {OPEN} not shown to be worse than the best, which does not show that there is "
        f"no difference. Not tested, and so without {OPEN}: baselines against a best baseline, and references."
    )
    parts += _powerless(tests) if comparison.test == "permutation" else []
    return " ".join(parts)


def _tests_of(results: Results, view: TableView) -> list[ComparedTest]:
    key = (view.protocol, view.intensity)
    return [
        test
        for test in results.comparison.tests
        if (test.protocol, test.intensity) == key and (test.region, test.metric) in view.places
    ]


def _sizes(tests: Sequence[ComparedTest]) -> str:
    """Returns the number of tests of the families that the table shows."""
    sizes = sorted({test.m for test in tests})
    between = f"m = {sizes[0]}" if len(sizes) == 1 else f"m = {sizes[0]} to {sizes[-1]}"
    return f" for {between} tests of a family"


def _powerless(tests: Sequence[ComparedTest]) -> list[str]:
    """Returns the remark that no test of so few patients can reach the level."""
    noted = list(dict.fromkeys(test.note for test in tests if test.note))
    return [f"Few patients: {noted[0]}."] if noted else []
