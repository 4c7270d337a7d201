"""Grades that a person gives after the software, kept in a record that only grows; the last one of a scan counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from voxlate.archive.rows import GradeRecord, PersonGrade
from voxlate.quality.run import ITEMS, read_grades
from voxlate.quality.tiers import GRADED, TIERS, tier_of
from voxlate.readers.server.store import Store
from voxlate.web.http_errors import Declined
from voxlate.web.sql import open_database

RECORD = "answers.sqlite"
KIND = "regrade"
_RECORD_NAME = "voxlate regrading"
_MAY_BE_PROPER = 0.1


class Grade(BaseModel):
    """What a person says of one scan; the grades of what is no proper T1w are not asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    item: str
    proper: bool
    contrast: Literal[0, 1, 2] | None = None
    motion: Literal[0, 1, 2] | None = None
    noise: Literal[0, 1, 2] | None = None
    agent: Literal["yes", "no", "unknown"] = "unknown"


class Desk:
    """What the page asks of a folder of grades.

    Args:
        folder: made by `voxlate grade`.
        store: the record.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder, self._store = folder, store
        known = [each for each in read_grades(folder) if each["state"] == "OK"]
        self._files = {Path(_file_name(each)).stem: each for each in known}
        self._order = [name for name, _ in sorted(self._files.items(), key=lambda pair: (_certainty(pair[1]), pair[0]))]

    def state(self, reader: str) -> dict[str, Any]:
        """Returns the scans, those the software is least sure of first, and what this reader said of them so far."""
        said = {entry["item"]: entry for entry in _entries(self._store, reader)}
        names = {self._files[key]["item"]["name"]: key for key in self._order}
        return {"items": self._order, "said": {names[name]: entry for name, entry in said.items() if name in names}}

    def picture(self, key: str) -> bytes:
        """Returns the picture of a scan.

        Raises:
            Declined: 404 `ITEM`.
        """
        self._known(key)
        return (self._folder / ITEMS / f"{key}.png").read_bytes()

    def keep(self, reader: str, grade: Grade) -> None:
        """Appends what a person said.

        Raises:
            Declined: 404 `ITEM`, 422 `GRADES` when a proper T1w lacks a grade.
        """
        known = self._known(grade.item)
        grades = {name: getattr(grade, name) for name in GRADED}
        if grade.proper and None in grades.values():
            raise Declined(422, "GRADES", "A proper T1w needs a grade of contrast, of motion and of noise.")
        body: dict[str, object] = {"item": known["item"]["name"], "content": known["content"]}
        body |= {"proper": grade.proper, "agent": grade.agent}
        self._store.note(KIND, reader, body | {"grades": grades if grade.proper else {}})

    def _known(self, key: str) -> GradeRecord:
        if key not in self._files:
            raise Declined(404, "ITEM", "There is no such scan.")
        return self._files[key]


def open_record(folder: Path) -> Store:
    """Returns the record of a folder of grades.

    Raises:
        CannotWrite, InputRefused: see `open_database` and `Store`.
    """
    return Store(open_database(folder), _RECORD_NAME)


def read_regrades(folder: Path) -> dict[str, PersonGrade]:
    """Returns, by item, what a person said last: `tier`, each grade, and `agent` where it was told.

    Raises:
        CannotWrite, InputRefused: see `open_record`.
    """
    if not (folder / RECORD).is_file():
        return {}
    store = open_record(folder)
    try:
        return {str(entry["item"]): told_by(entry) for entry in _entries(store)}
    finally:
        store.close()


def told_by(entry: Mapping[str, Any]) -> PersonGrade:
    """Returns what an entry comes to, in the columns of a cohort."""
    told: PersonGrade = {"tier": "improper", "content": entry["content"]}
    if entry["proper"]:
        grades = {name: int(entry["grades"][name]) for name in GRADED}
        told |= {"tier": tier_of(grades), "kind": "T1w", "grade_contrast": grades["contrast"]}
        told |= {"grade_motion": grades["motion"], "grade_noise": grades["noise"]}
    if entry["agent"] in ("yes", "no"):
        told |= {"agent": entry["agent"], "agent_by": "person"}
    return told


def _entries(store: Store, reader: str | None = None) -> list[dict[str, Any]]:
    """Returns what was said in order, by one reader or by all."""
    return [json.loads(each.body) for each in store.log() if each.kind == KIND and reader in (None, each.reader)]


def _file_name(known: Mapping[str, Any]) -> str:
    from voxlate.quality.items import Item

    return Item(**known["item"]).file_name + ".json"


def _certainty(known: Mapping[str, Any]) -> float:
    """Returns how sure the software is of the least sure of the answers that matter for what the scan may be."""
    row = known["row"]
    proper, agent = row["proper_probability"], row["agent_probability"]
    sure = [max(proper, 1 - proper)]
    if proper >= _MAY_BE_PROPER:
        sure += [max(agent, 1 - agent), max(row[f"{name}_probability"] for name in TIERS)]
    return float(min(sure))
