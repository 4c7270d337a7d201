"""From the stored bytes of a scan to its values, with the file proved whole on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import InputRefused
from voxlate.io.nifti.header import NiftiHeader
from voxlate.io.nifti.source import ScanBytes
from voxlate.volume import Array

_SLAB_SLICES = 16  # sixteen float32 along the last axis fill one cache line of the result,
_SLAB_VOXELS = 1 << 16  # and a slab of thin slices is worth a call
_SKIP_BYTES = 1 << 20


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
