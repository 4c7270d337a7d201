"""Many scans graded: one JSON and one picture each, then a table; taken up again where it stopped."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, cast

from voxlate.archive.rows import GradeRecord
from voxlate.errors import InputRefused, NoInput, TemporaryFailure, UsageError
from voxlate.io.atomic import remove_orphans, replacing, write_json, write_text
from voxlate.io.documents import read_json
from voxlate.jobs.processes import each
from voxlate.quality.fuse_evidence import HEADER_ODDS, decide_agent, decide_kind
from voxlate.quality.grade import PASSES
from voxlate.quality.items import Item, items_of, read_item
from voxlate.quality.rules import RULES, VERSION
from voxlate.quality.tiers import SURE

TABLE, ITEMS = "grades.tsv", "items"
FIRST: tuple[str, ...] = ("participant_id", "session_id", "item", "state", "pass", "pass_probability", "tier")
FIRST += ("kind", "agent", "agent_by")
_MAY_PASS = ("NO_INPUT", "UNREADABLE", "SERIES_CHANGED")
"""Refusals that a disk mounted again, or another run of the index, may undo."""


def grade_all(source: Path, out: Path, *, kinds: Sequence[str] = (), jobs: int = 1) -> Iterator[str]:
    """Grades every scan of a source and yields the state of each as it is done; writes the table last.

    Args:
        source: folder of an index, a NIfTI file, or a folder of them.
        out: folder for `grades.tsv`, `items/*.json` and `items/*.png`; an earlier run's is taken up again.
        kinds: of an index, which; all when empty.
        jobs: processes.

    Raises:
        NoInput: `NO_INPUT`.
        UsageError: `INDEX`, `JOBS`.
        CannotWrite, TemporaryFailure: see `voxlate.errors.writing`.
    """
    items = items_of(source, kinds)
    for folder in (out, out / "items"):
        remove_orphans(folder)
    stamp = grader_stamp()
    todo = []
    for item in items:
        known = _known(out, item)
        if known is not None and known["stamp"] == [stamp, item.stamp] and not may_pass(known["state"]):
            yield known["state"]
        else:
            todo.append(item)
    yield from each(partial(grade_item, source, out, stamp), todo, jobs=jobs)
    write_table(out, items)


def may_pass(state: str) -> bool:
    """Tells whether a scan of this state may have another the next time though it stays as it is."""
    return state.startswith("FAILED") or state.partition(":")[2] in _MAY_PASS


def grader_stamp() -> str:
    """Returns what a grading depends on beside the scan: limits, odds and weights."""
    from voxlate.models.scan_grader import SHA256

    settings = repr((VERSION, RULES, SURE, HEADER_ODDS, PASSES, SHA256))
    return hashlib.sha256(settings.encode()).hexdigest()[:16]


def grade_item(source: Path, out: Path, stamp: str, item: Item) -> str:
    """Grades one scan, writes what is known of it, and returns its state: `OK`, `REFUSED:…` or `FAILED:…`."""
    from voxlate.preparation.content import content_hash
    from voxlate.quality.grade import grade
    from voxlate.quality.head_mask import find_head
    from voxlate.quality.preview import preview
    from voxlate.web.png import encode

    told: dict[str, Any] = {"item": item.to_json(), "stamp": [stamp, item.stamp], "state": "OK"}
    try:
        volume = read_item(source, item)
        head = find_head(volume)
        grading = grade(volume, head=head)
        told |= {
            "row": grading.row() | _decided(item, grading.kind, grading.agent_evidence),
            "grading": grading.to_json(),
        }
        told["content"] = content_hash(volume)
        picture = encode(preview(volume, head))
    except (InputRefused, NoInput, TemporaryFailure) as error:
        told["state"], picture = f"{error.state}:{error.code}", b""
    except MemoryError:
        told["state"], picture = "FAILED:MEMORY", b""
    if picture:
        with replacing(out / ITEMS / f"{item.file_name}.png") as partial_path:
            partial_path.write_bytes(picture)
    write_json(out / ITEMS / f"{item.file_name}.json", _without_nan(told))
    return str(told["state"])


def write_table(out: Path, items: Sequence[Item]) -> None:
    """Writes the table of all items, in the order of participants and names."""
    rows = [_row(out, item) for item in sorted(items, key=lambda each: (each.participant, each.session, each.name))]
    names = list(dict.fromkeys([*FIRST, *(name for row in rows for name in row)]))
    lines = [names, *([_cell(row.get(name)) for name in names] for row in rows)]
    write_text(out / TABLE, "\n".join("\t".join(line) for line in lines) + "\n")


def read_grades(out: Path) -> list[GradeRecord]:
    """Returns what is known of each scan in the table, by its name.

    Raises:
        UsageError: `GRADES` when the folder holds no grades, or a damaged file.
    """
    if not (out / TABLE).is_file():
        raise UsageError("GRADES", f"{out.name} holds no {TABLE}; make it with voxlate grade")
    try:
        with (out / TABLE).open(encoding="utf-8", newline="") as stream:
            names = sorted(row["item"] for row in csv.DictReader(stream, delimiter="\t"))
    except (KeyError, ValueError, csv.Error) as error:
        raise UsageError("GRADES", f"{out.name}/{TABLE} is damaged; run voxlate grade again") from error
    found = []
    for name in names:
        known = _known(out, Item(name, "", ""))
        if known is None or "state" not in known:
            raise UsageError("GRADES", f"what is known of {name} is gone or damaged; run voxlate grade again")
        found.append(cast("GradeRecord", known))
    return found


def _row(out: Path, item: Item) -> dict[str, Any]:
    known = _known(out, item) or {"state": "PENDING"}
    first = {"participant_id": item.participant, "session_id": item.session, "item": item.name, "state": known["state"]}
    header = {"header_kind": item.header_kind, "header_agent": item.header_agent, "content": known.get("content", "")}
    row: dict[str, Any] = known.get("row", {})
    return first | row | header


def _decided(item: Item, kind: str, agent: float) -> dict[str, Any]:
    """Returns the contrast and the agent that header and pixels come to."""
    is_t1w = kind == "T1w" or (kind == "unknown" and item.header_kind == "T1w")
    decision = decide_agent(item.header_agent or "unknown", agent if is_t1w else None)
    told = {"agent": decision.state, "agent_by": decision.by, "agent_probability": round(decision.probability, 4)}
    return told | {"pixel_kind": kind, "kind": decide_kind(item.header_kind, kind) if item.header_kind else kind}


def _known(out: Path, item: Item) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = read_json(out / ITEMS / f"{item.file_name}.json")
    except (OSError, ValueError):
        return None
    return found if found.get("item", {}).get("name") == item.name else None


def _without_nan(value: Any) -> Any:
    """Returns the same with None for what is no number, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _without_nan(each_value) for key, each_value in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each_value) for each_value in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "n/a"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())
