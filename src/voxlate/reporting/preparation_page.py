"""The page of a prepared cohort: one tile with a picture per case, the most doubtful cases first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from voxlate.io.atomic import write_text
from voxlate.jobs.states import DONE
from voxlate.preparation.records import PreparationRecord
from voxlate.preparation.run import PICTURE
from voxlate.reporting.figures.slices import CONVENTION
from voxlate.version import __version__
from voxlate.web import labels
from voxlate.web.document import Section, document, header, note
from voxlate.web.html import Child, Html, tag
from voxlate.web.tables import Cell, Column, table

INDEX = "index.html"

_ORDER = {"refused": 0, "failed": 0, "bad": 1, "doubtful": 2, "good": 3}
LEGEND = (
    "The worst pairs come first. Columns of a picture: the source, the target at the position in its header, the "
    "registered target, and, where one was asked for, the template. Green: outline of the brain mask found on the "
    "source. If it does not follow the brain of the registered target, the registration is wrong. Orange: outline of "
    "the template's brain, registered to the source; it only shows whether position and orientation are plausible. "
    f"{CONVENTION}"
)
TERMS = (
    "Edges: share of edges of source and target that coincide, from 0 to 1. NMI: normalised mutual information. Moved: "
    "mean displacement of the brain by the registration. Source and target: what was recognised in the scan, and how "
    "its brain was found; deepbet, robex and ct are methods of --brain-mask."
)

_MEASURES = (("Edges", ""), ("NMI", ""), ("Moved", "mm"), ("Brain", "cm³"))
"""Titles and units of the measurements of a prepared pair."""


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
    ordered = sorted(records, key=_sort_key)
    tiles = tag("div", [_tile(rank, record) for rank, record in enumerate(ordered, start=1)], class_="tiles")
    top = header("Prepared pairs", facts, tag("p", LEGEND, class_="note"), is_synthetic=False)
    sections = [
        Section("cases", "Pairs, worst first", [tiles, note(TERMS)]),
        Section("numbers", "All numbers", _table(ordered), "one row per pair, sorted by a click on a heading"),
    ]
    write_text(out / INDEX, document("Prepared pairs · voxlate", top, sections, images="'self'", is_wide=True))


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


def _tile(rank: int, record: PreparationRecord) -> Html:
    """Returns the picture of a pair at the width of its tile, with the verdict and its reasons."""
    name, verdict = record["case"], _verdict(record)
    grade = tag("span", verdict, class_=f"grade {verdict}")
    heading = tag("h3", tag("small", f"{rank}."), tag("span", name), grade)
    if record["state"] != DONE:
        reason = f"{record['code']}: {labels.without_paths(record['message'])}"
        return tag("figure", tag("figcaption", heading, tag("p", reason, class_="why")), class_="tile alone")
    measured = zip(_MEASURES, _numbers(record), strict=True)
    facts = " · ".join(f"{title} {number} {unit}".rstrip() for (title, unit), number in measured)
    reasons = "; ".join([*record["doubts"], *_further(record)])
    seen = [tag("p", line, class_="seen") for line in _seen(record)]
    caption = tag("figcaption", heading, tag("p", reasons, class_="why") if reasons else None, tag("p", facts), *seen)
    address = f"{quote(name)}/{PICTURE}"
    alt = f"Steps of {name}: source, target as stored, target registered, template if there is one, in three planes"
    picture = tag("a", tag("img", src=address, alt=alt, loading="lazy"), href=address)
    return tag("figure", picture, caption, class_="tile")


def _seen(record: PreparationRecord) -> list[str]:
    """Returns in words what was recognised in each scan and how its brain was found, and why nothing was registered."""
    found = {role: text for role, brain in record.get("brains", {}).items() if (text := brain.get("text"))}
    lines = [f"{role.capitalize()}: {text}" for role, text in found.items()]
    if len(found) > 1 and len(set(found.values())) == 1:
        lines = [f"Source and target: {next(iter(found.values()))}"]
    if record.get("is_aligned"):
        lines.append("The scans were aligned already and were not registered")
    return [f"{line}." for line in lines]


def _numbers(record: PreparationRecord) -> list[str]:
    """Returns the measurements of a prepared pair in the order of `_MEASURES`."""
    score = record["registration"]["score"]
    return [
        labels.number(score["edge_agreement"], 2),
        labels.number(score["nmi"], 3),
        labels.number(record["registration"]["moved_mm"], 1),
        labels.number(record["mask"]["volume_cm3"], 0),
    ]


def _table(records: Sequence[PreparationRecord]) -> Html:
    columns = [Column("Rank", is_number=True), Column("Case", is_row_header=True), Column("Verdict")]
    columns += [Column(f"{title}, {unit}" if unit else title, is_number=True) for title, unit in _MEASURES]
    rows = [_row(rank, record) for rank, record in enumerate(records, start=1)]
    return table(columns, rows, label="Measurements of the pairs", class_="small sortable")


def _row(rank: int, record: PreparationRecord) -> list[Child | Cell]:
    verdict = _verdict(record)
    first: list[Child | Cell] = [rank, record["case"], Cell(verdict, sort_value=str(_ORDER[verdict]))]
    if record["state"] != DONE:
        return [*first, *[labels.MISSING] * len(_MEASURES)]
    return [*first, *_numbers(record)]


def _further(record: PreparationRecord) -> list[str]:
    """Returns each further source with the edge agreement of its registration; the doubts name the missing ones."""
    return [
        f"{contrast}: edges {labels.number(found['score']['edge_agreement'], 2)}"
        for contrast, found in record.get("more", {}).items()
        if "score" in found
    ]
