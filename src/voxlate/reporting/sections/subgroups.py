"""Scores by group of patients (scanner, field, lesion type), where the cases carry such columns."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
from scipy import stats

from voxlate.evaluation.results import Evaluated
from voxlate.reporting import labels
from voxlate.reporting.case_selection import View
from voxlate.reporting.sections.quality import scrolling
from voxlate.web.html import Html, tag

_FEWEST = 3


def table(evaluated: Evaluated, view: View) -> Html | None:
    """Returns MAE of the synthetic image by subgroup with its gap; nothing when no case names a subgroup."""
    kinds = dict.fromkeys(kind for case in evaluated.evaluation.cases for kind in case.subgroups)
    if not kinds:
        return None
    bodies = [_body(kind, _patients_by_group(evaluated, view, kind)) for kind in kinds]
    titles = ["Group", "n", "MAE, mean ± SD", "95 % interval of the mean"]
    head = [tag("th", title, scope="col", class_="num" if at else None) for at, title in enumerate(titles)]
    note = (
        "Mean over patients; interval by Student's t, given from three patients on. The gap is the worst group's mean "
        "minus the best one's. Groups were not tested against each other. "
        f"{labels.DATA_KINDS[evaluated.evaluation.data_kind]}."
    )
    content = tag("table", tag("thead", tag("tr", head)), bodies)
    return tag("div", scrolling(content, label="Scores by subgroup"), tag("p", note, class_="note"))


def _patients_by_group(evaluated: Evaluated, view: View, kind: str) -> dict[str, dict[str, list[float]]]:
    groups = {case.case: case.subgroups.get(kind, "not stated") for case in evaluated.evaluation.cases}
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for score in evaluated.scores:
        is_ours = view.holds(score) and (score.method, score.metric) == ("synthetic", "mae")
        if is_ours and math.isfinite(score.value) and score.case in groups:
            values[groups[score.case]][score.patient].append(score.value)
    return values


def mean_interval(values: np.ndarray) -> tuple[float, float] | None:
    """Returns the 95 % interval of the mean by Student's t, from three values on."""
    if len(values) < _FEWEST:
        return None
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def _body(kind: str, groups: dict[str, dict[str, list[float]]]) -> Html:
    means = {name: np.array([np.mean(v) for v in patients.values()]) for name, patients in sorted(groups.items())}
    centres = [float(values.mean()) for values in means.values()]
    gap = f", gap {labels.number(max(centres) - min(centres))}" if len(centres) > 1 else ""
    heading = tag(
        "tr", tag("th", f"{kind.replace('_', ' ').capitalize()}{gap}", colspan=4, scope="rowgroup"), class_="group"
    )
    return tag("tbody", heading, [_line(name, values) for name, values in means.items()])


def _line(name: str, values: np.ndarray) -> Html:
    decimals = labels.decimals_for([float(values.mean())])
    sd = float(values.std(ddof=1)) if len(values) > 1 else None
    interval = mean_interval(values)
    texts = [
        str(len(values)),
        f"{labels.number(float(values.mean()), decimals)} ± {labels.number(sd, decimals)}",
        " to ".join(labels.number(end, decimals) for end in interval) if interval else labels.MISSING,
    ]
    return tag("tr", tag("th", name, scope="row"), [tag("td", text, class_="num") for text in texts])
