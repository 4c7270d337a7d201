"""What the header of one file says, as far as an index keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voxlate.archive.classify import element_text, header_of
from voxlate.archive.store import FileRecord, SeriesRecord
from voxlate.errors import InputRefused, TemporaryFailure

if TYPE_CHECKING:
    from pydicom import Dataset

INDEXED_ELEMENTS = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "SeriesDate", "SeriesNumber", "Rows", "Columns",
    "NumberOfFrames", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "BodyPartExamined", "PatientAge",
    "PatientSex", "ManufacturerModelName", "TransferSyntaxUID", "FrameOfReferenceUID", "InstitutionName", "StationName",
    "DeviceSerialNumber", "ConvolutionKernel",
)  # fmt: skip
"""Elements kept beside those that classify."""

TRANSIENT_STATES = ("NO_ACCESS", "MEMORY", "IO")
"""States of a file that may be another in the next run though the file stays as it is."""

NEVER = -1
_MOST_FRAMES_DIGITS = 6


@dataclass(frozen=True)
class Chunk:
    """Some files of one folder: to be read, or what they said."""

    folder: str
    names: tuple[str, ...]


def read_chunk(root: str, bite: Chunk) -> tuple[Chunk, list[FileRecord], list[SeriesRecord]]:
    """Reads the headers of a bite, none of its pixels; a file that cannot be read gets its code, the others go on.

    Args:
        root: that folders are relative to.
        bite: which files.
    """
    files: list[FileRecord] = []
    found: list[SeriesRecord] = []
    for name in bite.names:
        path = Path(root) / bite.folder / name
        try:
            status = path.stat()
        except OSError:
            continue  # it went away while the archive was read; the next round decides
        fact, state = _read(path, f"{bite.folder}/{name}")
        found += [] if fact is None else [fact]
        # what failed for no fault of the file is never taken for known, so that the next run reads it again
        changed = NEVER if state in TRANSIENT_STATES else status.st_mtime_ns
        files.append(FileRecord(name, status.st_size, changed, "" if fact is None else fact.uid, state))
    return bite, files, merged(found)


def series_record(dataset: Dataset, path: str) -> SeriesRecord:
    """Returns what one header says of its series.

    Args:
        dataset: the header.
        path: where it was found, for the choice of the first.
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
    known = f"{issuer}\n{own}" if own else f"study {header.get('StudyInstanceUID', '')}"
    frames = max(_whole(header.get("NumberOfFrames", "")), 1)
    return SeriesRecord(uid, header.get("StudyInstanceUID", ""), known, path, header, frozenset(identities), frames)


def merged(facts: Iterable[SeriesRecord]) -> list[SeriesRecord]:
    """Returns one fact for each series."""
    result: dict[str, SeriesRecord] = {}
    for fact in facts:
        other = result.get(fact.uid)
        if other is None:
            result[fact.uid] = fact
            continue
        first = min(fact, other, key=lambda each: each.first)
        result[fact.uid] = SeriesRecord(
            first.uid, first.study, first.patient, first.first, first.header,
            fact.identities | other.identities, fact.frames + other.frames,
        )  # fmt: skip
    return list(result.values())


def chunks_of(folder: str, names: Sequence[str], size: int) -> list[Chunk]:
    """Returns the files of a folder in bites of at most `size`."""
    return [Chunk(folder, tuple(names[start : start + size])) for start in range(0, len(names), size)]


def _read(path: Path, place: str) -> tuple[SeriesRecord | None, str]:
    from voxlate.io.dicom.files import SUFFIXES
    from voxlate.io.dicom.parse import NotDicom, read_dataset, refusing_damage
    from voxlate.io.dicom.series import is_directory_file

    is_named = path.suffix.lower() in SUFFIXES
    try:
        dataset = read_dataset(path, with_pixels=False)
        with refusing_damage(path):
            is_list = is_directory_file(dataset)
            return (None, "stranger") if is_list else (series_record(dataset, place), "read")
    except NotDicom:
        state = "UNREADABLE" if is_named else "stranger"
    except (InputRefused, TemporaryFailure) as error:
        is_ours = is_named or error.code not in ("EMPTY", "UNREADABLE")
        state = "NO_ACCESS" if isinstance(error.__cause__, OSError) else error.code if is_ours else "stranger"
    except OSError:
        state = "NO_ACCESS"
    return None, state


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_FRAMES_DIGITS else 0
