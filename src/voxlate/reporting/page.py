"""The report of an evaluation: one HTML file that needs no other file and no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.schema.results import Evaluated, Evaluation, read_evaluation
from voxlate.io.atomic import write_text
from voxlate.reporting.case_selection import View, choose, leading_view, middle_rank
from voxlate.reporting.figures import panels, quality_plots, training_curves, volume_plots
from voxlate.reporting.figures.slices import CONVENTION
from voxlate.reporting.sections import (
    case_table,
    claim_checklist,
    lesion_tables,
    methods,
    network_pictures,
    provenance,
    quality,
    subgroups,
)
from voxlate.reporting.sections.first_screen import first_screen
from voxlate.reporting.sections.remarks import remarks
from voxlate.reporting.viewer import write_viewer
from voxlate.web import labels
from voxlate.web.document import REPORT_TITLE, WARNING, Section, document, header, note, require_report_path
from voxlate.web.html import Html, tag
from voxlate.web.tables import Column, table

VIEWER = "viewer"


def write_report(folder: Path, output: Path, *, title: str | None = None, viewer: bool = False) -> list[str]:
    """Writes the report of an evaluation folder.

    Args:
        folder: holds `evaluation.json` and `scores.tsv`; image paths are relative to it.
        output: the HTML file; an existing report is replaced as a whole.
        title: heading of the report; made from the translation direction when `None`.
        viewer: whether to write the folder `viewer` beside `output` and link to it.

    Returns:
        One line for each case that is missing in the viewer.

    Raises:
        UsageError: see `voxlate.web.document.require_report_path`.
        NoInput, InputRefused: see `voxlate.evaluation.schema.results.read_evaluation`.
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    require_report_path(output)
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
        labels.count(evaluation.n_patients, "patient"),
        labels.count(len(evaluation.cases), "case"),
        f"voxlate {evaluation.voxlate_version}",
    ]
    sections = _sections(evaluated, leading_view(evaluated), viewer)
    return document(f"{heading} · {REPORT_TITLE}", header(heading, facts), sections, footer=WARNING)


def _sections(evaluated: Evaluated, view: View, viewer: str | None) -> list[Section]:
    evaluation = evaluated.evaluation
    chosen = choose(evaluated, view)
    shown = panels.figures(
        evaluated.folder,
        chosen,
        direction=evaluation.direction,
        data_kind=evaluation.data_kind,
        unit=evaluation.unit_shown,
    )
    middle = shown.pop(middle_rank(chosen), None)
    lesions = lesion_tables.tables_by_kind(evaluation.lesions, data_kind=evaluation.data_kind)
    all_cases = labels.count(len(evaluation.cases), "case")
    return [
        Section("verdict", "Result", first_screen(evaluated, view, middle)),
        Section("findings", "Findings", remarks(evaluated, view)),
        Section("pictures", "Pictures", _pictures(list(shown.values()), view, viewer)),
        Section("patients", "Patients", _patients(evaluated, view)),
        Section("methods", "Methods text", methods.paragraph(evaluated)),
        Section("quality", "Image quality", _quality(evaluation), "every metric, region and test"),
        Section("cases", "All cases", case_table.scores_by_case(evaluated, view), f"{all_cases}, losses marked"),
        Section("volumes", "Tissue volumes", _volumes(evaluation), "agreement with the target"),
        Section("lesions", "Lesions", lesions, "each lesion, candidates, false structures"),
        Section("subgroups", "Subgroups", subgroups.scores_by_subgroup(evaluated, view), "scanner, field and others"),
        Section("absent", "Without a result", _absent(evaluation), _absent_count(evaluation)),
        Section("training", "Training", training_curves.loss_curves(evaluation.history), "loss curves"),
        Section("network", "Feature maps", network_pictures.sheets(evaluation.network_pictures), "pictures"),
        Section("definitions", "Definitions", quality.definitions(evaluation), "protocols and metrics, each once"),
        Section("claim", "CLAIM 2024", claim_checklist.checklist(evaluated, view), "items this report fills"),
        Section("provenance", "Provenance", provenance.versions_and_hashes(evaluated), "versions and hashes"),
    ]


def _patients(evaluated: Evaluated, view: View) -> Html:
    """Returns the box plots; a sentence in place of boxes of a single point."""
    if evaluated.evaluation.n_patients == 1:
        return quality_plots.no_plots()
    return tag("div", quality_plots.box_plots(evaluated, view), class_="plots")


def _quality(evaluation: Evaluation) -> Html:
    return Html("".join([*quality.tables(evaluation), quality.error_rate(evaluation) or ""]))


def _volumes(evaluation: Evaluation) -> Html | None:
    kind = evaluation.data_kind
    by_case = [row for row in evaluation.volumes if row.get("kind") != "agreement"]
    agreement = [row for row in evaluation.volumes if row.get("kind") == "agreement"]
    rows = lesion_tables.records_table(by_case, label="Tissue volumes", data_kind=kind)
    if rows is None:
        return None
    agree = lesion_tables.agreement_table(agreement, data_kind=kind)
    if evaluation.n_patients > 1:
        plots = volume_plots.plots(evaluation.volumes, data_kind=evaluation.data_kind)
    else:
        plots = quality_plots.no_plots()
    compared = tag("details", tag("summary", "Agreement over patients"), agree) if agree else None
    return tag("div", plots, compared, tag("details", tag("summary", "All volumes"), rows))


def _pictures(shown: Sequence[Html], view: View, viewer: str | None) -> Html:
    link = tag("a", "Open the interactive viewer", href=viewer)
    opener = (
        tag("p", link, " (a folder beside this file): every slice, the difference, linked panels.") if viewer else None
    )
    rules = " ".join([view.rule, panels.SLICE_RULE, panels.SCALE_RULE, CONVENTION])
    only = None if shown else tag("p", "The only case with a picture is shown in the result.")
    return tag("div", opener, shown, only, note(rules))


def _absent_count(evaluation: Evaluation) -> str:
    absent = len(evaluation.missing) + len(evaluation.refused)
    return f"{labels.count(absent, 'case')}, {labels.count(len(evaluation.left_out), 'metric')} of a case"


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
    return table(columns, lines, label="Without a result", class_="stack")
