"""One row for each series: its row of the index, its grade, and a person's grade, which overrides both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from voxlate.archive.rows import GradeRecord, IndexRow, PersonGrade
from voxlate.errors import UsageError


class SeriesRow(IndexRow):
    """One series as the rules of a cohort see it: each field is a column that a rule may name.

    Columns that come from the grades are None when the series was not graded.

    Attributes:
        kind, agent: from the person, else from the grade, else from the header.
        header_kind, header_agent: from the header alone.
        stamp: fingerprint of the files of the series.
        state: `OK`, `REFUSED:CODE`, `FAILED:CODE`, or `STALE` when the series had other files when it was graded.
        content: hash of the voxels.
        graded_by: `voxlate` or `person`.
        tier, verdict, failed, noted, pixel_kind, agent_by, pass_probability, proper_probability, agent_probability,
            low_probability, grade_contrast, grade_motion, grade_noise: see `GradeRow`.
    """

    header_kind: str
    header_agent: str
    stamp: str
    state: str | None
    tier: str | None
    verdict: str | None
    failed: str | None
    noted: str | None
    pixel_kind: str | None
    agent_by: str | None
    content: str | None
    pass_probability: float | None
    proper_probability: float | None
    agent_probability: float | None
    low_probability: float | None
    grade_contrast: int | None
    grade_motion: int | None
    grade_noise: int | None
    graded_by: str | None


def join_grades(
    index: Iterable[IndexRow],
    grades: Iterable[GradeRecord],
    persons: Mapping[str, PersonGrade] | None = None,
    stamps: Mapping[str, str] | None = None,
) -> list[SeriesRow]:
    """Returns one row for each series of the index, sorted by patient, study and series.

    Args:
        index: rows of `read_table`.
        grades: records of `read_grades`.
        persons: the last grade of a person, by series; ignored when it was given for other voxels.
        stamps: fingerprint of the files as they are now, by series; grades of other files are ignored.
    """
    by_series = {record["item"]["name"]: record for record in grades}
    rows = []
    for index_row in index:
        name = index_row["series"]
        row = _ungraded(index_row, (stamps or {}).get(name, ""))
        if name in by_series:
            row = _with_grade(row, by_series[name])
        person = (persons or {}).get(name)
        if person and person.get("content") in (None, row["content"]):
            row = _with_person(row, person)
        rows.append(row)
    return sorted(rows, key=lambda row: (row["patient"], row["study"], row["series"]))


def column(series: SeriesRow, name: str, purpose: str) -> object:
    """Returns the value of a column that the rules name.

    Args:
        series: the row.
        name: of the column.
        purpose: the part of the rules that names it, for the message.

    Raises:
        UsageError: `COLUMN` when the column does not exist.
    """
    columns: Mapping[str, object] = series
    if name not in columns:
        raise UsageError(
            "COLUMN",
            f"{purpose} names the column {name}, which does not exist; columns are {', '.join(sorted(columns))}",
        )
    return columns[name]


def _ungraded(row: IndexRow, stamp: str) -> SeriesRow:
    return {
        **row,
        "header_kind": row["kind"],
        "header_agent": row["agent"],
        "stamp": stamp,
        "state": None,
        "tier": None,
        "verdict": None,
        "failed": None,
        "noted": None,
        "pixel_kind": None,
        "agent_by": None,
        "content": None,
        "pass_probability": None,
        "proper_probability": None,
        "agent_probability": None,
        "low_probability": None,
        "grade_contrast": None,
        "grade_motion": None,
        "grade_noise": None,
        "graded_by": None,
    }


def _with_grade(series: SeriesRow, record: GradeRecord) -> SeriesRow:
    if not record["item"].get("stamp", "").startswith(series["stamp"]):
        return {**series, "state": "STALE"}
    graded: SeriesRow = {
        **series,
        "state": record["state"],
        "content": record.get("content"),
        "graded_by": "voxlate",
    }
    row = record.get("row")
    if row is None:  # refused or failed
        return graded
    return {
        **graded,
        "kind": row.get("kind", series["kind"]),
        "agent": row.get("agent", series["agent"]),
        "tier": row.get("tier"),
        "verdict": row.get("verdict"),
        "failed": row.get("failed"),
        "noted": row.get("noted"),
        "pixel_kind": row.get("pixel_kind"),
        "agent_by": row.get("agent_by"),
        "pass_probability": row.get("pass_probability"),
        "proper_probability": row.get("proper_probability"),
        "agent_probability": row.get("agent_probability"),
        "low_probability": row.get("low_probability"),
        "grade_contrast": row.get("grade_contrast"),
        "grade_motion": row.get("grade_motion"),
        "grade_noise": row.get("grade_noise"),
    }


def _with_person(series: SeriesRow, person: PersonGrade) -> SeriesRow:
    return {
        **series,
        "kind": person.get("kind", series["kind"]),
        "agent": person.get("agent", series["agent"]),
        "agent_by": person.get("agent_by", series["agent_by"]),
        "tier": person.get("tier", series["tier"]),
        "grade_contrast": person.get("grade_contrast", series["grade_contrast"]),
        "grade_motion": person.get("grade_motion", series["grade_motion"]),
        "grade_noise": person.get("grade_noise", series["grade_noise"]),
        "graded_by": "person",
    }
