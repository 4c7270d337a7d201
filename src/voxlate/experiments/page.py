"""The page of an experiment: what was compared, its tables beside those of the paper, figures, systems and commands."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from voxlate.experiments.figures import MadeFigure
from voxlate.experiments.settings import Experiment
from voxlate.experiments.tables import Cell, MadeTable, Row
from voxlate.reporting.comparison.view import CORRECTIONS
from voxlate.version import __version__
from voxlate.web.document import Section, document, header, note
from voxlate.web.html import Child, Html, tag
from voxlate.web.labels import DATA_KINDS, count, number, p_value
from voxlate.web.tables import Cell as HtmlCell
from voxlate.web.tables import Column, Group, table

STAR = "*"


def page(
    experiment: Experiment, content: Mapping[str, Any], tables: Sequence[MadeTable], figures: Sequence[MadeFigure]
) -> str:
    """Returns the page as one HTML document.

    Args:
        experiment: what was compared.
        content: of `results.json`.
        tables: with their values.
        figures: as PNG files, or the reason why there is none.
    """
    facts = [f"scale: {content['scale']}", DATA_KINDS[content["data_kind"]]]
    if content["patients"] is not None:
        facts.append(count(content["patients"], "simulated patient"))
    facts += [count(len(experiment.systems), "system"), f"{content['seconds'] / 60:.0f} min of computing"]
    sections = [
        Section("paper", "The study", _paper(experiment)),
        *(Section(made.key, made.title, [table_html(made), note(table_note(made))]) for made in tables),
        Section("figures", "Figures", [_figure(figure) for figure in figures]),
        Section("systems", "Systems", _systems(content)),
        Section("steps", "Steps", _steps(content)),
    ]
    return document(
        experiment.title,
        header(experiment.title, facts),
        sections,
        footer=f"voxlate {__version__}, experiment {experiment.name}",
        is_wide=True,
    )


def table_html(made: MadeTable) -> Html:
    """Returns a table: a group of rows for each evaluation and set, and beside each value what the paper prints."""
    parts = parts_of(made)
    columns = [Column("", is_row_header=True)]
    spans: list[tuple[Child, int]] = [(None, 1)]
    for head in made.heads:
        columns.append(Column(parts[0] if len(parts) > 1 else head, is_number=True))
        columns += [Column(part, is_number=True, class_="muted") for part in parts[1:]]
        spans.append((head, len(parts)))
    is_one = len({block.evaluation for block in made.blocks}) == 1
    groups = []
    for block in made.blocks:
        counts = {cell.n for row in block.rows for cell in row.cells if cell.n}
        names = [block.set] if is_one and block.set else [block.evaluation, block.set]
        patients = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else str(max(counts, default=0))
        title = f"{', '.join(name for name in names if name)} (patients: {patients})"
        groups.append(Group(title, [_row(made, row, parts) for row in block.rows]))
    return table(columns, groups, label=made.title, spans=spans if len(parts) > 1 else ())


def parts_of(made: MadeTable) -> list[str]:
    """Returns what stands side by side under the head of each metric, see `cell_texts`."""
    has_printed = any(cell.printed for block in made.blocks for row in block.rows for cell in row.cells)
    return ["here", *["paper"] * has_printed, *["p, patients", "p, slices"] * made.has_slice_test]


def cell_texts(made: MadeTable, cell: Cell, digits: int, parts: Sequence[str]) -> list[str]:
    """Returns the texts of a cell, one for each of `parts_of(made)`."""
    printed = [cell.printed] if "paper" in parts else []
    p = [p_value(cell.p_adjusted), p_value(cell.p_slices)] if made.has_slice_test else []
    return [cell_text(cell, digits, made.alpha), *printed, *p]


def table_note(made: MadeTable) -> str:
    """Returns the note below a table: what its numbers, stars and p values are."""
    text = "Mean ± standard deviation between patients."
    if made.against and made.tests:
        labels = {row.method: row.label for block in made.blocks for row in block.rows}
        text += (
            f" {STAR}: differs from “{labels.get(made.against, made.against)}”, p < {made.alpha:g} by a paired t-test "
            f"over patients, {CORRECTIONS[made.correction]} for the m = {made.tests} tests of this table."
        )
    elif made.against:
        text += " Too few patients for a test."
    if made.has_slice_test:
        text += (
            " p, patients: of that paired test. p, slices: of a t-test of independent samples over all slices, as the "
            "paper tested. It takes the slices of a patient for independent ones and the images of the two systems for "
            "images of different patients; the first makes it far too small, so it gives no star."
        )
    return text


def cell_text(cell: Cell, digits: int, alpha: float) -> str:
    """Returns mean ± SD with a star, or a dash."""
    if cell.mean is None:
        return number(None)
    spread = "" if cell.sd is None else f" ± {number(cell.sd, digits)}"
    is_different = cell.p_adjusted is not None and cell.p_adjusted < alpha
    return f"{number(cell.mean, digits)}{spread}{STAR if is_different else ''}"


def _row(made: MadeTable, row: Row, parts: Sequence[str]) -> list[Child | HtmlCell]:
    label: Child = row.label if not row.state else [row.label, tag("small", f" {row.state}", class_="muted")]
    cells: list[Child | HtmlCell] = [label]
    for cell, digits in zip(row.cells, made.digits, strict=True):
        hint = None if cell.p_adjusted is None else f"n = {cell.n}, p {p_value(cell.p_adjusted)} (adjusted)"
        first, *others = cell_texts(made, cell, digits, parts)
        cells += [HtmlCell(first, hint=hint), *others]
    return cells


def _paper(experiment: Experiment) -> list[Child]:
    paper = experiment.paper
    if paper is None:
        return [tag("p", experiment.title)]
    parts: list[Child] = [tag("p", f"{paper.citation} {('doi: ' + paper.doi) if paper.doi else ''}")]
    if paper.comparable:
        parts.append(tag("p", tag("b", "May the numbers be compared? "), paper.comparable))
    for title, lines in (("Known faults of the paper", paper.known_faults), ("Deviations here", paper.deviations)):
        if lines:
            parts.append(tag("details", tag("summary", title), tag("ul", [tag("li", line) for line in lines])))
    return parts


def _figure(figure: MadeFigure) -> Html:
    if figure.png is None:
        return tag("p", tag("b", figure.title), f": not drawn. {figure.fault}", class_="note")
    source = "data:image/png;base64," + base64.b64encode(figure.png.read_bytes()).decode("ascii")
    return tag(
        "figure",
        tag("img", src=source, alt=figure.title),
        tag("figcaption", tag("b", f"{figure.title}. "), figure.caption),
        class_="picture",
    )


def _systems(content: Mapping[str, Any]) -> Html:
    rows = [(value["label"], key, value["recipe"], value["state"]) for key, value in content["systems"].items()]
    columns = [Column("system", is_row_header=True), Column("key"), Column("recipe"), Column("state")]
    return table(columns, rows, label="Systems", class_="small")


def _steps(content: Mapping[str, Any]) -> Html:
    rows = [(step["name"], step["state"], step["code"], f"{step['seconds']:.0f}") for step in content["steps"]]
    columns = [Column("step", is_row_header=True), Column("state"), Column("code"), Column("seconds", is_number=True)]
    return tag("details", tag("summary", "All steps"), table(columns, rows, label="Steps", class_="small"))
