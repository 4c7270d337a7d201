"""Grades many scans: one JSON file and one picture each, then a table and a page; a stopped run can be continued.

A scan is graded again when the scan or the grader has changed, or when its failure may be temporary.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from voxlate.archive.rows import GradeRecord
from voxlate.errors import InputRefused, NoInput, TemporaryFailure, UsageError, printable
from voxlate.io.atomic import remove_orphans, replacing, write_json, write_text
from voxlate.io.bids import table
from voxlate.io.documents import finite_values
from voxlate.jobs.results import read_result, resume
from voxlate.jobs.states import DONE, FAILED, MAY_PASS, CaseOutcome, outcome_of_error
from voxlate.quality.fuse_evidence import HEADER_ODDS, decide_agent, decide_kind
from voxlate.quality.grade import PASSES
from voxlate.quality.items import Item, groups_of, items_of, read_item
from voxlate.quality.rules import RULES, VERSION
from voxlate.quality.tiers import SURE

TABLE, PAGE, ITEMS, SOURCE = "grades.tsv", "index.html", "items", "source.json"
FIRST: tuple[str, ...] = ("participant_id", "session_id", "item", "state", "pass", "pass_probability", "tier")
FIRST += ("kind", "agent", "agent_by")


def grade_all(source: Path, out: Path, *, kinds: Sequence[str] = (), jobs: int = 1) -> Iterator[str]:
    """Grades every scan of a source and yields the state of each as it ends; writes the table and the page last.

    Scans that an earlier run into the same folder graded come first and are not graded again.

    Args:
        source: folder of an index, a NIfTI file, or a folder of NIfTI files.
        out: folder for `grades.tsv`, `index.html`, `items/*.json`, `items/*.png`, and `source.json`, which says where
            the scans are, seen from `out`, for `voxlate regrade`.
        kinds: series types to grade, where the source is an index; all when empty.
        jobs: number of processes.

    Raises:
        NoInput: `NO_INPUT`.
        UsageError: `INDEX`, `JOBS`.
        CannotWrite, TemporaryFailure: see `voxlate.errors.writing`.
    """
    items = items_of(source, kinds)
    for folder in (out, out / "items"):
        remove_orphans(folder)
    write_json(out / SOURCE, {"source": Path(os.path.relpath(source, out)).as_posix()})
    stamp = grader_stamp()
    yield from resume(partial(grade_item, source, out, stamp), items, partial(_final_state, out, stamp), jobs=jobs)
    write_table(out, items)
    from voxlate.quality.group_page import write_group_page  # matplotlib is loaded when all scans are graded

    write_group_page(table_rows(out / TABLE), out / PAGE, groups_of(source))


def is_temporary(state: str) -> bool:
    """Returns whether a state may be temporary, so that the unchanged scan is worth grading again."""
    return state.startswith("FAILED") or state.partition(":")[2] in MAY_PASS


def grader_stamp() -> str:
    """Returns a hash of all that a grading depends on beside the scan: limits, odds and weights."""
    from voxlate.models.scan_grader import SHA256

    settings = repr((VERSION, RULES, SURE, HEADER_ODDS, PASSES, SHA256))
    return hashlib.sha256(settings.encode()).hexdigest()[:16]


def grade_item(source: Path, out: Path, stamp: str, item: Item) -> str:
    """Grades one scan, writes its JSON file and picture, and returns its state: `OK`, `REFUSED:…` or `FAILED:…`.

    Args:
        source: folder of an index, a NIfTI file, or a folder of NIfTI files.
        out: folder of the run.
        stamp: see `grader_stamp`.
        item: the scan.

    Raises:
        CannotWrite, TemporaryFailure: see `voxlate.errors.writing`.
    """
    from voxlate.preparation.content import content_hash
    from voxlate.quality.grade import grade
    from voxlate.quality.head_mask import find_head
    from voxlate.quality.preview import preview
    from voxlate.web.png import encode

    content: dict[str, Any] = {"item": item.to_json(), "stamp": [stamp, item.stamp], "state": "OK"}
    outcome, picture = CaseOutcome(item.name, DONE), b""
    try:
        volume = read_item(source, item)
        head = find_head(volume)
        grading = grade(volume, head=head)
        content |= {
            "row": grading.row() | _decided(item, grading.kind, grading.agent_evidence),
            "grading": grading.to_json(),
        }
        content["content"] = content_hash(volume)
        picture = encode(preview(volume, head))
    except (InputRefused, NoInput, TemporaryFailure) as error:
        outcome = outcome_of_error(item.name, error)
    except MemoryError:
        outcome = CaseOutcome(item.name, FAILED, "MEMORY")
    content["state"] = outcome.text
    if picture:
        with replacing(out / ITEMS / f"{item.file_name}.png") as partial_path:
            partial_path.write_bytes(picture)
    write_json(out / ITEMS / f"{item.file_name}.json", finite_values(content))
    return outcome.text


def write_table(out: Path, items: Sequence[Item]) -> None:
    """Writes the table of all items, in the order of participants and names."""
    rows = [_row(out, item) for item in sorted(items, key=lambda item: (item.participant, item.session, item.name))]
    write_text(out / TABLE, table([{name: _cell(value) for name, value in row.items()} for row in rows], FIRST))


def table_rows(path: Path) -> list[dict[str, str]]:
    """Returns the rows of `grades.tsv`. A quotation mark is a letter there: the name of a file may begin with one."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def read_grades(out: Path) -> list[GradeRecord]:
    """Returns the content of the JSON file of each scan in the table, in the order of their names.

    Raises:
        UsageError: `GRADES` when the folder holds no grades, or a damaged file.
    """
    if not (out / TABLE).is_file():
        raise UsageError("GRADES", f"{out.name} holds no {TABLE}; make it with voxlate grade")
    try:
        names = sorted(row["item"] for row in table_rows(out / TABLE))
    except (KeyError, ValueError, csv.Error) as error:
        raise UsageError("GRADES", f"{out.name}/{TABLE} is damaged; run voxlate grade again") from error
    grades = []
    for name in names:
        content = _content(out, Item(name, "", ""))
        if content is None or "state" not in content:
            raise UsageError("GRADES", f"the JSON file of {name} is missing or damaged; run voxlate grade again")
        grades.append(cast("GradeRecord", content))
    return grades


def _row(out: Path, item: Item) -> dict[str, Any]:
    content = _content(out, item) or {"state": CaseOutcome(item.name).text}
    first = {"participant_id": item.participant, "session_id": item.session, "item": item.name}
    first |= {"state": content["state"]}
    header = {"header_kind": item.header_kind, "header_agent": item.header_agent, "content": content.get("content", "")}
    row: dict[str, Any] = content.get("row", {})
    return first | row | header


def _decided(item: Item, kind: str, agent: float) -> dict[str, Any]:
    """Returns the image contrast and the contrast-agent status that header and voxels give together.

    Args:
        item: the scan with the contrast and the agent of its header.
        kind: image contrast by the voxels.
        agent: evidence of the voxels for a contrast agent, see `decide_agent`.
    """
    is_t1w = kind == "T1w" or (kind == "unknown" and item.header_kind == "T1w")
    decision = decide_agent(item.header_agent or "unknown", agent if is_t1w else None)
    decided = {"agent": decision.state, "agent_by": decision.by, "agent_probability": round(decision.probability, 4)}
    return decided | {"pixel_kind": kind, "kind": decide_kind(item.header_kind, kind) if item.header_kind else kind}


def _final_state(out: Path, stamp: str, item: Item) -> str | None:
    """Returns the state of a scan that is not to be graded again, or None."""
    content = _content(out, item, stamp=[stamp, item.stamp])
    return None if content is None or is_temporary(content["state"]) else str(content["state"])


def _content(out: Path, item: Item, **expected: Any) -> dict[str, Any] | None:
    content = read_result(out / ITEMS / f"{item.file_name}.json", **expected)
    return None if content is None or content.get("item", {}).get("name") != item.name else content


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "n/a"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else printable(str(value))
