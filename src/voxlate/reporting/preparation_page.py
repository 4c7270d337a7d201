"""The page of a prepared cohort: one row and one picture per case, the most doubtful cases first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from voxlate.io.atomic import write_text
from voxlate.jobs.states import DONE
from voxlate.preparation.records import PreparationRecord
from voxlate.preparation.run import PICTURE
from voxlate.version import __version__
from voxlate.web import labels
from voxlate.web.document import Section, document, header
from voxlate.web.html import tag
from voxlate.web.tables import Cell, Column, number_cell, table

INDEX = "index.html"

COLUMNS = (
    Column("Rank, worst first", is_number=True),
    Column("Case", is_row_header=True),
    Column("Verdict"),
    Column("Edges", is_number=True),
    Column("NMI", is_number=True),
    Column("Moved, mm", is_number=True),
    Column("Brain, cm³", is_number=True),
    Column("Reason, further sources"),
    Column("Source · target as stored · target registered · template"),
)
_ORDER = {"refused": 0, "failed": 0, "bad": 1, "doubtful": 2, "good": 3}
LEGEND = (
    "Each picture shows the source, the target at the position in its header, the registered target, and the template. "
    "Green: outline of the brain mask found on the source. If it does not follow the brain of the registered target, "
    "the registration is wrong. Orange: outline of the template's brain, registered to the source; it only shows "
    "whether position and orientation are plausible. Click a heading to sort."
)


def write_page(records: Sequence[PreparationRecord], out: Path) -> None:
    """Writes `index.html`.

    Args:
        records: records of `voxlate.preparation.run`, one per case.
        out: the folder of the prepared cohort, which holds the pictures.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    counts = {state: sum(record["state"] == state for record in records) for state in (DONE, "refused", "failed")}
    doubtful = sum(bool(record.get("doubts")) for record in records)
    facts = [labels.count(len(records), "case"), *(f"{n} {state}" for state, n in counts.items() if n)]
    facts += [f"{doubtful} to check", f"voxlate {__version__}"]
    rows = [_row(rank, record) for rank, record in enumerate(sorted(records, key=_sort_key), start=1)]
    cases = Section("cases", "Cases", table(COLUMNS, rows, label="Prepared pairs", class_="prepared sortable"))
    top = header("Prepared pairs", facts, tag("p", LEGEND, class_="lead"), is_synthetic=False)
    write_text(out / INDEX, document("Prepared pairs · voxlate", top, [cases], images="'self'", is_wide=True))


def _sort_key(record: PreparationRecord) -> tuple[int, float, str]:
    """Returns the order of the cases: by verdict, the worst first, then by edge agreement, the lowest first."""
    return _ORDER[_verdict(record)], _edge_agreement(record), record["case"]


def _verdict(record: PreparationRecord) -> str:
    """Returns the state of a case without a result, else the worst verdict on registration, mask and doubts."""
    if record["state"] != DONE:
        return str(record["state"])
    verdicts = [record["registration"]["score"]["verdict"], record["mask"]["verdict"]]
    verdicts += ["doubtful"] * bool(record["doubts"])
    return str(min(verdicts, key=lambda verdict: _ORDER[verdict]))


def _edge_agreement(record: PreparationRecord) -> float:
    return float(record["registration"]["score"]["edge_agreement"]) if record["state"] == DONE else math.inf


def _row(rank: int, record: PreparationRecord) -> Sequence[Any]:
    name, verdict = record["case"], _verdict(record)
    grade = Cell(tag("span", verdict, class_=f"grade {verdict}"), sort_value=str(_ORDER[verdict]))
    if record["state"] != DONE:
        reason = f"{record['code']}: {labels.without_paths(record['message'])}"
        return rank, name, grade, *[labels.MISSING] * 4, reason, ""
    score = record["registration"]["score"]
    numbers = [
        (score["edge_agreement"], 2),
        (score["nmi"], 3),
        (record["registration"]["moved_mm"], 1),
        (record["mask"]["volume_cm3"], 0),
    ]
    cells = [number_cell(value, labels.number(value, decimals)) for value, decimals in numbers]
    address = f"{quote(name)}/{PICTURE}"
    picture = tag("a", tag("img", src=address, alt=f"Steps of {name}", loading="lazy"), href=address)
    return rank, name, grade, *cells, "; ".join([*record["doubts"], *_further(record)]), picture


def _further(record: PreparationRecord) -> list[str]:
    """Returns each further source with the edge agreement of its registration; the doubts name the missing ones."""
    return [
        f"{contrast}: edges {labels.number(found['score']['edge_agreement'], 2)}"
        for contrast, found in record.get("more", {}).items()
        if "score" in found
    ]
