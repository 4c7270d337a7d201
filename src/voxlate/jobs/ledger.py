"""The ledger of a run of many cases: JSON lines that are only ever appended, read back into one outcome per case.

Each run appends to a file of its own below `.runs/`, one line at a time, each flushed to the disk. The name of the file
begins with a number, one more than the highest that exists, so that the order of the runs does not depend on a clock.
A line that was cut off, because the machine died, is ignored. A case is done when a line says so and its files have the
hashes in that line; a file alone proves nothing.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxlate.errors import for_records, writing
from voxlate.jobs.results import are_unchanged
from voxlate.jobs.states import DONE, FAILED, REFUSED, CaseOutcome, State

RUNS = ".runs"
"""Folder of the lines below the folder of the run, one file for each process that ran."""

RETRY = "retry"
"""Event after which a case is pending again; all other events are states that end a case."""


class Ledger:
    """Appends the lines of one run.

    Args:
        out: folder of the run.
        runs: name of the folder of the ledger below `out`.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """

    def __init__(self, out: Path, runs: str = RUNS) -> None:
        folder = out / runs
        with writing(runs):
            folder.mkdir(parents=True, exist_ok=True)
            number = 1 + max((_number(path) for path in folder.glob("*.jsonl")), default=0)
            self.path = folder / f"{number:08d}-{uuid.uuid4().hex}.jsonl"
            self.handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def add(self, case: str, event: str, **more: Any) -> None:
        """Appends a line and waits until it is on the disk."""
        text = json.dumps({"case": case, "event": event} | more, ensure_ascii=False) + "\n"
        left = memoryview(text.encode("utf-8", "backslashreplace"))
        with writing(self.path.name):
            while left:  # a disk that becomes full takes a part without an error; the next write raises it
                left = left[os.write(self.handle, left) :]
            os.fsync(self.handle)

    def end(self, outcome: CaseOutcome) -> None:
        """Appends the line that ends a case."""
        line: dict[str, Any] = {"code": outcome.code, "message": for_records(outcome.message)}
        if outcome.state == DONE:
            line = {"files": dict(outcome.files), "flag": outcome.flag}
        self.add(outcome.case, outcome.state, **line, **({"inputs": outcome.inputs} if outcome.inputs else {}))

    def close(self) -> None:
        """Closes the file."""
        os.close(self.handle)


def read_ledger(out: Path, runs: str = RUNS) -> dict[str, CaseOutcome]:
    """Returns the outcome of every case that a run has a line about, by the name of the case.

    Runs are read in the order of their numbers. Runs of two shards may have the same number, as they have no case in
    common. Files without a number, from versions that gave none, come first, in the order of their times.

    Args:
        out: folder of the run.
        runs: name of the folder of the ledger below `out`.
    """
    outcomes: dict[str, CaseOutcome] = {}
    for line in read_lines(out, runs):
        case = line["case"]
        outcomes[case] = _after(outcomes.get(case) or CaseOutcome(case), line)
    return outcomes


def read_lines(out: Path, runs: str = RUNS) -> Iterator[dict[str, Any]]:
    """Yields the lines of all runs in the order in which they count; see `read_ledger`."""
    for path in sorted((out / runs).glob("*.jsonl"), key=_order):
        yield from _lines(path)


def _after(outcome: CaseOutcome, line: Mapping[str, Any]) -> CaseOutcome:
    """Returns the outcome of a case after one more line; a case that is done stays done until it is to be retried."""
    event = line["event"]
    if event == RETRY:
        return CaseOutcome(outcome.case, flag=outcome.flag)
    if event == DONE or (event in (REFUSED, FAILED) and outcome.state != DONE):
        code, message, flag, inputs = (str(line.get(key, "")) for key in ("code", "message", "flag", "inputs"))
        return CaseOutcome(outcome.case, State(event), code, message, line.get("files", {}), flag, inputs)
    return outcome


def _number(path: Path) -> int:
    digits, separator, _ = path.stem.partition("-")
    return int(digits) if separator and digits.isascii() and digits.isdigit() else 0


def _order(path: Path) -> tuple[int, int, str]:
    number = _number(path)
    return number, 0 if number else path.stat().st_mtime_ns, path.name


def is_whole(out: Path, outcome: CaseOutcome) -> bool:
    """Returns whether the files of a case that is done exist with the hashes of its line."""
    return bool(outcome.files) and are_unchanged(out, outcome.files)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for text in path.read_bytes().split(b"\n"):
        try:
            line = json.loads(text)
            hashes = line.get("files", {})
            if all(isinstance(text, str) for text in (line["case"], line["event"], *hashes.values())):
                yield line
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # not a line that a run wrote whole
            continue
