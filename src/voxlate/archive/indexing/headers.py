"""Reads the headers of DICOM files for the index, in chunks that are the unit of work and of a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from voxlate.archive.classify import element_text, header_of
from voxlate.archive.indexing.records import NOT_DICOM, READ, READ_AGAIN, FileRecord, SeriesRecord, instance_number
from voxlate.errors import InputRefused, TemporaryFailure

if TYPE_CHECKING:
    from pydicom import Dataset

INDEXED_ELEMENTS = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "SeriesDate", "AcquisitionDate", "SeriesNumber", "Rows", "Columns",
    "NumberOfFrames", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "BodyPartExamined", "PatientAge",
    "PatientSex", "ManufacturerModelName", "TransferSyntaxUID", "FrameOfReferenceUID", "InstitutionName", "StationName",
    "DeviceSerialNumber", "ConvolutionKernel",
)  # fmt: skip
"""Elements that the index keeps beside `CLASSIFIED_ELEMENTS`."""

TRANSIENT_STATES = ("NO_ACCESS", "MEMORY", "IO")
"""States with a cause outside the file; the next run reads the file again though it has not changed."""

# NumberOfFrames above a million is damage; without a limit, a text of digits could overflow the integers of SQLite.
_MAX_FRAMES_DIGITS = 6


@dataclass(frozen=True)
class Chunk:
    """Some files of one folder.

    Attributes:
        folder: relative to the root of the archive.
        names: of the files.
    """

    folder: str
    names: tuple[str, ...]


def read_chunk(root: str, chunk: Chunk) -> tuple[Chunk, list[FileRecord], list[SeriesRecord]]:
    """Reads the headers of a chunk without pixels; a file that cannot be read has its error code as state.

    Args:
        root: folder that the folder of the chunk is relative to.
        chunk: the files.

    Returns:
        The chunk, a record for each of its files, and a record for each series in them.
    """
    files: list[FileRecord] = []
    series: list[SeriesRecord] = []
    for name in chunk.names:
        path = Path(root) / chunk.folder / name
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # removed while the archive was read; the next round decides
        except OSError:
            files.append(FileRecord(name, 0, READ_AGAIN, "", "NO_ACCESS"))
            continue
        record, state, instance = _read(path, f"{chunk.folder}/{name}")
        changed = READ_AGAIN if state in TRANSIENT_STATES else status.st_mtime_ns
        if record is None:
            files.append(FileRecord(name, status.st_size, changed, "", state))
            continue
        series.append(record)
        frames = frames_of(record.header)
        files.append(FileRecord(name, status.st_size, changed, record.uid, state, instance, frames))
    return chunk, files, merge_records(series)


def series_record(dataset: Dataset, path: str) -> SeriesRecord:
    """Returns the record that one header gives of its series.

    Args:
        dataset: the header.
        path: of the file; the index keeps the header of the file with the least path.
    """
    from voxlate.io.dicom.series import identity_value, is_synthetic

    header = header_of(dataset)
    meta = getattr(dataset, "file_meta", {})
    header |= {key: text for key in INDEXED_ELEMENTS if (text := element_text(dataset, key) or element_text(meta, key))}
    uid = element_text(dataset, "SeriesInstanceUID")
    identities = {(kind, identity_value(dataset, key)) for kind, key in
                  (("frame", "FrameOfReferenceUID"), ("study", "StudyInstanceUID"))}  # fmt: skip
    patient = "\n".join(identity_value(dataset, key) for key in ("PatientID", "PatientName"))
    identities |= {("patient", patient)} | ({("synthetic", "YES")} if is_synthetic(dataset) else set())
    birth = element_text(dataset, "PatientBirthDate").strip()
    identities |= {("birth", birth)} if birth else set()
    issuer = element_text(dataset, "IssuerOfPatientID").strip()
    own = element_text(dataset, "PatientID").strip()
    patient_key = f"{issuer}\n{own}" if own else f"study {header.get('StudyInstanceUID', '')}"
    return SeriesRecord(uid, header.get("StudyInstanceUID", ""), patient_key, own, path, header, frozenset(identities))


def frames_of(header: Mapping[str, str]) -> int:
    """Returns the number of frames of a file, from 1, by the header of a `SeriesRecord`."""
    text = header.get("NumberOfFrames", "")
    return max(int(text), 1) if text.isascii() and text.isdecimal() and len(text) <= _MAX_FRAMES_DIGITS else 1


def merge_records(records: Iterable[SeriesRecord]) -> list[SeriesRecord]:
    """Returns one record for each series, with the header of the first file and the identities of all."""
    result: dict[str, SeriesRecord] = {}
    for record in records:
        other = result.get(record.uid)
        if other is None:
            result[record.uid] = record
            continue
        first = min(record, other, key=lambda each: each.first)
        result[record.uid] = replace(first, identities=record.identities | other.identities)
    return list(result.values())


def chunks_of(folder: str, names: Sequence[str], size: int) -> list[Chunk]:
    """Returns the files of a folder in chunks.

    Args:
        folder: relative to the root of the archive.
        names: of the files.
        size: most files of a chunk.
    """
    return [Chunk(folder, tuple(names[start : start + size])) for start in range(0, len(names), size)]


def _read(path: Path, relative: str) -> tuple[SeriesRecord | None, str, int]:
    """Returns the record of a file, None when it is not an image of a series; its state; the number of its image."""
    from voxlate.io.dicom.files import SUFFIXES
    from voxlate.io.dicom.parse import NotDicom, read_dataset, refusing_damage
    from voxlate.io.dicom.series import is_directory_file

    is_named = path.suffix.lower() in SUFFIXES
    try:
        dataset = read_dataset(path, with_pixels=False)
        with refusing_damage(path):
            if is_directory_file(dataset):
                return None, NOT_DICOM, 0
            instance = instance_number(element_text(dataset, "SOPInstanceUID") or relative)
            return series_record(dataset, relative), READ, instance
    except NotDicom:
        state = "UNREADABLE" if is_named else NOT_DICOM
    except (InputRefused, TemporaryFailure) as error:
        is_dicom = is_named or error.code not in ("EMPTY", "UNREADABLE")
        state = "NO_ACCESS" if isinstance(error.__cause__, OSError) else error.code if is_dicom else NOT_DICOM
    except OSError:
        state = "NO_ACCESS"
    return None, state, 0
