"""What happened to each case of a batch: lines that are only ever added, read back into one standing per case.

Each run appends to a file of its own below `.runs/`, one line at a time and flushed to the disk. Its name begins with
its number, one more than the highest there, so that the order of runs does not hang on a clock. A line that a dying
machine left torn is ignored. A case is done when a line says so together with the hashes of its files, and those files
have these hashes: that a file exists means nothing.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxlate.errors import writing
from voxlate.io.atomic import sha256

RUNS = ".runs"
RETRY = "retry"
PENDING, DONE, REFUSED, FAILED = "pending", "done", "refused", "failed"
ENDS = (DONE, REFUSED, FAILED)


@dataclass
class Standing:
    """Where a case stands.

    Attributes:
        state: `pending`, `done`, `refused` or `failed`.
        code, message: why it is not done.
        files: hashes of its files, by name, when it is done.
        flag: what is to be looked at although it is done.
    """

    state: str = PENDING
    code: str = ""
    message: str = ""
    files: dict[str, str] = field(default_factory=dict)
    flag: str = ""

    def take(self, line: Mapping[str, Any]) -> None:
        """Takes a line of the ledger into account; what is done stays done until it is to be done again."""
        event = line["event"]
        if event == RETRY:
            self.state, self.code, self.message, self.files = PENDING, "", "", {}
        elif event == DONE or (event in ENDS and self.state != DONE):
            self.state, self.files = event, line.get("files", {})
            self.code, self.message, self.flag = (str(line.get(key, "")) for key in ("code", "message", "flag"))


class Ledger:
    """The lines of one run.

    Args:
        out: the folder of the batch.
    """

    def __init__(self, out: Path) -> None:
        folder = out / RUNS
        with writing(RUNS):
            folder.mkdir(parents=True, exist_ok=True)
            number = 1 + max((_number(path) for path in folder.glob("*.jsonl")), default=0)
            self.path = folder / f"{number:08d}-{uuid.uuid4().hex}.jsonl"
            self.handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def add(self, case: str, event: str, **more: Any) -> None:
        """Adds a line and waits until it is on the disk."""
        text = json.dumps({"case": case, "event": event} | more, ensure_ascii=False) + "\n"
        with writing(self.path.name):
            os.write(self.handle, text.encode("utf-8", "backslashreplace"))
            os.fsync(self.handle)

    def close(self) -> None:
        """Closes the file."""
        os.close(self.handle)


def standings(out: Path) -> dict[str, Standing]:
    """Returns the standing of every case that any run of a batch has a line about.

    Runs are read in the order of their numbers; runs of two shards may share one, but no case. Runs without a number,
    from before there were any, come first, in the order of their times.
    """
    found: dict[str, Standing] = {}
    for path in sorted((out / RUNS).glob("*.jsonl"), key=_order):
        for line in _lines(path):
            found.setdefault(line["case"], Standing()).take(line)
    return found


def _number(path: Path) -> int:
    digits, separator, _ = path.stem.partition("-")
    return int(digits) if separator and digits.isascii() and digits.isdigit() else 0


def _order(path: Path) -> tuple[int, int, str]:
    number = _number(path)
    return number, 0 if number else path.stat().st_mtime_ns, path.name


def is_whole(out: Path, standing: Standing) -> bool:
    """Tells whether the files of a case that is done are there with the hashes of its line."""
    return bool(standing.files) and all(
        (out / name).is_file() and sha256(out / name) == expected for name, expected in standing.files.items()
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for text in path.read_bytes().split(b"\n"):
        try:
            line = json.loads(text)
            hashes = line.get("files", {})
            if all(isinstance(text, str) for text in (line["case"], line["event"], *hashes.values())):
                yield line
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):  # no line that a run of ours wrote
            continue
