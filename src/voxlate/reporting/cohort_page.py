"""The page of a cohort: its table and the flow chart of its selection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voxlate.io.atomic import write_text
from voxlate.version import __version__
from voxlate.web.document import Section, document, header
from voxlate.web.html import tag
from voxlate.web.tables import Column, table

PAGE = "cohort.html"


def write_cohort_page(out: Path, name: str, rows: Sequence[Sequence[str]], *, kept: str, series: int) -> None:
    """Writes `cohort.html` beside `flow.svg`.

    Args:
        out: folder of the cohort.
        name: of the cohort.
        rows: the table of the cohort, its header first.
        kept: the number of pairs or scans with its noun.
        series: number of series of the archive.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    columns = [Column(title, is_row_header=number == 0, is_number=number > 1) for number, title in enumerate(rows[0])]
    shown, previous = [], ""
    for characteristic, *rest in rows[1:]:
        shown.append(["" if characteristic == previous else characteristic, *rest])
        previous = characteristic
    flow = tag("img", src="flow.svg", alt="Flow chart of the selection")
    sections = [
        Section("table", "Scans and patients", table(columns, shown, label="Table of the cohort")),
        Section("selection", "Selection", flow),
    ]
    facts = [kept, f"of {series} series", f"voxlate {__version__}"]
    top = header(name, facts, is_synthetic=False)
    write_text(out / PAGE, document(f"{name} · voxlate", top, sections, images="'self'"))
