"""Reads a scan from a NIfTI file, a DICOM file, a folder of DICOM files, or a zip archive of them."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.io.atomic import sha256
from voxlate.io.documents import InvalidDocument, read_json
from voxlate.io.log import counted
from voxlate.io.nifti import is_marked_synthetic, nifti_suffix, read_volume, sidecar_path
from voxlate.volume import Volume

if TYPE_CHECKING:
    from voxlate.io.dicom import DicomScan, DicomSeries


@dataclass(frozen=True)
class Scan:
    """A volume and its origin.

    Attributes:
        volume: the voxels.
        sha256: hash of the file, or of the files of the series.
        dicom: the DICOM series; None for NIfTI.
        numbers: numbers of all series at that path; empty for NIfTI.
    """

    volume: Volume
    sha256: str
    dicom: DicomScan | None = None
    numbers: tuple[int, ...] = ()


def read_scan(path: Path, *, shows: str = "", series: str | None = None, unmarked: bool = False) -> Scan:
    """Reads a scan.

    Args:
        path: a NIfTI file, a DICOM file, a folder or a zip archive.
        shows: contrast of the scan, for `Volume.shows`.
        series: number or UID of the series, if there are several. `4:2` is the second volume of series 4, `:2` the
            second volume of the only series.
        unmarked: also read DICOM files without the preamble and the `DICM` mark.

    Raises:
        NoInput: `NO_INPUT`.
        InputRefused: what `read_volume` or `read_series` refuses; `SEVERAL_SERIES`; `ALREADY_SYNTHETIC`; `SIDECAR`
            for a broken JSON sidecar.
        UsageError: `SERIES` when no series has that number or UID, or when the scan is not DICOM.
    """
    if nifti_suffix(path):
        if series is not None:
            raise UsageError("SERIES", f"{path.name} is not DICOM and has no series; leave out --series")
        _require_not_synthetic(path)
        return Scan(read_volume(path, shows=shows), sha256(path))
    from voxlate.io.dicom import dicom_files, find_series, read_series

    with dicom_files(path) as files:
        series_found = find_series(files, force=unmarked)
        if not series_found:
            raise NoInput(
                "NO_INPUT", f"{path.name}: no DICOM file found; name the folder or zip of a series, or a NIfTI file"
            )
        name, _, volume = (series or "").partition(":")
        if volume and not (volume.isascii() and volume.isdigit()):
            raise UsageError(
                "SERIES", f"{volume!r} is not the number of a volume; write 4:2 for the second volume of series 4"
            )
        scan = read_series(
            _chosen(series_found, name, path), shows=shows, volume=int(volume) if volume else None, force=unmarked
        )
    return Scan(scan.volume, scan.sha256, scan, tuple(each.number for each in series_found))


def _require_not_synthetic(path: Path) -> None:
    """Refuses a NIfTI file that its header or its sidecar marks as synthetic.

    An unreadable sidecar is refused too (`SIDECAR`), because it might hold that mark.
    """
    if path.is_file() and is_marked_synthetic(path):
        raise InputRefused(
            "ALREADY_SYNTHETIC",
            f"the header of {path.name} marks the scan as synthetic; synthetic scans are not translated",
        )
    sidecar = sidecar_path(path)
    try:
        content = read_json(sidecar)
    except FileNotFoundError:
        return
    except (InvalidDocument, OSError) as error:
        raise InputRefused(
            "SIDECAR", f"{sidecar.name}, the sidecar of the scan: {error}; repair or remove it"
        ) from error
    if _marks_synthetic(content, sidecar.name):
        raise InputRefused(
            "ALREADY_SYNTHETIC", f"{sidecar.name} marks the scan as synthetic; synthetic scans are not translated"
        )


def _marks_synthetic(content: Any, name: str) -> bool:
    """Returns whether a sidecar marks its image as synthetic; a mark of the wrong type is an error."""
    mark = content.get("Synthetic", {}) if isinstance(content, dict) else None
    if not isinstance(mark, dict) or not isinstance(mark.get("IsSynthetic", False), bool):
        raise InputRefused("SIDECAR", f"{name}: `Synthetic.IsSynthetic` must be true or false; repair it")
    return bool(mark.get("IsSynthetic", False))


def _chosen(candidates: list[DicomSeries], series: str, path: Path) -> DicomSeries:
    count = Counter(each.number for each in candidates)
    names = [str(each.number) if count[each.number] == 1 else each.uid for each in candidates[:12]]
    shown = ", ".join(
        f"{name} ({counted(len(each.files), 'file')})" for name, each in zip(names, candidates, strict=False)
    )
    if not series:
        if len(candidates) == 1:
            return candidates[0]
        raise InputRefused(
            "SEVERAL_SERIES",
            f"{path.name} holds {len(candidates)} series: {shown}; choose one, for example --series {names[0]} "
            f"(voxlate classify {shlex.quote(path.name or '.')} series.tsv lists what each shows)",
        )
    matching = [each for each in candidates if series in (each.uid, str(each.number))]
    if len(matching) != 1:
        raise UsageError(
            "SERIES",
            f"{path.name}: {len(matching)} of {len(candidates)} series have this number or UID; choose from {shown}",
        )
    return matching[0]
