"""Scores by subgroup of patients, such as scanner, field strength or lesion type, for cases that name subgroups."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.schema.results import Evaluated
from voxlate.evaluation.statistics import MINIMUM_PATIENTS, mean_interval
from voxlate.evaluation.statistics.intervals import BOOTSTRAP_FROM, OUTLIER_LIMIT
from voxlate.reporting.case_selection import View
from voxlate.web import labels
from voxlate.web.document import note
from voxlate.web.html import Html, tag
from voxlate.web.tables import Column, Group, table

_HOW = f"by Student's t, from {BOOTSTRAP_FROM} patients on by the studentised bootstrap"


def scores_by_subgroup(evaluated: Evaluated, view: View) -> Html | None:
    """Returns a table of the scores of the synthetic images by subgroup; None when no case names a subgroup.

    Args:
        evaluated: an evaluation folder.
        view: protocol, region, intensities and metric of the scores.
    """
    kinds = dict.fromkeys(kind for case in evaluated.evaluation.cases for kind in case.subgroups)
    if not kinds:
        return None
    groups = [_group(kind, _patients_by_group(evaluated, view, kind)) for kind in kinds]
    columns = [Column("Group", is_row_header=True)]
    columns += [
        Column(title, is_number=True)
        for title in ("n", f"{metric_of(view.metric).label}, mean ± SD", "95 % interval of the mean")
    ]
    remark = (
        f"Means over patients. Intervals of the mean from {MINIMUM_PATIENTS} patients on, {_HOW}. {OUTLIER_LIMIT}. "
        "The gap is the highest group mean minus the lowest. The groups were not tested against each other. "
        f"{labels.DATA_KINDS[evaluated.evaluation.data_kind]}."
    )
    return tag("div", table(columns, groups, label="Scores by subgroup"), note(remark))


def _patients_by_group(evaluated: Evaluated, view: View, kind: str) -> dict[str, dict[str, list[float]]]:
    groups = {case.case: case.subgroups.get(kind, "not stated") for case in evaluated.evaluation.cases}
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for score in evaluated.scores:
        is_ours = view.holds(score) and (score.method, score.metric) == ("synthetic", view.metric)
        if is_ours and math.isfinite(score.value) and score.case in groups:
            values[groups[score.case]][score.patient].append(score.value)
    return values


def _group(kind: str, groups: dict[str, dict[str, list[float]]]) -> Group:
    means = {name: np.array([np.mean(v) for v in patients.values()]) for name, patients in sorted(groups.items())}
    centres = [float(values.mean()) for values in means.values()]
    gap = f", gap {labels.number(max(centres) - min(centres))}" if len(centres) > 1 else ""
    title = f"{kind.replace('_', ' ').capitalize()}{gap}"
    return Group(title, [_row(name, values) for name, values in means.items()])


def _row(name: str, values: np.ndarray) -> tuple[str, str, str, str]:
    decimals = labels.decimals_for([float(values.mean())])
    sd = float(values.std(ddof=1)) if len(values) > 1 else None
    mean = labels.mean_and_sd(float(values.mean()), sd, decimals)
    return name, str(len(values)), mean, _interval(values, decimals)


def _interval(values: np.ndarray, decimals: int) -> str:
    """Returns the 95 % interval of the mean; a dash for too few values, and for values that do not vary."""
    interval = mean_interval(values) if len(values) >= MINIMUM_PATIENTS else None
    if interval is None or math.isnan(interval.low):
        return labels.MISSING
    return " to ".join(labels.number(end, decimals) for end in (interval.low, interval.high))
