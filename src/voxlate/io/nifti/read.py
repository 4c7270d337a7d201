"""Reads NIfTI files strictly: a file that is truncated, damaged, not finite or of unclear position is refused.

Supported are `.nii` and `.nii.gz`, NIfTI-1 and NIfTI-2, both byte orders and ten real voxel types. Warnings go to the
logger `voxlate`; see `voxlate.io.log.warn`.
"""

from __future__ import annotations

from dataclasses import replace
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
"""Limit for the voxels of one file, as stored or as float32: 4 GiB, a volume of 1024 x 1024 x 1024 voxels."""

# Voxels are read in slabs of slices, so that no second copy of the volume is needed. The result is C-contiguous and the
# file is in Fortran order: 16 float32 along the last axis fill one cache line of 64 bytes. For small slices a slab has
# at least 65,536 voxels, so that the time goes into reading and not into calls. Chosen by hand; not tuned.
_SLAB_SLICES = 16
_SLAB_VOXELS = 1 << 16
_SKIP_BYTES = 1 << 20  # bounds memory while bytes are skipped


def read_volume(
    path: Path,
    *,
    shows: str = "",
    assume_ras: bool = False,
    nan_to: float | None = None,
    max_bytes: int = MAX_BYTES,
) -> Volume:
    """Reads one scan; its array axes stay in the order of the file.

    Value = stored value x slope + intercept, computed in 64 bits and kept as float32 (integers are exact up to
    2**24). The data are C-contiguous. A gzip stream is always read to its end, so that its checksum is verified.

    Args:
        path: a `.nii` or `.nii.gz` file; its first bytes decide whether it is gzipped (warning `EXTENSION` when its
            name says otherwise).
        shows: contrast of the scan, for `Volume.shows`.
        assume_ras: if the file has no orientation, assume that the array axes point right, anterior and superior
            (warning `ASSUMED_RAS`).
        nan_to: replaces NaN and infinite values (warning `NON_FINITE` with their number).
        max_bytes: see `MAX_BYTES`.

    Returns:
        The volume: data (i, j, k), float32; affine (4, 4), voxel index to RAS+ millimetres.

    Raises:
        NoInput: `NO_INPUT`.
        InputRefused: `FORMAT`, `UNREADABLE`, `EMPTY`, `GZIP_TRUNCATED`, `GZIP_CRC`, `TRUNCATED`, `HEADER`,
            `DATATYPE`, `DIMENSIONS`, `TOO_LARGE`, `AFFINE`, `SHEAR`, `QFORM_SFORM`, `NO_ORIENTATION`,
            `SCALING`, `NON_FINITE`.
        TemporaryFailure: `IO`, `MEMORY`.
        UsageError: `NAN_TO` when `nan_to` itself is not finite.
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
        warn("NON_FINITE", f"{path.name}: {missing} voxels were NaN or infinite and were replaced by {nan_to}")
    return Volume(data, header.affine, shows, header.dtype.name)


def read_volumes(path: Path, *, shows: str = "", max_bytes: int = MAX_BYTES) -> list[Volume]:
    """Reads the volumes of a 4-D file, such as one for each b value; a 3-D file has one.

    Args:
        path: a `.nii` or `.nii.gz` file.
        shows: contrast of the volumes.
        max_bytes: limit for all voxels together; see `MAX_BYTES`.

    Raises:
        NoInput, InputRefused, TemporaryFailure: as `read_volume`.
    """
    with opened(path) as source:
        header = _read_header(source, assume_ras=False, max_bytes=max_bytes, is_series=True)
        i, j, k = header.shape
        data, missing = read_voxels(source, replace(header, shape=(i, j, k * header.volumes)), nan_to=None)
    if missing:
        raise InputRefused("NON_FINITE", f"{path.name}: {missing} voxels are NaN or infinite; repair them")
    parts = np.split(data, header.volumes, axis=2)
    return [Volume(np.ascontiguousarray(part), header.affine, shows, header.dtype.name) for part in parts]


def read_grid(path: Path, *, assume_ras: bool = False) -> Grid:
    """Reads shape and affine (voxel index to RAS+ millimetres) from the header; the voxels are not checked.

    Args:
        path: a `.nii` or `.nii.gz` file.
        assume_ras: see `read_volume`.

    Raises:
        NoInput, InputRefused, TemporaryFailure: what `read_volume` raises for a faulty header.
    """
    with opened(path, is_glance=True) as source:
        header = _read_header(source, assume_ras=assume_ras, max_bytes=MAX_BYTES)
    return Grid(header.shape, header.affine)


def is_marked_synthetic(path: Path) -> bool:
    """Returns whether the header marks the image as synthetic, as `write_volume` does.

    Raises:
        NoInput, InputRefused, TemporaryFailure: what `read_volume` raises for a faulty header.
    """
    with opened(path, is_glance=True) as source:
        return _read_header(source, assume_ras=True, max_bytes=MAX_BYTES).is_synthetic


def read_mask(path: Path, *, like: Volume | None = None) -> Mask:
    """Reads a mask, shape (i, j, k): true where the value is above 0.5.

    Args:
        path: a `.nii` or `.nii.gz` file.
        like: the image of the mask; its grid must match.

    Raises:
        InputRefused: `EMPTY_MASK` when no voxel is true, `GRID_MISMATCH` when its grid differs from that of `like`, or
            what `read_volume` refuses.
        NoInput, TemporaryFailure: as `read_volume`.
    """
    volume = read_volume(path, shows="mask")
    if like is not None:
        require_same_grid(volume, like, names=(path.name, "its image"))
    mask: Mask = volume.data > 0.5
    if not mask.any():
        raise InputRefused(
            "EMPTY_MASK", f"{path.name} is empty: no value is above 0.5, the largest is {volume.data.max():g}"
        )
    return mask


def _read_header(source: ScanBytes, *, assume_ras: bool, max_bytes: int, is_series: bool = False) -> NiftiHeader:
    start = source.take(SIZE_BYTES)
    length = header_length(start, name=source.name)
    block = start + source.take(length - SIZE_BYTES)
    if len(block) < length:
        raise InputRefused("TRUNCATED", f"{source.name} ends after {len(block)} of the {length} bytes of its header")
    return parse_header(block, name=source.name, assume_ras=assume_ras, max_bytes=max_bytes, is_series=is_series)


def read_voxels(source: ScanBytes, header: NiftiHeader, *, nan_to: float | None) -> tuple[Array, int]:
    """Reads all voxels, and the file to its end.

    Args:
        source: the bytes after the header.
        header: the parsed header.
        nan_to: replaces values that are not finite as float32; None keeps them.

    Returns:
        The values, (i, j, k), float32, C-contiguous; and the number of values that were not finite.

    Raises:
        InputRefused: `TRUNCATED` or `GZIP_TRUNCATED` when bytes are missing, `GZIP_CRC` when a checksum is wrong,
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
    if stated > source.most_bytes:  # checked before memory is allocated or a decompression bomb is inflated
        code = "GZIP_TRUNCATED" if source.is_gzip else "TRUNCATED"
        raise InputRefused(
            code,
            f"{source.name}: the header states {stated} bytes, at most {source.most_bytes} are there; copy it again",
        )


def _skip(source: ScanBytes, count: int) -> None:
    while count > 0 and (skipped := len(source.take(min(count, _SKIP_BYTES)))):
        count -= skipped


def _fill(source: ScanBytes, voxels: NDArray[Any], header: NiftiHeader) -> None:
    read = source.fill(voxels.view(np.uint8).data)
    if read < voxels.nbytes:
        raise InputRefused(
            "TRUNCATED",
            f"{source.name} ends before its last voxel; its header states {header.data_bytes} bytes; copy it again",
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
                f"{source.name} holds at least one slice more than the {' x '.join(map(str, header.shape))} voxels "
                "in its header; the header is wrong",
            )
