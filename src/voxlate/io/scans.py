"""A scan of any format that is read: NIfTI, a DICOM file, a folder of DICOM, or a zip of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.io.atomic import sha256
from voxlate.io.documents import Unsound, read_json
from voxlate.io.nifti import nifti_suffix, read_volume, says_synthetic, sidecar_path
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
        InputRefused: what `read_volume` or `read_series` refuses; `SEVERAL_SERIES`; `ALREADY_SYNTHETIC`; `SIDECAR`
            for a JSON beside it that is broken.
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
        if volume and not (volume.isascii() and volume.isdigit()):
            raise UsageError("SERIES", f"{volume!r} is no number of a volume; write 4:2 for the second of series 4")
        scan = read_series(
            _chosen(found, name, path), shows=shows, volume=int(volume) if volume else None, force=unmarked
        )
    return Scan(scan.volume, scan.sha256, scan, tuple(each.number for each in found))


def _require_not_synthetic(path: Path) -> None:
    """Refuses a NIfTI file whose header or sidecar says that it is synthetic; either is enough.

    A sidecar that is there and cannot be read might say so: it is refused too (`SIDECAR`).
    """
    if path.is_file() and says_synthetic(path):
        raise InputRefused(
            "ALREADY_SYNTHETIC", f"the header of {path.name} says that the scan is synthetic; it is never translated"
        )
    sidecar = sidecar_path(path)
    try:
        content = read_json(sidecar)
    except FileNotFoundError:
        return
    except (Unsound, OSError) as error:
        raise InputRefused("SIDECAR", f"{sidecar.name}, beside the scan: {error}; mend it or take it away") from error
    if _says_synthetic(content, sidecar.name):
        raise InputRefused(
            "ALREADY_SYNTHETIC", f"{sidecar.name} says that the scan is synthetic; it is never translated"
        )


def _says_synthetic(content: Any, name: str) -> bool:
    """Returns what a sidecar says; one that speaks of it in another form than ours is broken, not silent."""
    told = content.get("Synthetic", {}) if isinstance(content, dict) else None
    if not isinstance(told, dict) or not isinstance(told.get("IsSynthetic", False), bool):
        raise InputRefused("SIDECAR", f"{name}: `Synthetic.IsSynthetic` is neither true nor false; mend it")
    return bool(told.get("IsSynthetic", False))


def _chosen(found: list[DicomSeries], series: str, path: Path) -> DicomSeries:
    if not series:
        if len(found) == 1:
            return found[0]
        numbers = ", ".join(f"{each.number} ({len(each.files)} files)" for each in found[:12])
        raise InputRefused(
            "SEVERAL_SERIES", f"{path.name} holds {len(found)} series, numbers {numbers}; choose one with --series N"
        )
    matching = [each for each in found if series in (each.uid, str(each.number))]
    if len(matching) != 1:
        raise UsageError(
            "SERIES", f"{path.name}: {len(matching)} of {len(found)} series have this number or identifier"
        )
    return matching[0]
