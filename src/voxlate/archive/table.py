"""The index as a Parquet table: what each series shows and how it was made, without a name, an identifier or a date."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxlate.archive import allowlists
from voxlate.archive.contrast_agent import AgentStatus, agent_status_of, with_timeline
from voxlate.archive.pseudonyms import shifted_date
from voxlate.archive.series_type import number, series_type_of
from voxlate.archive.store import IndexStore
from voxlate.errors import UsageError
from voxlate.io.atomic import replacing

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = "series.parquet"
_TEXT = ("patient", "study", "series", "day", "modality", "manufacturer", "model", "site", "scanner", "sex",
         "body_part", "acquisition", "kernel", "kind", "rule", "agent", "evidence", "fault")  # fmt: skip
_WHOLE = ("number", "files", "slices", "rows", "columns")
_REAL = ("minute", "age_years", "field_tesla", "slice_spacing_mm", "pixel_spacing_mm", "repetition_ms", "echo_ms",
         "inversion_ms", "flip_deg")  # fmt: skip
_FLAGS = ("by_text", "may_be_enhanced")
COLUMNS = (*_TEXT, *_WHOLE, *_REAL, *_FLAGS)
_ROWS_AT_ONCE = 4096
_OLDEST = 89.0
_LARGEST_COUNT = 2**31 - 1


def write_table(store: IndexStore, path: Path) -> int:
    """Writes the table; returns the number of series. The same store gives the same bytes.

    Raises:
        UsageError: `WAREHOUSE` when pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError("WAREHOUSE", "an index needs: pip install 'voxlate[warehouse]'") from error
    schema, count = _schema(pa), 0
    with replacing(path) as partial, parquet.ParquetWriter(partial, schema, compression="zstd") as writer:
        for rows in _batches(rows_of(store)):
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
            count += len(rows)
    return count


def read_table(folder: Path) -> list[dict[str, Any]]:
    """Returns the rows of an index.

    Raises:
        UsageError: `INDEX` when there is none or it is damaged; `WAREHOUSE` when pyarrow is not installed.
    """
    try:
        from pyarrow import lib, parquet
    except ImportError as error:
        raise UsageError("WAREHOUSE", "an index needs: pip install 'voxlate[warehouse]'") from error
    if not (folder / TABLE).is_file():
        raise UsageError("INDEX", f"{folder.name} holds no {TABLE}; make it with voxlate index")
    try:
        table = parquet.read_table(folder / TABLE)
        rows: list[dict[str, Any]] = table.to_pylist()
    except (lib.ArrowException, OSError, ValueError) as error:
        raise UsageError("INDEX", f"{TABLE} is damaged; run voxlate index again") from error
    if set(table.column_names) != set(COLUMNS):
        raise UsageError("INDEX", f"{TABLE} is of another version of voxlate; run voxlate index again")
    return rows


def rows_of(store: IndexStore) -> Iterator[dict[str, Any]]:
    """Yields a row for each series by patient and study, with what the timeline of its study adds."""
    for _, members in groupby(store.series(), key=lambda each: (each["patient"], each["study"])):
        series = list(members)
        headers = [each["header"] for each in series]
        times = [header.get("AcquisitionTime", "") for header in headers]
        starts = [header.get("ContrastBolusStartTime", "") for header in headers]
        agents = with_timeline([agent_status_of(header) for header in headers], times, starts)
        begin = min((second for time in times if (second := _seconds(time)) is not None), default=None)
        for each, agent in zip(series, agents, strict=True):
            yield _row(store.key, each, agent, begin)


def _row(key: str, series: dict[str, Any], agent: AgentStatus, begin_s: float | None) -> dict[str, Any]:
    header, kind = series["header"], series_type_of(series["header"])

    def said(keyword: str) -> str:
        return str(header.get(keyword, ""))

    time_s = _seconds(header.get("AcquisitionTime", ""))
    spacing = _real(header, "SpacingBetweenSlices") or _real(header, "SliceThickness")
    text = {
        "patient": series["patient"], "study": series["study"], "series": series["name"],
        "day": shifted_date(key, series["patient"], said("StudyDate")) or None,
        "modality": allowlists.listed(said("Modality"), allowlists.MODALITIES),
        "manufacturer": allowlists.maker(said("Manufacturer")),
        "model": allowlists.model(said("ManufacturerModelName"), key),
        "site": allowlists.hidden(said("InstitutionName"), key, "site"),
        "scanner": allowlists.hidden(said("DeviceSerialNumber") or said("StationName"), key, "scanner"),
        "sex": allowlists.listed(said("PatientSex"), ("M", "F", "O")),
        "kernel": allowlists.kernel(said("ConvolutionKernel")),
        "body_part": allowlists.listed(said("BodyPartExamined"), allowlists.BODY_PARTS),
        "acquisition": allowlists.listed(said("MRAcquisitionType"), ("2D", "3D")),
        "kind": kind.kind, "rule": kind.rule, "agent": agent.state,
        "evidence": "; ".join(f"{each.source}: {each.says} ({each.words})" for each in agent.evidence),
        "fault": fault_of(series),
    }  # fmt: skip
    frames = min(max(series["frames"], series["files"]), _LARGEST_COUNT)
    whole = {"number": _count(header, "SeriesNumber"), "files": series["files"], "slices": frames,
             "rows": _count(header, "Rows"), "columns": _count(header, "Columns")}  # fmt: skip
    real = {
        "minute": None if time_s is None or begin_s is None else round((time_s - begin_s) / 60, 2),
        "age_years": _age(header.get("PatientAge", "")), "field_tesla": _real(header, "MagneticFieldStrength"),
        "slice_spacing_mm": spacing, "pixel_spacing_mm": _real(header, "PixelSpacing"),
        "repetition_ms": _real(header, "RepetitionTime"), "echo_ms": _real(header, "EchoTime"),
        "inversion_ms": _real(header, "InversionTime"), "flip_deg": _real(header, "FlipAngle"),
    }  # fmt: skip
    return {**text, **whole, **real, "by_text": kind.is_by_text, "may_be_enhanced": agent.may_be_enhanced}


def fault_of(series: dict[str, Any]) -> str:
    """Returns the code of what is wrong with the identifiers of a series, or nothing."""
    from voxlate.io.dicom.parse import UID

    several = {kind for kind, count in series["identities"].items() if count > 1}
    if not series["uid"]:
        return "UID_MISSING"
    if not UID.fullmatch(series["uid"]):
        return "UID_INVALID"
    for kind, code in (("patient", "PATIENT_MIXED"), ("study", "STUDY_MIXED"), ("frame", "FRAME_MIXED")):
        if kind in several:
            return code
    if series["births"] > 1:
        return "PATIENT_ID_SHARED"
    return "ALREADY_SYNTHETIC" if "synthetic" in series["identities"] else ""


def _schema(pa: Any) -> pa.Schema:
    types = [(_TEXT, pa.string()), (_WHOLE, pa.int32()), (_REAL, pa.float64()), (_FLAGS, pa.bool_())]
    return pa.schema([(name, kind) for names, kind in types for name in names])


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _ROWS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _seconds(time: str) -> float | None:
    text = time.strip().replace(":", "")
    try:
        return int(text[:2]) * 3600 + int(text[2:4] or 0) * 60 + float(text[4:] or 0)
    except ValueError:
        return None


def _age(text: str) -> float | None:
    """Returns years of a DICOM age; nobody is said to be older than 89."""
    unit = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}.get(text.strip()[-1:].upper())
    digits = text.strip()[:-1]
    is_number = digits.isascii() and digits.isdecimal() and len(digits) < 5
    return round(min(int(digits) * unit, _OLDEST), 2) if unit and is_number else None


def _real(header: dict[str, str], keyword: str) -> float | None:
    value = number(header, keyword)
    return value if math.isfinite(value) else None


def _count(header: dict[str, str], keyword: str) -> int | None:
    value = _real(header, keyword)
    return None if value is None or not 0 < value < 2**31 else int(value)
