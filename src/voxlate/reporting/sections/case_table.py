"""The table of all cases: scores of the leading view, and why a case has no scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.schema.results import Evaluated
from voxlate.reporting.case_selection import View, ranked, usual_first
from voxlate.reporting.figures.quality_plots import units_of_metrics
from voxlate.web import labels
from voxlate.web.document import note
from voxlate.web.html import Child, Html, tag
from voxlate.web.tables import Cell, Column, number_cell, table

_METHODS = {"source": "source", "histogram_match": "match", "synthetic": "synthetic"}
"""Methods that the table compares, with short headings."""

_MOST_METRICS = 3
"""Chosen by hand: three metrics of three methods are nine columns."""

_LOST_MARK = "▾"

Scores = dict[tuple[str, str, str], float]
"""Value by case, method and metric."""


def scores_by_case(evaluated: Evaluated, view: View) -> Html:
    """Returns the table of all cases in the order of their rank; a script can sort it by any column.

    Args:
        evaluated: an evaluation folder.
        view: protocol, region and intensities of the scores, and the metric of the rank.
    """
    scored = units_of_metrics(evaluated, view)
    units = {metric: scored[metric] for metric in usual_first(scored, _MOST_METRICS)}
    scores: Scores = {(s.case, s.method, s.metric): s.value for s in evaluated.scores if view.holds(s)}
    ranks = {score.case: rank for rank, score in enumerate(ranked(evaluated, view), start=1)}
    names = sorted((c.case for c in evaluated.evaluation.cases), key=lambda name: (ranks.get(name, math.inf), name))
    decimals = {m: labels.decimals_for(v for (_, _, metric), v in scores.items() if metric == m) for m in units}
    methods = [method for method in _METHODS if method in evaluated.evaluation.methods]
    rows = [_row(name, methods, scores, decimals=decimals, rank=ranks.get(name)) for name in names]
    empty = [labels.MISSING] * (len(methods) * len(units))
    rows += [[labels.MISSING, name, *empty, labels.without_paths(state)] for name, state in _without_scores(evaluated)]
    remark = (
        f"Protocol {view.protocol}, region {view.region.replace('_', ' ')}, {view.intensity.replace('_', ' ')}. "
        f"Rank 1 has the best {metric_of(view.metric).label}. "
        f"{_LOST_MARK} and the remark mark the metrics in which the synthetic image is worse than the untouched "
        "source. The section on cases without a result gives their reasons."
    )
    content = table(
        _columns(units, methods),
        rows,
        label="Scores of all cases",
        class_="cases sortable",
        spans=_metric_headings(units, len(methods)),
    )
    return tag("div", content, note(remark))


def _without_scores(evaluated: Evaluated) -> list[tuple[str, str]]:
    evaluation = evaluated.evaluation
    absent = [(case.case, "missing") for case in evaluation.missing]
    return absent + [(case.case, f"refused: {case.code}") for case in evaluation.refused]


def _metric_headings(units: dict[str, str], methods: int) -> list[tuple[Child, int]]:
    metrics: list[tuple[Child, int]] = [
        ([f"{metric_of(metric).label} {metric_of(metric).arrow} ", tag("small", unit)], methods)
        for metric, unit in units.items()
    ]
    return [(None, 1), (None, 1), *metrics, (None, 1)]


def _columns(units: dict[str, str], methods: Sequence[str]) -> list[Column]:
    scores = [
        Column(_METHODS[method], is_number=True, class_=_classes(at, method))
        for _ in units
        for at, method in enumerate(methods)
    ]
    return [Column("Rank", is_number=True), Column("Case", is_row_header=True), *scores, Column("Remark")]


def _classes(at: int, method: str) -> str:
    return " ".join(["first"] * (at == 0) + ["ours"] * (method == "synthetic"))


def _row(
    name: str, methods: Sequence[str], scores: Scores, *, decimals: dict[str, int], rank: int | None
) -> list[Child | Cell]:
    cells: list[Child | Cell] = [rank if rank is not None else labels.MISSING, name]
    lost = []
    for metric, places in decimals.items():
        loss = metric_of(metric).loss
        before, after = (scores.get((name, method, metric), math.nan) for method in ("source", "synthetic"))
        is_worse = loss(after) > loss(before)
        lost += [metric_of(metric).label] if is_worse else []
        for method in methods:
            value = scores.get((name, method, metric), math.nan)
            cells.append(_score_cell(value, places, is_marked=is_worse and method == "synthetic"))
    return [*cells, f"worse in {', '.join(lost)}" if lost else ""]


def _score_cell(value: float, decimals: int, *, is_marked: bool) -> Cell:
    mark = tag("span", _LOST_MARK, class_="lost") if is_marked else None
    return number_cell(value, [mark, labels.number(value, decimals)])
