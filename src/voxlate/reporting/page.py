"""The report: one HTML file that needs nothing else, written whole or not at all."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from voxlate.evaluation.results import Evaluated, Evaluation, read_evaluation
from voxlate.io.atomic import write_text
from voxlate.reporting import labels
from voxlate.reporting.case_selection import View, choose, leading_view
from voxlate.reporting.figures import panels, quality_plots, volume_plots
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
from voxlate.web.html import Html, tag

VIEWER = "viewer"

BANNER = (
    "The images called synthetic were computed by a model. They are for research and are not for diagnosis: "
    "they can hide or invent findings."
)


@dataclass(frozen=True)
class Section:
    """A part of the page; one without content is left out."""

    name: str
    title: str
    content: Html | None


def write_report(folder: Path, output: Path, *, title: str | None = None, viewer: bool = False) -> list[str]:
    """Writes the report of an evaluation folder.

    Args:
        folder: holds `evaluation.json` and `scores.tsv`; image paths are relative to it.
        output: the HTML file, replaced whole.
        title: heading of the page; made from the direction when `None`.
        viewer: also writes the folder `viewer` beside `output` and links to it.

    Returns:
        One line for each case that could not be put into the viewer.

    Raises:
        NoInput, InputRefused: see `voxlate.evaluation.results.read_evaluation`.
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    evaluated = read_evaluation(folder)
    left_out = write_viewer(evaluated, output.parent / VIEWER) if viewer else []
    write_text(output, page(evaluated, title=title, viewer=f"{VIEWER}/index.html" if viewer else None))
    return left_out


def page(evaluated: Evaluated, *, title: str | None = None, viewer: str | None = None) -> str:
    """Returns the whole page as text."""
    view = leading_view(evaluated)
    direction = evaluated.evaluation.direction
    heading = title or f"From {direction.source} to synthetic {direction.target}"
    sections = [section for section in _sections(evaluated, view, viewer) if section.content]
    body = tag(
        "body",
        tag("a", "Skip to the summary", href="#summary", class_="skip"),
        _header(evaluated, heading),
        _contents(sections),
        tag("main", [_section(section) for section in sections]),
        tag("footer", tag("p", BANNER)),
        tag("script", Html(_asset("page.js"))),
    )
    return "<!doctype html>\n" + tag("html", _head(heading), body, lang="en") + "\n"


def _sections(evaluated: Evaluated, view: View, viewer: str | None) -> list[Section]:
    evaluation = evaluated.evaluation
    return [
        Section("summary", "In plain words", summary(evaluated, view)),
        Section("quality", "Image quality", _quality(evaluation)),
        Section("patients", "Patient by patient", tag("div", quality_plots.box_plots(evaluated, view), class_="plots")),
        Section("pictures", "Best, median and worst case", _pictures(evaluated, view, viewer)),
        Section("cases", "All cases", case_table.table(evaluated, view)),
        Section("volumes", "Tissue volumes", _volumes(evaluation)),
        Section("lesions", "Lesions", lesion_tables.tables_by_kind(evaluation.lesions, data_kind=evaluation.data_kind)),
        Section("subgroups", "Subgroups", subgroups.table(evaluated, view)),
        Section("absent", "Missing, refused, left out", _absent(evaluated)),
        Section("training", "Training", quality_plots.loss_curves(evaluation.history)),
        Section("network", "What the network looks for", network_pictures.sheets(evaluation.network_pictures)),
        Section("claim", "CLAIM 2024 checklist", claim_checklist.table(evaluated, view)),
        Section("provenance", "Provenance", provenance.table(evaluated)),
    ]


def _quality(evaluation: Evaluation) -> Html:
    return Html("".join([*quality.tables(evaluation), quality.error_rate(evaluation) or ""]))


def _volumes(evaluation: Evaluation) -> Html | None:
    table = lesion_tables.table(evaluation.volumes, label="Tissue volumes", data_kind=evaluation.data_kind)
    if table is None:
        return None
    drawn = volume_plots.plots(evaluation.volumes, data_kind=evaluation.data_kind)
    return tag("div", drawn, tag("details", tag("summary", "All volumes"), table))


def _pictures(evaluated: Evaluated, view: View, viewer: str | None) -> Html:
    evaluation = evaluated.evaluation
    chosen = choose(evaluated, view)
    shown = panels.figures(
        evaluated.folder,
        chosen,
        direction=evaluation.direction,
        data_kind=evaluation.data_kind,
        unit=evaluation.unit_shown,
    )
    link = (
        tag("p", tag("a", "Open the interactive viewer", href=viewer), " (a folder beside this file)")
        if viewer
        else None
    )
    return tag("div", tag("p", view.rule, class_="note"), link, shown)


def _absent(evaluated: Evaluated) -> Html:
    evaluation = evaluated.evaluation
    rows = [(case.case, "missing", case.reason) for case in evaluation.missing]
    rows += [(case.case, f"refused ({case.code})", case.message) for case in evaluation.refused]
    rows += [
        (entry.case, f"without {labels.metric(entry.metric).label} ({entry.protocol})", entry.reason)
        for entry in evaluation.left_out
    ]
    if not rows:
        return tag("p", "None: every listed case was evaluated by every metric.")
    head = [tag("th", title, scope="col") for title in ("Case", "State", "Reason")]
    lines = [
        tag("tr", tag("th", name, scope="row"), tag("td", state), tag("td", labels.without_paths(reason)))
        for name, state, reason in rows
    ]
    return quality.scrolling(
        tag("table", tag("thead", tag("tr", head)), tag("tbody", lines), class_="stack"), label="Cases left out"
    )


def _header(evaluated: Evaluated, heading: str) -> Html:
    evaluation = evaluated.evaluation
    facts = [
        labels.DATA_KINDS[evaluation.data_kind],
        labels.count(len({case.patient for case in evaluation.cases}), "patient"),
        labels.count(len(evaluation.cases), "case"),
        f"voxlate {evaluation.voxlate_version}",
    ]
    return tag(
        "header",
        tag("p", tag("b", "Synthetic images. Not for diagnosis."), f" {BANNER}", class_="banner", role="note"),
        tag("h1", heading),
        tag("ul", [tag("li", fact) for fact in facts], class_="facts"),
    )


def _contents(sections: Sequence[Section]) -> Html:
    links = [tag("li", tag("a", section.title, href=f"#{section.name}")) for section in sections]
    return tag("nav", tag("ul", links), aria_label="Contents")


def _section(section: Section) -> Html:
    return tag("section", tag("h2", section.title), section.content, id=section.name)


def _head(title: str) -> Html:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy()),
        tag("meta", name="robots", content="noindex"),
        tag("title", f"{title} · voxlate report"),
        tag("style", Html(_asset("page.css"))),
    )


def _policy() -> str:
    """Returns a policy under which a browser loads nothing from anywhere and runs no script but ours."""
    digest = base64.b64encode(hashlib.sha256(_asset("page.js").encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    )


def _asset(name: str) -> str:
    return (resources.files("voxlate.web") / "assets" / name).read_text(encoding="utf-8")
