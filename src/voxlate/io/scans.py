"""A scan of any format that is read: NIfTI, a DICOM file, a folder of DICOM, or a zip of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.io.atomic import sha256
from voxlate.io.nifti import read_volume
from voxlate.io.nifti_source import nifti_suffix, sidecar_path
from voxlate.volume import Volume

if TYPE_CHECKING:
    from voxlate.io.dicom import DicomScan, DicomSeries


@dataclass(frozen=True)
class Scan:
    """A volume and where it came from.

    Attributes:
        volume: its voxels.
        sha256: of the file, or of the files of the series.
        dicom: the series, if it was one.
        numbers: of all series that lay there.
    """

    volume: Volume
    sha256: str
    dicom: DicomScan | None = None
    numbers: tuple[int, ...] = ()


def read_scan(path: Path, *, shows: str = "", series: str | None = None, unmarked: bool = False) -> Scan:
    """Returns the scan at `path`.

    Args:
        path: a NIfTI file, a DICOM file, a folder or a zip.
        shows: what it shows, for `Volume.shows`.
        series: number or identifier of the series, where there are several; `:2` behind it, or alone, for the second
            volume of a series that holds several.
        unmarked: read DICOM files without their preamble and mark too.

    Raises:
        NoInput: `NO_INPUT`.
        InputRefused: what `read_volume` or `read_series` refuses; `SEVERAL_SERIES`; `ALREADY_SYNTHETIC`.
        UsageError: `SERIES` when there is none of that number or identifier, or the scan is no DICOM.
    """
    if nifti_suffix(path):
        if series is not None:
            raise UsageError("SERIES", f"{path.name} is no DICOM and has no series")
        _require_not_synthetic(path)
        return Scan(read_volume(path, shows=shows), sha256(path) if path.is_file() else "")
    from voxlate.io.dicom import dicom_files, find_series, read_series

    with dicom_files(path) as files:
        found = find_series(files, force=unmarked)
        if not found:
            raise NoInput("NO_INPUT", f"{path.name}: no DICOM file there")
        name, _, volume = (series or "").partition(":")
        if volume and not volume.isdigit():
            raise UsageError("SERIES", f"{volume!r} is no number of a volume; write 4:2 for the second of series 4")
        scan = read_series(
            _chosen(found, name, path), shows=shows, volume=int(volume) if volume else None, force=unmarked
        )
    return Scan(scan.volume, scan.sha256, scan, tuple(each.number for each in found))


def _require_not_synthetic(path: Path) -> None:
    """Refuses a NIfTI file whose sidecar says that it is synthetic; a sidecar that cannot be read says nothing."""
    sidecar = sidecar_path(path)
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8-sig"))
        is_synthetic = content["Synthetic"]["IsSynthetic"] is True
    except (OSError, ValueError, KeyError, TypeError):
        return
    if is_synthetic:
        raise InputRefused(
            "ALREADY_SYNTHETIC", f"{sidecar.name} says that the scan is synthetic; it is never translated"
        )


def _chosen(found: list[DicomSeries], series: str, path: Path) -> DicomSeries:
    if not series:
        if len(found) == 1:
            return found[0]
        numbers = ", ".join(f"{each.number} ({len(each.files)} files)" for each in found[:12])
        raise InputRefused("SEVERAL_SERIES", f"{path.name} holds {len(found)} series, numbers {numbers}; say which")
    matching = [each for each in found if series in (each.uid, str(each.number))]
    if len(matching) != 1:
        raise UsageError(
            "SERIES", f"{path.name}: {len(matching)} of {len(found)} series have this number or identifier"
        )
    return matching[0]
