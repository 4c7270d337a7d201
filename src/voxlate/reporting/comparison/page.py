"""The report of a comparison: one HTML file that needs no other file and no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voxlate.evaluation.comparison.schema import COMPARISON, Compared, SystemsComparison, read_comparison
from voxlate.evaluation.comparison.tables import tables_by_set
from voxlate.evaluation.enhancement import PROTOCOL as ENHANCEMENT
from voxlate.evaluation.protocols import PROTOCOLS
from voxlate.evaluation.schema.files import SCORES
from voxlate.io.atomic import sha256, write_text
from voxlate.reporting.comparison import pictures, tests_and_folds
from voxlate.reporting.comparison.first_screen import first_screen
from voxlate.reporting.comparison.printed import printed_table
from voxlate.reporting.comparison.sentences import shown_and_not_shown
from voxlate.reporting.comparison.view import TISSUES, Results, TableView, main_view, other_views
from voxlate.reporting.sections.quality import definition_of
from voxlate.version import __version__
from voxlate.web import labels
from voxlate.web.document import REPORT_TITLE, WARNING, Section, document, header, require_report_path
from voxlate.web.html import Html, tag
from voxlate.web.tables import Column, facts_table, table


def write_comparison_report(folder: Path, output: Path, *, title: str | None = None) -> None:
    """Writes the report of a comparison folder.

    Args:
        folder: holds `comparison.json`, `scores.tsv` and `systems/`.
        output: the HTML file; an existing report is replaced as a whole.
        title: heading; made from the contrasts when `None`.

    Raises:
        UsageError: see `voxlate.web.document.require_report_path`.
        NoInput, InputRefused: see `read_comparison` and `read_evaluation`.
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    require_report_path(output)
    write_text(output, comparison_page(read_comparison(folder), title=title))


def comparison_page(compared: Compared, *, title: str | None = None) -> str:
    """Returns the report as HTML text.

    Args:
        compared: a comparison folder.
        title: heading; made from the contrasts when `None`.
    """
    comparison = compared.comparison
    direction = comparison.direction
    count = labels.count(len(comparison.systems), "system")
    heading = title or f"{direction.source} to synthetic {direction.target}: {count}"
    facts = [
        labels.DATA_KINDS[comparison.data_kind],
        count,
        labels.count(len({case.patient for case in comparison.cases}), "patient"),
        labels.count(len(comparison.cases), "case"),
        f"voxlate {comparison.voxlate_version}",
    ]
    sections = _sections(compared, Results(comparison))
    return document(f"{heading} · {REPORT_TITLE}", header(heading, facts), sections, footer=WARNING)


def _sections(compared: Compared, results: Results) -> list[Section]:
    comparison = compared.comparison
    main = main_view(comparison)
    tables = tables_by_set(compared.scores, comparison.sets)
    views = list(other_views(comparison))
    agent = [view for view in views if view.protocol == ENHANCEMENT]
    tissues = [view for view in views if view.protocol.startswith(TISSUES)]
    others = [view for view in views if view not in (*agent, *tissues)]
    counted = labels.count(len(comparison.systems), "system")
    return [
        Section("verdict", "Result", first_screen(results, main, tables)),
        Section("table", "Table", tag("div", tag("h3", main.title), printed_table(results, main))),
        Section("slices", "The same slices", pictures.same_slices(compared)),
        Section("plots", "Patients", pictures.box_plots(comparison, tables)),
        Section("shown", "What is shown", shown_and_not_shown(results, main), "each difference with its interval"),
        Section("tests", "Tests", tests_and_folds.tests_between(comparison), "every p value and its adjustment"),
        Section("equivalence", "Equivalence", tests_and_folds.equivalence(comparison), "within the stated margins"),
        Section("folds", "Cross-validation", tests_and_folds.folds(comparison), "fold by fold"),
        Section("agent", "Contrast agent", [printed_table(results, view) for view in agent], "residual enhancement"),
        Section("tissues", "Tissue volumes", _folded(results, tissues), "by segmenter"),
        Section("tables", "Other tables", _folded(results, others), "all protocols and regions"),
        Section("systems", "Systems", _systems(comparison), counted),
        Section("absent", "Without scores", _absent(comparison), "cases and their reasons"),
        Section("definitions", "Definitions", _definitions(comparison), "each once"),
        Section("provenance", "Provenance", _provenance(compared), "versions and hashes"),
    ]


def _folded(results: Results, views: Sequence[TableView]) -> list[Html]:
    """Returns tables that open on a click."""
    return [tag("details", tag("summary", view.title), printed_table(results, view)) for view in views]


def _systems(comparison: SystemsComparison) -> Html:
    columns = [Column("System", is_row_header=True)]
    columns += [Column(title, is_number=True) for title in ("Evaluated", "Missing", "Refused")]
    columns += [Column("Remark"), Column("Manifest of the bundle, SHA-256")]
    rows = [
        [
            system.name,
            str(system.n_evaluated),
            str(system.n_missing),
            str(system.n_refused),
            labels.without_paths(system.reason),
            tag("span", "; ".join(hash_[:16] for hash_ in system.bundles) or "not given", class_="hash"),
        ]
        for system in comparison.systems
    ]
    return table(columns, rows, label="Systems", class_="small")


def _absent(comparison: SystemsComparison) -> Html | None:
    if not comparison.unscored:
        return None
    columns = [Column("System"), Column("Case", is_row_header=True), Column("Code"), Column("Reason")]
    rows = [
        [row.system, row.case, row.code or "missing", labels.without_paths(row.reason)] for row in comparison.unscored
    ]
    count = labels.count(len(rows), "image")
    return tag("details", tag("summary", count), table(columns, rows, label="Cases without scores", class_="small"))


def _definitions(comparison: SystemsComparison) -> Html:
    """Returns the definition of each protocol, and once what all of them share: unit, mask and baselines."""
    shared: dict[str, list[str]] = {}
    parts = []
    for protocol in comparison.protocols:
        known, text, own = PROTOCOLS.get(protocol.name), protocol.definition, protocol
        if known is not None and isinstance(text, str) and text.startswith(known.definition):
            shared.setdefault(text.removeprefix(known.definition).strip(), []).append(protocol.name)
            own = protocol.model_copy(update={"definition": known.definition})
        parts.append(tag("p", tag("b", f"{protocol.name}. "), definition_of(own), class_="definition"))
    for text, names in shared.items():
        parts.append(tag("p", tag("b", f"{', '.join(names)}. "), labels.without_paths(text), class_="definition"))
    return tag("div", parts)


def _provenance(compared: Compared) -> Html:
    return facts_table(
        [
            ("Report written by", f"voxlate {__version__}"),
            ("Compared by", f"voxlate {compared.comparison.voxlate_version}"),
            *[(f"SHA-256 of {name}", sha256(compared.folder / name)) for name in (COMPARISON, SCORES)],
        ]
    )
