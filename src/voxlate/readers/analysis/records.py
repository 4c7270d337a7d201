"""Joins the answers with the key of the study, which says whether an image was real or synthetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxlate.io.documents import read_json
from voxlate.readers.analysis.output.json_values import OMITTED
from voxlate.readers.package import TRUTH, Lesion, Package
from voxlate.web.server.answer_log import Answer, latest_revisions

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Record:
    """One answer and what was shown.

    Attributes:
        reader: pseudonym.
        case: its name.
        design: name of the design.
        shown: versions (`real`, `synthetic`) from left to right.
        position: trials of the reader before this one.
        session: 0 or 1.
        is_repeat: whether the reader had read the same image before, to measure agreement within the reader.
        is_second: whether the reader had read the case in this design before.
        answer: as the page sent it; its form depends on the design, see `voxlate.readers.answers`.
        comment: free text of the reader.
        viewed_s: seconds that the case was viewed; NaN when unknown.
        revision: 0 for the first answer to the trial; each change adds 1.
        time_utc: when the answer was stored.
        patient: of the case; None where the study names no patients.
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
    patient: str | None = field(default=None, metadata=OMITTED)

    @property
    def version(self) -> str:
        """Returns the version shown, for a design with one image per trial."""
        return self.shown[0]


def join(package: Package, answers: Sequence[Answer]) -> list[Record]:
    """Returns the last revision of each answer with what was shown, in the order of readers and trials."""
    by_trial = {answer.trial: answer for answer in latest_revisions(answers)}
    patients = package.key.get("patients", {})
    read: set[tuple[str, str, str]] = set()
    records = []
    for own in package.trials.values():
        for trial in own:
            if trial.id not in by_trial:
                continue
            answer, key = by_trial[trial.id], package.key["trials"][trial.id]
            reading = (trial.reader, trial.design, key["case"])
            records.append(
                Record(
                    reader=trial.reader,
                    case=key["case"],
                    design=trial.design,
                    shown=tuple(key["shown"]),
                    position=trial.position,
                    session=trial.session,
                    is_repeat=key["is_repeat"],
                    is_second=reading in read,
                    answer=answer.body["answer"],
                    comment=answer.body["comment"],
                    viewed_s=_number(answer.body["timing"]["viewed_s"]),
                    revision=answer.revision,
                    time_utc=answer.time_utc,
                    patient=patients.get(key["case"]),
                )
            )
            read.add(reading)
    return records


def lesions(package: Package) -> dict[str, list[Lesion]]:
    """Returns the lesions of each case."""
    by_case: dict[str, list[Lesion]] = read_json(package.folder / TRUTH)
    return by_case


def table(records: Sequence[Record], values: Sequence[float], *, version: str | None = None) -> Values:
    """Returns the values of first readings as (readers, cases); NaN where a reader did not read a case.

    Args:
        records: of one design.
        values: one per record.
        version: `real` or `synthetic` for readings of this version only; both when `None`.
    """
    readers, cases = names(records)
    out = np.full((len(readers), len(cases)), np.nan)
    for record, value in zip(records, values, strict=True):
        if not record.is_repeat and version in (None, record.version):
            out[readers.index(record.reader), cases.index(record.case)] = value
    return out


def names(records: Sequence[Record]) -> tuple[list[str], list[str]]:
    """Returns readers in order of appearance and cases sorted."""
    return list(dict.fromkeys(record.reader for record in records)), sorted({record.case for record in records})


def patients(records: Sequence[Record], cases: Sequence[str]) -> list[str]:
    """Returns the patient of each case, the cluster of the intervals; the case itself where no patient is named.

    Args:
        records: with at least one record of each case.
        cases: names.
    """
    of_case = {record.case: record.patient or record.case for record in records}
    return [of_case[case] for case in cases]


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
