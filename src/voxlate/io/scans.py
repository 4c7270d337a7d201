"""A scan of any format that is read: NIfTI, a DICOM file, a folder of DICOM, or a zip of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.io.atomic import sha256
from voxlate.io.nifti import read_volume
from voxlate.io.nifti_source import nifti_suffix
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


def read_scan(path: Path, *, shows: str = "", series: str | None = None) -> Scan:
    """Returns the scan at `path`.

    Args:
        path: a NIfTI file, a DICOM file, a folder or a zip.
        shows: what it shows, for `Volume.shows`.
        series: number or identifier of the series, where there are several.

    Raises:
        NoInput: `NO_INPUT`.
        InputRefused: what `read_volume` or `read_series` refuses; `SEVERAL_SERIES`.
        UsageError: `SERIES` when there is none of that number or identifier.
    """
    if nifti_suffix(path):
        return Scan(read_volume(path, shows=shows), sha256(path) if path.is_file() else "")
    from voxlate.io.dicom import dicom_files, find_series, read_series

    with dicom_files(path) as files:
        found = find_series(files)
        if not found:
            raise NoInput("NO_INPUT", f"{path.name}: no DICOM file there")
        scan = read_series(_chosen(found, series, path), shows=shows)
    return Scan(scan.volume, scan.sha256, scan, tuple(each.number for each in found))


def _chosen(found: list[DicomSeries], series: str | None, path: Path) -> DicomSeries:
    if series is None:
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
