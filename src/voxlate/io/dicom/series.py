"""Groups files into series by their UIDs, never by file names or descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from voxlate.errors import InputRefused, VoxlateError
from voxlate.io.dicom.files import SUFFIXES, Unread
from voxlate.io.dicom.parse import UID, NotDicom, file_label, read_dataset, refusing_damage
from voxlate.io.log import counted, warn

_DIRECTORY = "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class DicomSeries:
    """The files of one series.

    Attributes:
        uid: SeriesInstanceUID; empty if the files have none.
        files: in the order of their paths.
        damaged: errors of unreadable files in the same folders, whose series is unknown, and of unreadable folders
            beside them.
        is_alone: whether the folders hold no other series.
        fault: why the series cannot be read, if its identifiers already show it; else None.
        first: header of its first file, without pixels.
    """

    uid: str
    files: tuple[Path, ...]
    damaged: tuple[InputRefused, ...]
    is_alone: bool
    fault: InputRefused | None
    first: Dataset = field(repr=False)

    @property
    def number(self) -> int:
        """Returns the series number, or 0 if it has none."""
        try:
            return int(self.first.get("SeriesNumber") or 0)
        except (TypeError, ValueError, NotImplementedError):
            return 0


def find_series(files: Iterable[Path | Unread], *, force: bool = False) -> list[DicomSeries]:
    """Returns the series of a set of files, in the order of their first files.

    Other files are ignored with a warning `NON_DICOM_IGNORED`.

    Args:
        files: paths to read, and what could not be read; see `walk`.
        force: see `read_dataset`.

    Raises:
        InputRefused: the error of the first damaged file, if no file can be read.
        TemporaryFailure: `MEMORY`, `IO`.
    """
    by_uid: dict[str, list[tuple[Path, Dataset]]] = {}
    damaged: list[tuple[Path, InputRefused]] = []
    folders: list[tuple[Path, InputRefused]] = []
    not_dicom = 0
    for path in files:
        if isinstance(path, Unread):
            (folders if path.is_folder else damaged).append((path.path, _refusal(path.error)))
            continue
        try:
            header = read_dataset(path, with_pixels=False, force=force)
            uid, is_directory = _identity(header, path)
            if not is_directory:
                by_uid.setdefault(uid, []).append((path, header))
        except NotDicom:
            if path.suffix.lower() in SUFFIXES:
                damaged.append((path, _not_dicom(path)))
            else:
                not_dicom += 1
        except InputRefused as error:
            if _may_be_image(path, error):
                damaged.append((path, error))
            else:
                not_dicom += 1
    if not_dicom:
        warn("NON_DICOM_IGNORED", f"not DICOM, ignored: {counted(not_dicom, 'file')}")
    if not by_uid and (damaged or folders):
        raise (damaged or folders)[0][1]
    lost = [(path.parent, error) for path, error in damaged]
    lost += [(place, error) for path, error in folders for place in _places_of_one_series(path, by_uid)]
    return [_series(uid, members, by_uid, lost) for uid, members in by_uid.items()]


def _not_dicom(path: Path) -> InputRefused:
    return InputRefused("UNREADABLE", f"{file_label(path)} is not a DICOM file, although its name says so")


def _refusal(error: VoxlateError) -> InputRefused:
    """Returns the refusal of what was not read; raises a failure of the disk, which may pass."""
    if not isinstance(error, InputRefused):
        raise error
    return error


def _may_be_image(path: Path, error: InputRefused) -> bool:
    """Returns whether a file that was refused may be an image: by its name, its content, or because it was not seen."""
    is_unseen = isinstance(error.__cause__, OSError)
    return path.suffix.lower() in SUFFIXES or is_unseen or error.code not in ("EMPTY", "UNREADABLE")


def _places_of_one_series(unread: Path, by_uid: Mapping[str, list[tuple[Path, Dataset]]]) -> list[Path]:
    """Returns the folder of the series that an unreadable folder may be a part of; nothing if there are several.

    These are the series below its nearest ancestor with images. As with an unreadable file, none is refused where it
    may belong to any of several.
    """
    for ancestor in unread.parents:
        near = {
            uid: path.parent
            for uid, members in by_uid.items()
            for path, _ in members
            if path.parent.is_relative_to(ancestor)
        }
        if near:
            return list(near.values()) if len(near) == 1 else []
    return []


def _series(
    uid: str,
    members: list[tuple[Path, Dataset]],
    by_uid: dict[str, list[tuple[Path, Dataset]]],
    lost: list[tuple[Path, InputRefused]],
) -> DicomSeries:
    """Returns a series with the errors beside it.

    Args:
        uid: of the series.
        members: its files with their headers.
        by_uid: the files of all series.
        lost: the folder and the error of each file that could not be read.
    """
    folders = {path.parent for path, _ in members}
    others = {path.parent for other, rest in by_uid.items() if other != uid for path, _ in rest}
    beside = tuple(error for folder, error in lost if folder in folders)
    headers = [header for _, header in members]
    return DicomSeries(
        uid, tuple(path for path, _ in members), beside, not folders & others, _fault_of(uid, headers), headers[0]
    )


def _identity(header: Dataset, name: Path) -> tuple[str, bool]:
    """Returns the series UID, and whether the file is a DICOMDIR (an index of files, which is never followed)."""
    with refusing_damage(name):
        value = header.get("SeriesInstanceUID")
        return ("" if value is None else str(value)), is_directory_file(header)


def is_directory_file(header: Dataset) -> bool:
    """Returns whether a file is a DICOMDIR, an index of files, which is never followed."""
    return _DIRECTORY in (header.get("SOPClassUID"), header.file_meta.get("MediaStorageSOPClassUID"))


def _fault_of(uid: str, headers: list[Dataset]) -> InputRefused | None:
    try:
        with refusing_damage("a header of the series"):
            return _fault(uid, headers)
    except InputRefused as error:
        return error


def _fault(uid: str, headers: list[Dataset]) -> InputRefused | None:
    if not uid:
        return InputRefused(
            "UID_MISSING", f"{len(headers)} files have no SeriesInstanceUID, so they cannot be grouped into series"
        )
    if not UID.fullmatch(uid):
        return InputRefused("UID_INVALID", "the SeriesInstanceUID holds something other than digits and dots")
    patients = {(identity_value(header, "PatientID"), identity_value(header, "PatientName")) for header in headers}
    if len(patients) > 1:
        return InputRefused("PATIENT_MIXED", f"one series holds {len(patients)} patients; correct it in the archive")
    frames = {identity_value(header, "FrameOfReferenceUID") for header in headers}
    if len(frames) > 1:
        return InputRefused("FRAME_MIXED", f"one series has {len(frames)} frames of reference")
    if any(is_synthetic(header) for header in headers):
        return InputRefused(
            "ALREADY_SYNTHETIC", "the series is marked as synthetic; synthetic scans are not translated"
        )
    return None


def is_synthetic(header: Dataset) -> bool:
    """Returns whether a header marks its image as synthetic (SyntheticData, or ImageType as voxlate writes it)."""
    kinds = header.get("ImageType") or []
    kinds = kinds.split("\\") if isinstance(kinds, str) else [str(kind) for kind in kinds]
    return "SYNTHETIC" in kinds or str(header.get("SyntheticData") or "").upper() == "YES"


def identity_value(header: Dataset, keyword: str) -> str:
    """Returns the raw bytes of an element as text, so that a wrong character set does not matter; empty if absent."""
    if keyword not in header:
        return ""
    value: Any = header.get_item(keyword).value
    return value.decode("latin-1").strip("\0 ") if isinstance(value, bytes) else str(value or "")
