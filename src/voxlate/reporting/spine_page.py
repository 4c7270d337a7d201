"""The page of the disc slices of a cohort: one row and one picture per patient, the worst registration first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from voxlate.io.atomic import write_text
from voxlate.jobs.states import DONE
from voxlate.preparation.spine.run import PICTURE, SpineRecord
from voxlate.version import __version__
from voxlate.web import labels
from voxlate.web.document import Section, document, header
from voxlate.web.html import tag
from voxlate.web.tables import Column, number_cell, table

INDEX = "index.html"
COLUMNS = (
    Column("Case", is_row_header=True),
    Column("State"),
    Column("Edges", is_number=True),
    Column("Discs, tilt of the slice"),
    Column("Left out, reason"),
    Column("CT · T2w, the highest disc first"),
)
LEGEND = (
    "Edges: edge agreement of CT and T2w in the spine, 0 by chance and 1 if all edges agree. Tilt: angle between the "
    "slice and the middle plane of its disc. Anterior is up, the patient's right is left."
)


def write_spine_page(records: Sequence[SpineRecord], out: Path) -> None:
    """Writes `index.html`.

    Args:
        records: records of `voxlate.preparation.spine.run`, one per patient.
        out: the folder of the run, which holds the pictures.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    counts = {state: sum(record["state"] == state for record in records) for state in (DONE, "refused", "failed")}
    facts = [labels.count(len(records), "patient"), *(f"{n} {state}" for state, n in counts.items() if n)]
    facts += [f"{sum(len(record.get('discs', {})) for record in records)} discs", f"voxlate {__version__}"]
    rows = [_row(record) for record in sorted(records, key=_edges)]
    patients = Section(
        "patients", "Patients", table(COLUMNS, rows, label="Slices of discs", class_="prepared sortable")
    )
    top = header("Slices of lumbar discs", facts, tag("p", LEGEND, class_="lead"), is_synthetic=False)
    write_text(out / INDEX, document("Lumbar discs · voxlate", top, [patients], images="'self'", is_wide=True))


def _edges(record: SpineRecord) -> float:
    """Returns the edge agreement; patients without slices come first."""
    return float(record["registration"]["score"]["edge_agreement"]) if record["state"] == DONE else -math.inf


def _row(record: SpineRecord) -> Sequence[Any]:
    name = record["case"]
    if record["state"] != DONE:
        reason = f"{record['code']}: {labels.without_paths(record['message'])}"
        return name, record["state"], labels.MISSING, labels.MISSING, reason, ""
    edges = number_cell(_edges(record), labels.number(_edges(record), 2))
    discs = ", ".join(f"{disc} {labels.number(figures['tilt_deg'], 1)}°" for disc, figures in record["discs"].items())
    left_out = "; ".join(f"{disc}: {reason}" for disc, reason in record["left_out"].items())
    address = f"{quote(name)}/{PICTURE}"
    picture = tag("a", tag("img", src=address, alt=f"Slices of {name}", loading="lazy"), href=address)
    return name, record["state"], edges, discs, left_out, picture
