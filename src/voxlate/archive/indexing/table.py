"""The index as a Parquet table: what each series shows and how it was acquired.

The table holds no name, no identifier and no date of a patient: see `voxlate.archive.allowlists` and
`voxlate.archive.pseudonyms`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from voxlate.archive import allowlists
from voxlate.archive.contrast_agent import AgentStatus, agent_status_of, with_timeline
from voxlate.archive.indexing.records import StoredSeries
from voxlate.archive.indexing.store import IndexStore
from voxlate.archive.pseudonyms import date_of, shifted_date
from voxlate.archive.rows import IndexRow
from voxlate.archive.series_type import Header, number, series_type_of
from voxlate.errors import UsageError
from voxlate.io.atomic import replacing

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = "series.parquet"

# Rows of one Parquet record batch: a few MiB of memory whatever the size of the archive; chosen by hand, not tuned.
_BATCH_ROWS = 4096

# Ages above 89 identify people: HIPAA Safe Harbor, 45 CFR 164.514(b)(2)(i)(C), groups them as one.
_MAX_AGE_YEARS = 89.0

# Counts are stored as 32-bit integers.
_MAX_COUNT = 2**31 - 1

# The DICOM value representation AS has three digits and a unit; one digit more is tolerated.
_MAX_AGE_DIGITS = 4


def write_table(store: IndexStore, path: Path) -> int:
    """Writes the table; the same store gives the same bytes.

    Args:
        store: the index.
        path: of the Parquet file.

    Returns:
        The number of series.

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


def read_table(folder: Path) -> list[IndexRow]:
    """Returns the rows of the index in `folder`.

    Raises:
        UsageError: `INDEX` when the table is missing, damaged or of another version; `WAREHOUSE` when pyarrow is not
            installed.
    """
    try:
        from pyarrow import lib, parquet
    except ImportError as error:
        raise UsageError("WAREHOUSE", "an index needs: pip install 'voxlate[warehouse]'") from error
    if not (folder / TABLE).is_file():
        raise UsageError("INDEX", f"{folder.name} has no {TABLE}; make it with voxlate index")
    try:
        table = parquet.read_table(folder / TABLE)
        rows: list[IndexRow] = table.to_pylist()
    except (lib.ArrowException, OSError, ValueError) as error:
        raise UsageError("INDEX", f"{TABLE} is damaged; run voxlate index again") from error
    if set(table.column_names) != set(IndexRow.__annotations__):
        raise UsageError("INDEX", f"{TABLE} was written by another version of voxlate; run voxlate index again")
    return rows


def rows_of(store: IndexStore) -> Iterator[IndexRow]:
    """Yields a row for each series, by patient and study; the timeline of a study adds to the contrast-agent status."""
    for _, members in groupby(store.series(), key=lambda series: (series.patient, series.study)):
        study = list(members)
        days = _days(study)
        seconds, starts = (_moments(study, days, keyword) for keyword in ("AcquisitionTime", "ContrastBolusStartTime"))
        agents = with_timeline(
            [agent_status_of(series.header) for series in study], _sortable(seconds), _sortable(starts)
        )
        begin_s = min((second for second in seconds if second is not None), default=0.0)
        for series, agent, second in zip(study, agents, seconds, strict=True):
            yield _row(store.key, series, agent, None if second is None else round((second - begin_s) / 60, 2))


def _days(study: Sequence[StoredSeries]) -> list[int]:
    """Returns the days of acquisition of the series of a study, as numbers; 0 for all unless each states its date."""
    try:
        return [date_of(series.header.get("AcquisitionDate", "")).toordinal() for series in study]
    except ValueError:
        return [0] * len(study)


def _moments(study: Sequence[StoredSeries], days: Sequence[int], keyword: str) -> list[float | None]:
    """Returns an element of time of each series in seconds, the day included; None where there is no time.

    With the day, a study past midnight keeps its order.
    """
    seconds = [_seconds(series.header.get(keyword, "")) for series in study]
    return [None if each is None else day * 86_400 + each for each, day in zip(seconds, days, strict=True)]


def _sortable(seconds: Iterable[float | None]) -> list[str]:
    """Returns times as texts that sort as the times do; empty for None."""
    return ["" if second is None else f"{second:020.6f}" for second in seconds]


def _row(key: str, series: StoredSeries, agent: AgentStatus, minute: float | None) -> IndexRow:
    header, kind = series.header, series_type_of(series.header)

    def text(keyword: str) -> str:
        return header.get(keyword, "")

    return {
        "patient": series.patient,
        "study": series.study,
        "series": series.name,
        "day": shifted_date(key, series.patient, text("StudyDate")) or None,
        "modality": allowlists.listed_code(text("Modality"), allowlists.MODALITIES),
        "manufacturer": allowlists.manufacturer(text("Manufacturer")),
        "model": allowlists.model(text("ManufacturerModelName"), key),
        "site": allowlists.name_pseudonym(text("InstitutionName"), key, "site"),
        "scanner": allowlists.name_pseudonym(text("DeviceSerialNumber") or text("StationName"), key, "scanner"),
        "sex": allowlists.listed_code(text("PatientSex"), ("M", "F", "O")),
        "body_part": allowlists.listed_code(text("BodyPartExamined"), allowlists.BODY_PARTS),
        "acquisition": allowlists.listed_code(text("MRAcquisitionType"), ("2D", "3D")),
        "kernel": allowlists.kernel(text("ConvolutionKernel")),
        "kind": kind.kind,
        "rule": kind.rule,
        "agent": agent.state,
        "evidence": agent.evidence_text,
        "fault": fault_of(series),
        "number": _count(header, "SeriesNumber"),
        "files": series.files,
        "slices": min(series.frames, _MAX_COUNT),
        "rows": _count(header, "Rows"),
        "columns": _count(header, "Columns"),
        "minute": minute,
        "age_years": _age(text("PatientAge")),
        "field_tesla": _real(header, "MagneticFieldStrength"),
        "slice_spacing_mm": _real(header, "SpacingBetweenSlices") or _real(header, "SliceThickness"),
        "pixel_spacing_mm": _real(header, "PixelSpacing"),
        "repetition_ms": _real(header, "RepetitionTime"),
        "echo_ms": _real(header, "EchoTime"),
        "inversion_ms": _real(header, "InversionTime"),
        "flip_deg": _real(header, "FlipAngle"),
        "by_text": kind.is_by_text,
        "may_be_enhanced": agent.may_be_enhanced,
    }


def fault_of(series: StoredSeries) -> str:
    """Returns the code of the first fault of the identifiers of a series, or an empty string."""
    from voxlate.io.dicom.parse import UID

    if not series.uid:
        return "UID_MISSING"
    if not UID.fullmatch(series.uid):
        return "UID_INVALID"
    for kind, code in (("patient", "PATIENT_MIXED"), ("study", "STUDY_MIXED"), ("frame", "FRAME_MIXED")):
        if series.identities.get(kind, 0) > 1:
            return code
    if series.birth_dates > 1:
        return "PATIENT_ID_SHARED"
    if series.has_unclear_issuer:
        return "PATIENT_ISSUER"
    return "ALREADY_SYNTHETIC" if "synthetic" in series.identities else ""


def _schema(pa: Any) -> pa.Schema:
    """Returns the Arrow schema of `IndexRow`."""
    types = {str: pa.string(), int: pa.int32(), float: pa.float64(), bool: pa.bool_()}
    return pa.schema([(name, types[_without_none(hint)]) for name, hint in get_type_hints(IndexRow).items()])


def _without_none(hint: Any) -> Any:
    """Returns `str` for `str | None`, and `str` for `str`."""
    return next((each for each in get_args(hint) if each is not NoneType), hint)


def _batches(rows: Iterable[IndexRow]) -> Iterator[list[IndexRow]]:
    batch: list[IndexRow] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _seconds(time: str) -> float | None:
    """Returns the seconds since midnight of a DICOM time such as `101500.25`; None when it is not one."""
    text = time.strip().replace(":", "")
    try:
        return int(text[:2]) * 3600 + int(text[2:4] or 0) * 60 + float(text[4:] or 0)
    except ValueError:
        return None


def _age(text: str) -> float | None:
    """Returns a DICOM age such as `045Y` or `006M` in years, at most 89; None when it is not one."""
    unit = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}.get(text.strip()[-1:].upper())
    digits = text.strip()[:-1]
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_AGE_DIGITS
    return round(min(int(digits) * unit, _MAX_AGE_YEARS), 2) if unit and is_number else None


def _real(header: Header, keyword: str) -> float | None:
    value = number(header, keyword)
    return value if math.isfinite(value) else None


def _count(header: Header, keyword: str) -> int | None:
    value = _real(header, keyword)
    return None if value is None or not 0 < value < _MAX_COUNT + 1 else int(value)
