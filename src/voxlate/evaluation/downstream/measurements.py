"""One number per patient, session, method and structure: tissue volumes, structure volumes, cortical thickness.

A table of measurements is tab-separated with the columns `patient`, `method`, `structure` and `value`, and, where they
apply, `session`, `years` (time of the session) and `unit`. Tables of tissue volumes may name `structure` `tissue` and
`value` `volume_cm3`, as `evaluation.json` does; a column `segmenter` must then hold one segmenter only.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from voxlate.errors import InputRefused, NoInput
from voxlate.evaluation.schema.rows import AnyVolumeRow, VolumeRow
from voxlate.io.atomic import write_json, write_text
from voxlate.io.documents import finite_values
from voxlate.io.tables import inert_cell, read_rows

TARGET = "target"
"""Method of the real images."""

_SYNONYMS = {"tissue": "structure", "volume_cm3": "value", "participant_id": "patient"}
_NEEDED = ("patient", "method", "structure", "value")
COLUMNS = ("patient", "session", "years", "method", "structure", "value", "unit")
_EMPTY = {"", "n/a"}


@dataclass(frozen=True)
class Measurement:
    """A number measured in one image.

    Attributes:
        patient: pseudonym.
        method: `target` for the real image, else the name of the system or of the untouched source.
        structure: tissue, structure or region.
        value: in `unit`.
        session: of the patient; empty where there is one only.
        years: time of the session in years, from any start; None when unknown.
        unit: `cm3`, `mm` or another.
    """

    patient: str
    method: str
    structure: str
    value: float
    session: str = ""
    years: float | None = None
    unit: str = "cm3"


def from_volume_rows(
    rows: Iterable[AnyVolumeRow], *, segmenter: str, names: Mapping[str, str] | None = None
) -> list[Measurement]:
    """Returns the tissue volumes of an evaluation as measurements, with those of the target as a method of their own.

    The session is the BIDS entity `ses-…` in the name of the case, or else the name of the case.

    Args:
        rows: rows under `volumes` of `evaluation.json`; those of agreement are passed over.
        segmenter: whose volumes are taken; those of several are never mixed.
        names: other names of methods, such as that of the system for `synthetic`.

    Raises:
        NoInput: `NO_INPUT` when no row is of this segmenter.
    """
    found: dict[tuple[str, str, str, str], Measurement] = {}
    for row in rows:
        if row["segmenter"] != segmenter or "volume_cm3" not in row:
            continue
        row = cast(VolumeRow, row)
        case = row.get("case", "")
        patient, session = row.get("patient", case), session_of(case)
        named = (names or {}).get(row["method"], row["method"])
        for method, value in ((TARGET, row["target_cm3"]), (named, row["volume_cm3"])):
            one = Measurement(patient, method, row["tissue"], float(value), session)
            found[(patient, session, method, row["tissue"])] = one
    if not found:
        raise NoInput("NO_INPUT", f"there are no volumes of segmenter {segmenter!r}; name one of the evaluation's")
    return list(found.values())


def session_of(case: str) -> str:
    """Returns the session in the name of a case, such as `02` for `sub-01_ses-02`; without one, the whole name."""
    match = re.search(r"(?:^|_)ses-([A-Za-z0-9]+)", case)
    return match.group(1) if match else case


def read_measurements(path: Path) -> list[Measurement]:
    """Reads a table of measurements.

    Args:
        path: tab-separated, UTF-8; see the module for its columns. Rows with an empty value or `n/a` are left out.

    Raises:
        NoInput: `NO_INPUT` when the table is missing or has no value.
        InputRefused: `MEASUREMENTS` for a missing column, a value that is no finite number, several segmenters, or a
            measurement that occurs twice.
    """
    rows = read_rows(path, code="MEASUREMENTS", synonyms=_SYNONYMS, needed=_NEEDED)
    segmenters = sorted({row["segmenter"] for row in rows if row.get("segmenter")})
    if len(segmenters) > 1:
        raise InputRefused(
            "MEASUREMENTS", f"{path.name} holds the segmenters {', '.join(segmenters)}; keep the rows of one of them"
        )
    found, seen = [], set()
    for line, row in enumerate(rows, start=2):
        if row["value"].strip().lower() in _EMPTY:
            continue
        years = row.get("years") or ""
        one = Measurement(
            patient=row["patient"],
            method=row["method"],
            structure=row["structure"],
            value=_number(row["value"], path, line),
            session=row.get("session") or session_of(row.get("case") or ""),
            years=None if years.strip().lower() in _EMPTY else _number(years, path, line),
            unit=row.get("unit") or "cm3",
        )
        key = (one.patient, one.session, one.method, one.structure)
        if key in seen:
            raise InputRefused("MEASUREMENTS", f"{path.name}: line {line} repeats a measurement of an earlier line")
        seen.add(key)
        found.append(one)
    if not found:
        raise NoInput("NO_INPUT", f"{path.name} has no value; measure some images first")
    return found


def write_measurements(path: Path, measurements: Sequence[Measurement]) -> None:
    """Writes a table that `read_measurements` reads back."""
    write_rows(path, [{name: getattr(one, name) for name in COLUMNS} for one in measurements], columns=COLUMNS)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str]) -> None:
    """Writes a tab-separated table; numbers have six significant digits, None and NaN are `n/a`.

    Args:
        path: the table.
        rows: by name of the column.
        columns: in this order.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    writer.writerows([columns, *([_cell(row.get(name)) for name in columns] for row in rows)])
    write_text(path, stream.getvalue())


def write_result(out: Path, name: str, kind: type[Any], rows: Sequence[Any], *, doc: str | None, **stated: str) -> None:
    """Writes rows as `NAME.tsv`, and as `NAME.json` with what they mean.

    Args:
        out: folder; created when missing.
        name: of both files.
        kind: dataclass of the rows; its fields are the columns.
        rows: of this kind.
        doc: docstring of the module that computed them; all behind its first line is their definition.
        **stated: further keys of the JSON file.
    """
    content = [asdict(row) for row in rows]
    write_rows(out / f"{name}.tsv", content, columns=[field.name for field in fields(kind)])
    definition = " ".join((doc or "").split("\n\n", 1)[-1].split())
    write_json(out / f"{name}.json", finite_values({"definition": definition, **stated, "rows": content}))


def require_method(measurements: Sequence[Measurement], method: str) -> None:
    """Raises `InputRefused` `METHOD` unless some measurements are of a method."""
    known = sorted({one.method for one in measurements})
    if method not in known:
        raise InputRefused("METHOD", f"there are no measurements of {method!r}; the table has {', '.join(known)}")


def _number(text: str, path: Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputRefused("MEASUREMENTS", f"{path.name}: line {line}: {text!r} is no number; write n/a for none")
    return value


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "n/a"
    if isinstance(value, float):
        return f"{value:.6g}"
    return inert_cell(re.sub(r"\r\n|[\t\r\n]", " ", str(value)))
