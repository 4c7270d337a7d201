"""Scans in NIfTI files: what is read is whole, finite and at one place in the patient, or it is refused.

Read are `.nii` and `.nii.gz`, NIfTI-1 and NIfTI-2, either byte order, ten real types. A warning goes to the
logger `voxlate`; its message begins with a code, which the record also carries as its attribute `code`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import InputRefused, UsageError
from voxlate.io.log import warn
from voxlate.io.nifti.header import SIZE_BYTES, NiftiHeader, header_length, parse_header
from voxlate.io.nifti.stream import ScanBytes, opened
from voxlate.volume import Array, Grid, Mask, Volume, require_same_grid

MAX_BYTES = 4 << 30
"""The most bytes the voxels of one file may take, as stored or as float32."""

_SLAB_SLICES = 16  # sixteen float32 along the last axis fill one cache line of the result,
_SLAB_VOXELS = 1 << 16  # and a slab of thin slices is worth a call
_SKIP_BYTES = 1 << 20


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


def read_voxels(source: ScanBytes, header: NiftiHeader, *, nan_to: float | None) -> tuple[Array, int]:
    """Reads all voxels and the file to its end.

    Args:
        source: the bytes behind the header.
        header: what the file says of itself.
        nan_to: replaces values that are not finite as float32; None leaves them.

    Returns:
        The values, float32, C-contiguous, and how many of them were not finite.

    Raises:
        InputRefused: `TRUNCATED` or `GZIP_TRUNCATED` when bytes are missing, `GZIP_CRC` when they changed,
            `DIMENSIONS` when a whole slice or more follows the last voxel.
    """
    _require_possible(source, header)
    _skip(source, header.offset - header.length)
    data = np.empty(header.shape, dtype=np.float32)
    thickness = min(max(_SLAB_SLICES, _SLAB_VOXELS // header.slice_voxels), header.shape[2])
    stored = np.empty(header.slice_voxels * thickness, dtype=header.dtype)
    missing = 0
    for first in range(0, header.shape[2], thickness):
        slab = data[:, :, first : first + thickness]
        voxels = stored[: slab.size]
        _fill(source, voxels, header)
        with np.errstate(all="ignore"):  # what is not finite afterwards is counted below
            slab[...] = _scaled(voxels, header).reshape(slab.shape, order="F")
        missing += _replace_missing(slab, nan_to)
    _require_end(source, header)
    return data, missing


def _require_possible(source: ScanBytes, header: NiftiHeader) -> None:
    stated = header.offset + header.data_bytes
    if stated > source.most_bytes:  # known before a byte is allocated, and so before a bomb is inflated
        code = "GZIP_TRUNCATED" if source.is_gzip else "TRUNCATED"
        raise InputRefused(
            code, f"{source.name} states {stated} bytes and can hold {source.most_bytes} at most; copy it again"
        )


def _skip(source: ScanBytes, count: int) -> None:
    while count > 0 and (skipped := len(source.take(min(count, _SKIP_BYTES)))):
        count -= skipped


def _fill(source: ScanBytes, voxels: NDArray[Any], header: NiftiHeader) -> None:
    read = source.fill(voxels.view(np.uint8).data)
    if read < voxels.nbytes:
        raise InputRefused(
            "TRUNCATED",
            f"{source.name} ends before its last voxel: {header.data_bytes} bytes are stated; copy it again",
        )


def _scaled(voxels: NDArray[Any], header: NiftiHeader) -> NDArray[Any]:
    if (header.slope, header.intercept) == (1.0, 0.0):
        return voxels
    scaled: NDArray[Any] = voxels.astype(np.float64) * header.slope + header.intercept
    return scaled


def _replace_missing(slab: Array, nan_to: float | None) -> int:
    finite = np.isfinite(slab)
    missing = slab.size - int(np.count_nonzero(finite))
    if missing and nan_to is not None:
        slab[~finite] = nan_to
    return missing


def _require_end(source: ScanBytes, header: NiftiHeader) -> None:
    slice_bytes = header.slice_voxels * header.dtype.itemsize
    behind = 0
    while count := len(source.take(min(slice_bytes, _SKIP_BYTES))):
        behind += count
        if behind >= slice_bytes:
            raise InputRefused(
                "DIMENSIONS",
                f"{source.name} goes on for a slice or more behind the last voxel of the "
                f"{' x '.join(map(str, header.shape))} its header states; the header is wrong",
            )
