"""Answers joined with the key: only here, after the reading, is it known what was real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxlate.io.documents import read_json
from voxlate.readers.package import TRUTH, Package
from voxlate.web.server.answer_log import Answer, latest_revisions

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Record:
    """One answer and what was shown.

    Attributes:
        shown: versions from left to right.
        position: trials the reader had answered before.
        is_second: whether the reader had seen another version of the case in this design.
        viewed_s: time the case was looked at; NaN when unknown.
    """

    reader: str
    case: str
    design: str
    shown: tuple[str, ...]
    position: int
    session: int
    is_repeat: bool
    is_second: bool
    answer: Mapping[str, Any]
    comment: str
    viewed_s: float
    revision: int
    time_utc: str

    @property
    def version(self) -> str:
        """Returns the version of a design of one image."""
        return self.shown[0]


def join(package: Package, answers: Sequence[Answer]) -> list[Record]:
    """Returns the last revision of each answer with its truth, readers and trials in their order."""
    trials = {trial.id: trial for own in package.trials.values() for trial in own}
    found = {answer.trial: answer for answer in latest_revisions(answers)}
    seen: set[tuple[str, str, str]] = set()
    records = []
    for own in package.trials.values():
        for trial in own:
            if trial.id not in found:
                continue
            answer, key = found[trial.id], package.key["trials"][trial.id]
            place = (trial.reader, trial.design, key["case"])
            records.append(
                Record(
                    reader=trial.reader,
                    case=key["case"],
                    design=trial.design,
                    shown=tuple(key["shown"]),
                    position=trials[trial.id].position,
                    session=trial.session,
                    is_repeat=key["is_repeat"],
                    is_second=place in seen,
                    answer=answer.body["answer"],
                    comment=answer.body["comment"],
                    viewed_s=_number(answer.body["timing"]["viewed_s"]),
                    revision=answer.revision,
                    time_utc=answer.time_utc,
                )
            )
            seen.add(place)
    return records


def lesions(package: Package) -> dict[str, list[dict[str, Any]]]:
    """Returns the lesions of each case in display voxels."""
    found: dict[str, list[dict[str, Any]]] = read_json(package.folder / TRUTH)
    return found


def table(records: Sequence[Record], value: Mapping[int, float], *, version: str | None = None) -> Values:
    """Returns (readers, cases) of the first readings; NaN where there is none.

    Args:
        records: of one design.
        value: by place in `records`.
        version: only showings of it; all when `None`.
    """
    readers, cases = names(records)
    out = np.full((len(readers), len(cases)), np.nan)
    for at, record in enumerate(records):
        if not record.is_repeat and at in value and version in (None, record.version):
            out[readers.index(record.reader), cases.index(record.case)] = value[at]
    return out


def names(records: Sequence[Record]) -> tuple[list[str], list[str]]:
    """Returns readers in order of appearance and cases sorted."""
    return list(dict.fromkeys(record.reader for record in records)), sorted({record.case for record in records})


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
