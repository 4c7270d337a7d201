"""Scans in NIfTI files: what is read is whole, finite and at one place in the patient, or it is refused.

Read are `.nii` and `.nii.gz`, NIfTI-1 and NIfTI-2, either byte order, ten real types. A warning goes to the
logger `voxlate`; its message begins with a code, which the record also carries as its attribute `code`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxlate.errors import InputRefused, UsageError
from voxlate.io.nifti.header import SIZE_BYTES, NiftiHeader, header_length, parse_header
from voxlate.io.nifti.source import ScanBytes, opened, warn
from voxlate.io.nifti.voxels import read_voxels
from voxlate.io.nifti.write import write_volume
from voxlate.volume import Grid, Mask, Volume, require_same_grid

__all__ = ["MAX_BYTES", "read_grid", "read_mask", "read_volume", "says_synthetic", "write_volume"]

MAX_BYTES = 4 << 30
"""The most bytes the voxels of one file may take, as stored or as float32."""


def read_volume(
    path: Path,
    *,
    shows: str = "",
    assume_ras: bool = False,
    nan_to: float | None = None,
    max_bytes: int = MAX_BYTES,
) -> Volume:
    """Reads one scan, its voxels in the order of the file.

    Values are the stored ones times slope plus intercept, computed in 64 bits and kept as float32 (whole numbers
    are exact up to 2**24). The data are C-contiguous. A gzip stream is always read to its end.

    Args:
        path: a `.nii` or `.nii.gz`; whether it is gzipped is told by its bytes (warning `EXTENSION`).
        shows: what the scan shows, for `Volume.shows`.
        assume_ras: take the array axes for right, anterior, superior when the file has no orientation
            (warning `ASSUMED_RAS`).
        nan_to: replaces NaN and infinite values, with their number in a warning `NON_FINITE`.
        max_bytes: see `MAX_BYTES`.

    Raises:
        NoInput: `NO_INPUT`.
        InputRefused: `FORMAT`, `UNREADABLE`, `EMPTY`, `GZIP_TRUNCATED`, `GZIP_CRC`, `TRUNCATED`, `HEADER`,
            `DATATYPE`, `DIMENSIONS`, `TOO_LARGE`, `AFFINE`, `SHEAR`, `QFORM_SFORM`, `NO_ORIENTATION`,
            `SCALING`, `NON_FINITE`.
        TemporaryFailure: `IO`, `MEMORY`.
        UsageError: `NAN_TO` when that value is itself not finite.
    """
    if nan_to is not None and not np.isfinite(nan_to):
        raise UsageError("NAN_TO", f"missing values cannot be replaced by {nan_to}; give a finite number")
    with opened(path) as source:
        header = _read_header(source, assume_ras=assume_ras, max_bytes=max_bytes)
        data, missing = read_voxels(source, header, nan_to=nan_to)
    if missing and nan_to is None:
        raise InputRefused(
            "NON_FINITE",
            f"{path.name}: {missing} voxels are NaN or infinite as float32; repair them and write it again",
        )
    if missing:
        warn("NON_FINITE", f"{path.name}: {missing} voxels were NaN or infinite and are {nan_to} now")
    return Volume(data, header.affine, shows, header.dtype.name)


def read_grid(path: Path, *, assume_ras: bool = False) -> Grid:
    """Reads where the voxels are from the header alone; proves nothing about the voxels.

    Raises:
        NoInput, InputRefused, TemporaryFailure: as `read_volume`, as far as the header shows it.
    """
    with opened(path, is_glance=True) as source:
        header = _read_header(source, assume_ras=assume_ras, max_bytes=MAX_BYTES)
    return Grid(header.shape, header.affine)


def says_synthetic(path: Path) -> bool:
    """Tells whether the header of a file says that its image is synthetic, as `write_volume` writes it.

    Raises:
        NoInput, InputRefused, TemporaryFailure: as `read_volume`, as far as the header shows it.
    """
    with opened(path, is_glance=True) as source:
        return _read_header(source, assume_ras=True, max_bytes=MAX_BYTES).is_synthetic


def read_mask(path: Path, *, like: Volume | None = None) -> Mask:
    """Reads a mask: true where the value is above 0.5, shape (i, j, k).

    Raises:
        InputRefused: `EMPTY_MASK` when nothing is, `GRID_MISMATCH` when its grid is not that of `like`, or as
            `read_volume`.
        NoInput, TemporaryFailure: as `read_volume`.
    """
    volume = read_volume(path, shows="mask")
    if like is not None:
        require_same_grid(volume, like, names=(path.name, "its image"))
    mask: Mask = volume.data > 0.5
    if not mask.any():
        raise InputRefused(
            "EMPTY_MASK", f"{path.name} marks no voxel: no value is above 0.5, the largest is {volume.data.max():g}"
        )
    return mask


def _read_header(source: ScanBytes, *, assume_ras: bool, max_bytes: int) -> NiftiHeader:
    start = source.take(SIZE_BYTES)
    length = header_length(start, name=source.name)
    block = start + source.take(length - SIZE_BYTES)
    if len(block) < length:
        raise InputRefused("TRUNCATED", f"{source.name} ends after {len(block)} of the {length} bytes of its header")
    return parse_header(block, name=source.name, assume_ras=assume_ras, max_bytes=max_bytes)
