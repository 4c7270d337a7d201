"""Re-grading: a person grades scans after the software. A log keeps all grades; the last grade of a scan counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from voxlate.archive.rows import GradeRecord, PersonGrade
from voxlate.io.documents import read_json
from voxlate.quality.items import Item, read_item
from voxlate.quality.review.keys import SHORTCUTS
from voxlate.quality.review.slices import SliceStore
from voxlate.quality.run import ITEMS, SOURCE, read_grades
from voxlate.quality.tiers import GRADED, TIERS, tier_of
from voxlate.volume import Volume
from voxlate.web.keyboard import to_json
from voxlate.web.server.answer_log import AnswerLog
from voxlate.web.server.http_errors import HttpRefusal
from voxlate.web.server.sql import open_database

RECORD = "answers.sqlite"
KIND = "regrade"
_LOG_NAME = "voxlate regrading"
"""Identifies the log, in place of the protocol hash of a reader study."""

_MAY_BE_PROPER = 0.1
"""Probability of a proper T1w scan from which agent and tier count in the order. Chosen by hand; not tuned."""


class Grade(BaseModel):
    """A person's grades of one scan; only a proper T1w scan has grades of contrast, motion and noise."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    item: str
    proper: bool
    contrast: Literal[0, 1, 2] | None = None
    motion: Literal[0, 1, 2] | None = None
    noise: Literal[0, 1, 2] | None = None
    agent: Literal["yes", "no", "unknown"] = "unknown"


class RegradingSession:
    """Answers the requests of the re-grading page.

    Args:
        folder: made by `voxlate grade`.
        log: receives the grades.
        source: what was graded, an index, a NIfTI file or a folder of NIfTI files; as the folder notes it when `None`.
            Without it the page shows the pictures of the folder alone.
    """

    def __init__(self, folder: Path, log: AnswerLog, source: Path | None = None) -> None:
        self._folder, self._log = folder, log
        self._source = source or _noted_source(folder)
        self._store = SliceStore(self._scan)
        readable = [grading for grading in read_grades(folder) if grading["state"] == "OK"]
        self._gradings = {Item(**grading["item"]).file_name: grading for grading in readable}
        self._order = sorted(self._gradings, key=lambda key: (_certainty(self._gradings[key]), key))

    def state(self, reader: str) -> dict[str, Any]:
        """Returns the scans, those with the least certain software grades first, and this reader's grades so far."""
        grades = {entry["item"]: entry for entry in _entries(self._log, reader)}
        keys = {self._gradings[key]["item"]["name"]: key for key in self._order}
        said = {keys[name]: entry for name, entry in grades.items() if name in keys}
        return {"items": self._order, "said": said, "keys": to_json(SHORTCUTS)}

    def slices(self, key: str) -> dict[str, Any]:
        """Returns the planes of a scan, and the slices that the page shows first.

        Raises:
            HttpRefusal: 404 `ITEM` for an unknown scan; see `SliceStore.slices`.
        """
        self._grading(key)
        slices = self._store.slices(key)
        return {"planes": slices.planes, "tiles": slices.tiles}

    def slice_picture(self, key: str, plane: str, number: int, window: str) -> bytes:
        """Returns one slice of a scan, a PNG file without any name.

        Raises:
            HttpRefusal: 404 `ITEM` for an unknown scan, `SLICE` for an unknown slice; see `SliceStore.slices`.
        """
        self._grading(key)
        return self._store.picture(key, plane, number, window)

    def picture(self, key: str) -> bytes:
        """Returns the picture of a scan, a PNG file.

        Raises:
            HttpRefusal: 404 `ITEM` for an unknown scan.
        """
        self._grading(key)
        return (self._folder / ITEMS / f"{key}.png").read_bytes()

    def add_grade(self, reader: str, grade: Grade) -> None:
        """Appends a person's grade to the log.

        Raises:
            HttpRefusal: 404 `ITEM` for an unknown scan; 422 `GRADES` when a proper T1w scan lacks a grade.
        """
        grading = self._grading(grade.item)
        grades = {name: getattr(grade, name) for name in GRADED}
        if grade.proper and None in grades.values():
            raise HttpRefusal(422, "GRADES", "A proper T1w scan needs grades of contrast, motion and noise.")
        body: dict[str, object] = {"item": grading["item"]["name"], "content": grading["content"]}
        body |= {"proper": grade.proper, "agent": grade.agent}
        self._log.add_event(KIND, reader, body | {"grades": grades if grade.proper else {}})

    def _scan(self, key: str) -> tuple[Volume, str]:
        """Returns the scan of an item, and the hash that its content had when it was graded."""
        if self._source is None:
            raise HttpRefusal(404, "NO_SOURCE", "The folder does not say where its scans are. Name them with --source.")
        grading = self._gradings[key]
        return read_item(self._source, Item(**grading["item"])), grading["content"]

    def _grading(self, key: str) -> GradeRecord:
        if key not in self._gradings:
            raise HttpRefusal(404, "ITEM", "There is no such scan.")
        return self._gradings[key]


def open_log(folder: Path) -> AnswerLog:
    """Returns the log of a folder made by `voxlate grade`.

    Raises:
        CannotWrite, InputRefused: see `open_database` and `AnswerLog`.
    """
    return AnswerLog(open_database(folder), _LOG_NAME)


def read_regrades(folder: Path) -> dict[str, PersonGrade]:
    """Returns the last grade of each scan by a person, as columns of a cohort table, by the name of the scan.

    Raises:
        CannotWrite, InputRefused: see `open_log`.
    """
    if not (folder / RECORD).is_file():
        return {}
    with closing(open_log(folder)) as log:
        return {str(entry["item"]): cohort_columns(entry) for entry in _entries(log)}


def cohort_columns(entry: Mapping[str, Any]) -> PersonGrade:
    """Returns the columns of a cohort table that an entry of the log determines.

    `tier` and `content` always; `kind` and the grades for a proper T1w scan; `agent` unless the person could not tell.
    """
    columns: PersonGrade = {"tier": "improper", "content": entry["content"]}
    if entry["proper"]:
        grades = {name: int(entry["grades"][name]) for name in GRADED}
        columns |= {"tier": tier_of(grades), "kind": "T1w", "grade_contrast": grades["contrast"]}
        columns |= {"grade_motion": grades["motion"], "grade_noise": grades["noise"]}
    if entry["agent"] in ("yes", "no"):
        columns |= {"agent": entry["agent"], "agent_by": "person"}
    return columns


def _noted_source(folder: Path) -> Path | None:
    """Returns where the scans of a folder of grades are, as `voxlate grade` noted it; None in an older folder."""
    try:
        return folder / str(read_json(folder / SOURCE)["source"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _entries(log: AnswerLog, reader: str | None = None) -> list[dict[str, Any]]:
    """Returns the grades in the order of arrival, of one reader or of all."""
    return [json.loads(entry.body) for entry in log.log() if entry.kind == KIND and reader in (None, entry.reader)]


def _certainty(grading: Mapping[str, Any]) -> float:
    """Returns the probability of the software's least certain answer that matters for the use of the scan."""
    row = grading["row"]
    proper, agent = row["proper_probability"], row["agent_probability"]
    certainties = [max(proper, 1 - proper)]
    if proper >= _MAY_BE_PROPER:
        certainties += [max(agent, 1 - agent), max(row[f"{name}_probability"] for name in TIERS)]
    return float(min(certainties))
