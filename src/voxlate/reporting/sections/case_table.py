"""All cases in one table: scores of the leading view, and why a case has none."""

from __future__ import annotations

import math
from collections.abc import Sequence

from voxlate.evaluation.results import Evaluated
from voxlate.reporting import labels
from voxlate.reporting.case_selection import View, ranked
from voxlate.reporting.figures.quality_plots import leading_metrics
from voxlate.reporting.sections.quality import scrolling
from voxlate.web.html import Html, tag

_COMPARED = ("source", "histogram_match", "synthetic")
_SHORT = {"source": "source", "histogram_match": "match", "synthetic": "synthetic"}
_MOST_METRICS = 3

Scores = dict[tuple[str, str, str], float]


def table(evaluated: Evaluated, view: View) -> Html:
    """Returns the table of all cases, in the order of rank, with columns that a script can sort."""
    scored = leading_metrics(evaluated, view)
    units = {metric: scored[metric] for metric in labels.leading(scored, _MOST_METRICS)}
    scores: Scores = {(s.case, s.method, s.metric): s.value for s in evaluated.scores if view.holds(s)}
    ranks = {score.case: rank for rank, score in enumerate(ranked(evaluated, view), start=1)}
    names = sorted((c.case for c in evaluated.evaluation.cases), key=lambda name: (ranks.get(name, math.inf), name))
    decimals = {m: labels.decimals_for(v for (_, _, metric), v in scores.items() if metric == m) for m in units}
    methods = [method for method in _COMPARED if method in evaluated.evaluation.methods]
    lines = [_line(name, methods, scores, decimals=decimals, rank=ranks.get(name)) for name in names]
    lines += [_absent(name, remark, methods * len(units)) for name, remark in _without_scores(evaluated)]
    body = tag("table", _head(units, methods), tag("tbody", lines), class_="cases sortable")
    note = (
        f"Protocol {view.protocol}, region {view.region.replace('_', ' ')}, {view.intensity.replace('_', ' ')}. "
        f"Rank 1 has the best {labels.metric(view.metric).label}. "
        "▾ and the remark mark where the synthetic image loses to the untouched source. "
        "Why a case is missing or was refused is said further below."
    )
    return tag("div", scrolling(body, label="Scores of all cases"), tag("p", note, class_="note"))


def _without_scores(evaluated: Evaluated) -> list[tuple[str, str]]:
    evaluation = evaluated.evaluation
    absent = [(case.case, "missing") for case in evaluation.missing]
    return absent + [(case.case, f"refused: {case.code}") for case in evaluation.refused]


def _head(units: dict[str, str], methods: Sequence[str]) -> Html:
    groups = [tag("td"), tag("td")]
    columns = [_column("Rank", numeric=True), _column("Case")]
    for metric, unit in units.items():
        known = labels.metric(metric)
        title = [f"{known.label} {known.arrow} ", tag("small", unit)]
        groups.append(tag("th", title, colspan=len(methods), scope="colgroup"))
        columns += [_column(_SHORT[method], numeric=True, first=at == 0) for at, method in enumerate(methods)]
    groups.append(tag("td"))
    return tag("thead", tag("tr", groups, class_="groups"), tag("tr", columns, _column("Remark")))


def _column(title: str, *, numeric: bool = False, first: bool = False) -> Html:
    classes = " ".join(name for name, on in (("num", numeric), ("first", first)) if on)
    return tag("th", tag("span", title, class_="title"), scope="col", class_=classes or None)


def _line(name: str, methods: Sequence[str], scores: Scores, *, decimals: dict[str, int], rank: int | None) -> Html:
    cells = [tag("td", rank if rank is not None else labels.MISSING, class_="num"), tag("th", name, scope="row")]
    lost = []
    for metric, places in decimals.items():
        before, after = (scores.get((name, method, metric), math.nan) for method in ("source", "synthetic"))
        is_worse = labels.metric(metric).loss(after) > labels.metric(metric).loss(before)
        lost += [labels.metric(metric).label] if is_worse else []
        for at, method in enumerate(methods):
            mark = "▾" if is_worse and method == "synthetic" else ""
            value = scores.get((name, method, metric), math.nan)
            cells.append(_number_cell(value, places, mark=mark, classes=_classes(at, method)))
    remark = f"loses in {', '.join(lost)}" if lost else ""
    return tag("tr", cells, tag("td", remark))


def _classes(at: int, method: str) -> str:
    return " ".join(["num"] + ["first"] * (at == 0) + ["ours"] * (method == "synthetic"))


def _number_cell(value: float, decimals: int, *, mark: str, classes: str) -> Html:
    key = f"{value:.9g}" if math.isfinite(value) else None
    text = labels.number(value, decimals)
    return tag("td", tag("span", mark, class_="lost") if mark else None, text, class_=classes, data_value=key)


def _absent(name: str, remark: str, methods: Sequence[str]) -> Html:
    empty = [tag("td", labels.MISSING, class_=_classes(0 if method == methods[0] else 1, "")) for method in methods]
    cells = [tag("td", labels.MISSING, class_="num"), tag("th", name, scope="row"), *empty]
    return tag("tr", cells, tag("td", labels.without_paths(remark)))
