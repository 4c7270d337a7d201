"""Box plots of all systems, and the same slices of the same cases for all systems."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxlate.errors import VoxlateError
from voxlate.evaluation.comparison.schema import Compared, SystemsComparison
from voxlate.evaluation.comparison.tables import ScoreTables
from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.protocols import AS_WRITTEN
from voxlate.evaluation.schema.results import EvaluatedCase, Evaluation, read_evaluation_document
from voxlate.evaluation.schema.table import MetricKey, patient_means
from voxlate.reporting.comparison.view import TISSUES, Place, TableView, main_view, set_name
from voxlate.reporting.figures.box_by_system import VOLUME_DIFFERENCE, Sets, draw_boxes
from voxlate.reporting.figures.montage import draw_montage
from voxlate.reporting.figures.montage_layout import Layout
from voxlate.reporting.figures.montage_rows import Column, Row
from voxlate.reporting.figures.quality_plots import no_plots
from voxlate.web import labels
from voxlate.web.document import note
from voxlate.web.html import Html, tag

PLANES = ("axial", "sagittal")
_CASES_OF_SET, _MOST_CASES = 2, 6
"""Cases shown of a set, and of all sets; chosen by hand: two patients of each set as in Bottani 2024, Fig. 3."""


def box_plots(comparison: SystemsComparison, tables: ScoreTables) -> Html | None:
    """Returns box plots of the main metrics and of volume differences; None without a score.

    Where no set has two patients, a sentence stands in place of boxes of a single point.

    Args:
        comparison: content of `comparison.json`.
        tables: scores by set.
    """
    view = main_view(comparison)
    volumes = [(tissue, "vd") for tissue in ("GM", "WM", "CSF")]
    tissues = [one.name for one in comparison.protocols if one.name.startswith(TISSUES)]
    wanted = [("boxes", view.protocol, view.places), *((f"vd-{name}", name, volumes) for name in tissues)]
    found = [(name, protocol, _measured(comparison, tables, protocol, places)) for name, protocol, places in wanted]
    drawn = [(name, protocol, measured) for name, protocol, measured in found if measured]
    if not drawn:
        return None
    if all(one.most_patients == 1 for _, _, measured in drawn for one in measured):
        return no_plots(sets=len(comparison.sets))
    return tag("div", [_boxes(comparison, measured, protocol, name=name) for name, protocol, measured in drawn])


@dataclass(frozen=True)
class _Measured:
    """The values of one metric: its name in the schema, its label and unit, and the values by set and system."""

    metric: str
    label: str
    unit: str
    sets: Sets

    @property
    def most_patients(self) -> int:
        """Returns the number of patients of the largest box."""
        return max(len(patients) for systems in self.sets.values() for patients in systems.values())


def _measured(
    comparison: SystemsComparison, tables: ScoreTables, protocol: str, places: Sequence[Place]
) -> list[_Measured]:
    """Returns the metrics of which a patient has a score; labels name the region where the columns differ in it."""
    found, has_regions = [], len({region for region, _ in places}) > 1
    for region, metric in places:
        key = MetricKey(protocol, AS_WRITTEN, region, metric)
        values = patient_means_by_set(comparison, tables, key)
        if values:
            unit = next(table.unit(key) for table in tables.values() if key in table.measured())
            where = f"{region.replace('_', ' ')}: " if has_regions else ""
            label = region if metric == "vd" else f"{where}{metric_of(metric).label}"
            found.append(_Measured(metric, label, labels.unit(unit), values))
    return found


def _boxes(comparison: SystemsComparison, measured: Sequence[_Measured], protocol: str, *, name: str) -> Html:
    is_volume = any(one.metric == "vd" for one in measured)
    drawing = draw_boxes(
        {one.label: one.sets for one in measured},
        units={one.label: one.unit for one in measured},
        data_kind=comparison.data_kind,
        note=VOLUME_DIFFERENCE if is_volume else "",
        has_zero=is_volume,
    )
    collapsed = sorted(system.name for system in comparison.systems if system.is_collapsed)
    left_out = f"Collapsed and not drawn: {', '.join(collapsed)}." if collapsed else None
    title = f"Volume differences, {protocol.removeprefix(TISSUES)}" if is_volume else f"Protocol {protocol}"
    return tag("div", tag("h3", title), drawing.html(name), note(left_out) if left_out else None, class_="block")


def patient_means_by_set(comparison: SystemsComparison, tables: ScoreTables, key: MetricKey) -> Sets:
    """Returns the mean of each patient's finite scores by set and method, those that have any.

    Args:
        comparison: whose systems are taken, but those that collapsed.
        tables: scores by set.
        key: protocol, kind of intensities, region and metric.
    """
    working = [system.name for system in comparison.systems if not system.is_collapsed]
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, table in tables.items():
        for method in [*comparison.baselines, *working]:
            means = patient_means(table.scores(key, method))
            if means:
                found.setdefault(set_name(name), {})[method] = means
    return found


def same_slices(compared: Compared) -> Html | None:
    """Returns the same slices of the same cases for all systems; a note when the images cannot be read."""
    comparison = compared.comparison
    evaluations = {
        system.name: read_evaluation_document(compared.folder / system.evaluation) for system in comparison.systems
    }
    chosen = chosen_cases(compared)
    if not chosen:
        return None
    direction = comparison.direction
    real = (Column(direction.source, "source"), Column(direction.target, "target"))
    columns = [*real, *(Column(name) for name in comparison.system_names)]
    try:
        rows = [_row(compared, case, evaluations, columns) for case in chosen]
        unit = next(iter(evaluations.values())).unit_shown
        layout = Layout(planes=PLANES, has_contour=False)
        drawing = draw_montage(rows, columns, data_kind=comparison.data_kind, unit=unit, layout=layout)
    except VoxlateError as error:
        return note(f"The images could not be shown ({error.code}): they are no longer where they were evaluated.")
    view = main_view(comparison)
    metric = metric_of(view.places[0][1]).label if view.places else "score"
    rule = (
        f"Of each set, the median and the worst case by the mean {metric} over all systems that did not collapse, at "
        f"most {_MOST_CASES} cases; nobody chose them by eye. Every system is shown at the same slices."
    )
    return tag("div", note(rule), drawing.html("slices"))


def chosen_cases(compared: Compared) -> list[str]:
    """Returns the median and the worst case of each set, by the mean of the main metric over systems."""
    comparison = compared.comparison
    view = main_view(comparison)
    if not view.places:
        return []
    by_set = _losses(compared, view)
    chosen = []
    for name in comparison.sets:
        ranked = sorted(by_set.get(name, {}).items(), key=lambda item: (item[1], item[0]))
        places = dict.fromkeys(((len(ranked) - 1) // 2, len(ranked) - 1)) if ranked else {}
        chosen += [ranked[place][0] for place in list(places)[:_CASES_OF_SET]]
    return chosen[:_MOST_CASES]


def _losses(compared: Compared, view: TableView) -> dict[str, dict[str, float]]:
    comparison = compared.comparison
    working = [system.name for system in comparison.systems if not system.is_collapsed]
    loss = metric_of(view.places[0][1]).loss
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for score in compared.scores:
        place = (score.protocol, score.region, score.metric, score.intensity)
        is_shown = place == (view.protocol, *view.places[0], view.intensity) and score.system in working
        if is_shown and math.isfinite(score.value) and not math.isnan(loss(score.value)):
            values[score.set][score.case].append(loss(score.value))
    return {name: {case: float(np.mean(own)) for case, own in cases.items()} for name, cases in values.items()}


def _row(compared: Compared, case: str, evaluations: dict[str, Evaluation], columns: Sequence[Column]) -> Row:
    """Returns the images of a case with the levels at which the evaluation compared them."""
    found: dict[str, EvaluatedCase] = {}
    for system, evaluation in evaluations.items():
        for one in evaluation.cases:
            if one.case == case:
                found[system] = one
    folder = {system.name: compared.folder / system.evaluation for system in compared.comparison.systems}
    first, one = next(iter(found.items()))
    source, target = columns[0].name, columns[1].name
    images = {source: folder[first] / one.paths.source, target: folder[first] / one.paths.target}
    levels = {source: one.reference_level.source, target: one.reference_level.target}
    for system, own in found.items():
        images[system] = folder[system] / own.paths.synthetic
        levels[system] = own.reference_level.synthetic
    mask = None if one.paths.mask is None else folder[first] / one.paths.mask
    reasons = {system: "no score" for system in evaluations if system not in found}
    return Row(case, images, mask=mask, levels=levels, reasons=reasons)
