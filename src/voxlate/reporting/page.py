"""The report of an evaluation: one HTML file that needs no other file and no network."""

from __future__ import annotations

from pathlib import Path

from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.schema.results import Evaluated, Evaluation, read_evaluation
from voxlate.io.atomic import write_text
from voxlate.reporting.case_selection import View, choose, leading_view
from voxlate.reporting.figures import panels, quality_plots, training_curves, volume_plots
from voxlate.reporting.sections import (
    case_table,
    claim_checklist,
    lesion_tables,
    network_pictures,
    provenance,
    quality,
    subgroups,
)
from voxlate.reporting.summary import summary
from voxlate.reporting.viewer import write_viewer
from voxlate.web import labels
from voxlate.web.document import WARNING, Section, document, header, note
from voxlate.web.html import Html, tag
from voxlate.web.tables import Column, table

VIEWER = "viewer"


def write_report(folder: Path, output: Path, *, title: str | None = None, viewer: bool = False) -> list[str]:
    """Writes the report of an evaluation folder.

    Args:
        folder: holds `evaluation.json` and `scores.tsv`; image paths are relative to it.
        output: the HTML file; an existing one is replaced as a whole.
        title: heading of the report; made from the translation direction when `None`.
        viewer: whether to write the folder `viewer` beside `output` and link to it.

    Returns:
        One line for each case that is missing in the viewer.

    Raises:
        NoInput, InputRefused: see `voxlate.evaluation.schema.results.read_evaluation`.
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    evaluated = read_evaluation(folder)
    left_out = write_viewer(evaluated, output.parent / VIEWER) if viewer else []
    write_text(output, page(evaluated, title=title, viewer=f"{VIEWER}/index.html" if viewer else None))
    return left_out


def page(evaluated: Evaluated, *, title: str | None = None, viewer: str | None = None) -> str:
    """Returns the report as HTML text.

    Args:
        evaluated: an evaluation folder.
        title: heading; made from the translation direction when `None`.
        viewer: relative address of the viewer to link to.
    """
    evaluation = evaluated.evaluation
    heading = title or f"From {evaluation.direction.source} to synthetic {evaluation.direction.target}"
    facts = [
        labels.DATA_KINDS[evaluation.data_kind],
        labels.count(len({case.patient for case in evaluation.cases}), "patient"),
        labels.count(len(evaluation.cases), "case"),
        f"voxlate {evaluation.voxlate_version}",
    ]
    sections = _sections(evaluated, leading_view(evaluated), viewer)
    return document(f"{heading} · voxlate report", header(heading, facts), sections, footer=WARNING)


def _sections(evaluated: Evaluated, view: View, viewer: str | None) -> list[Section]:
    evaluation = evaluated.evaluation
    return [
        Section("summary", "In plain words", summary(evaluated, view)),
        Section("quality", "Image quality", _quality(evaluation)),
        Section("patients", "Patient by patient", tag("div", quality_plots.box_plots(evaluated, view), class_="plots")),
        Section("pictures", "Best, median and worst case", _pictures(evaluated, view, viewer)),
        Section("cases", "All cases", case_table.scores_by_case(evaluated, view)),
        Section("volumes", "Tissue volumes", _volumes(evaluation)),
        Section("lesions", "Lesions", lesion_tables.tables_by_kind(evaluation.lesions, data_kind=evaluation.data_kind)),
        Section("subgroups", "Subgroups", subgroups.scores_by_subgroup(evaluated, view)),
        Section("absent", "Cases and metrics without a result", _absent(evaluation)),
        Section("training", "Training", training_curves.loss_curves(evaluation.history)),
        Section("network", "Filters and feature maps", network_pictures.sheets(evaluation.network_pictures)),
        Section("claim", "CLAIM 2024 checklist", claim_checklist.checklist(evaluated, view)),
        Section("provenance", "Provenance", provenance.versions_and_hashes(evaluated)),
    ]


def _quality(evaluation: Evaluation) -> Html:
    return Html("".join([*quality.tables(evaluation), quality.error_rate(evaluation) or ""]))


def _volumes(evaluation: Evaluation) -> Html | None:
    rows = lesion_tables.records_table(evaluation.volumes, label="Tissue volumes", data_kind=evaluation.data_kind)
    if rows is None:
        return None
    plots = volume_plots.plots(evaluation.volumes, data_kind=evaluation.data_kind)
    return tag("div", plots, tag("details", tag("summary", "All volumes"), rows))


def _pictures(evaluated: Evaluated, view: View, viewer: str | None) -> Html:
    evaluation = evaluated.evaluation
    shown = panels.figures(
        evaluated.folder,
        choose(evaluated, view),
        direction=evaluation.direction,
        data_kind=evaluation.data_kind,
        unit=evaluation.unit_shown,
    )
    link = tag("a", "Open the interactive viewer", href=viewer)
    opener = tag("p", link, " (a folder beside this file)") if viewer else None
    return tag("div", note(view.rule), opener, shown)


def _absent(evaluation: Evaluation) -> Html:
    rows = [(case.case, "missing", case.reason) for case in evaluation.missing]
    rows += [(case.case, f"refused ({case.code})", case.message) for case in evaluation.refused]
    rows += [
        (entry.case, f"without {metric_of(entry.metric).label} ({entry.protocol})", entry.reason)
        for entry in evaluation.left_out
    ]
    if not rows:
        return tag("p", "None: all metrics were computed for all listed cases.")
    columns = [Column("Case", is_row_header=True), Column("State"), Column("Reason")]
    lines = [(name, state, labels.without_paths(reason)) for name, state, reason in rows]
    return table(columns, lines, label="Cases and metrics without a result", class_="stack")
