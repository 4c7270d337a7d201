"""Writes NIfTI files with a minimal new header; equal volumes give equal bytes."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Header, Nifti1Image
from numpy.typing import NDArray

from voxlate.errors import UsageError, VoxlateError
from voxlate.io.atomic import replacing
from voxlate.io.nifti.header import STORED_TYPES, SYNTHETIC_INTENT, parse_header
from voxlate.io.nifti.stream import nifti_suffix
from voxlate.volume import Affine, Array, Volume

SCANNER_ANATOMY = 1
"""Code of qform and sform: coordinates of the scanner."""

LEVELS_ENOUGH = 1000
"""Rounding to integers over a range of at least 1,000 changes no value by more than 0.05 % of the range."""

_DATA_OFFSET = 352  # 348 bytes of header and four that say that no extension follows
_LONGEST_AXIS = 32767  # NIfTI-1 stores the shape in 16-bit integers
# Gzip levels: speed against size; chosen by hand, not tuned. Changing them changes the bytes of every output.
_COMPRESS_LEVEL = 4
_EMBEDDED_COMPRESS_LEVEL = 6
_SLAB_SLICES = 16  # bounds the memory of the converted copy; chosen by hand; not tuned


def write_volume(path: Path, volume: Volume, *, dtype: str = "auto", synthetic: str = "") -> None:
    """Writes a volume atomically as NIfTI-1, gzipped if the name ends in `.nii.gz`.

    The header holds shape, voxel type, sform and qform (code 1, scanner anatomy), millimetres and a slope of 1; for a
    synthetic image also the two fields that mark it. All other fields are zero. The bytes depend on the volume alone,
    not on the time or the file name.

    Args:
        path: ends in `.nii` or `.nii.gz`; a missing folder is created.
        volume: finite values, (i, j, k), with the affine from voxel index to RAS+ millimetres.
        dtype: a voxel type such as `int16`; values are rounded, never clipped. `auto` takes the integer type of the
            source if all rounded values fit and if either all values are integers or they span at least
            `LEVELS_ENOUGH`; otherwise `float32`.
        synthetic: for a synthetic image, what made it: `intent_name` becomes `SYNTHETIC`, and so begins `descrip`.

    Raises:
        UsageError: `FORMAT` for another suffix, `DTYPE` for an unknown type, `RANGE` when values do not fit the type.
        VoxlateError: `NON_FINITE` when the data hold NaN or infinity; `DIMENSIONS` for more than 32767 voxels.
        InputRefused: `AFFINE` or `SHEAR` when `read_volume` would refuse the grid.
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    suffix = nifti_suffix(path)
    if not suffix:
        raise UsageError("FORMAT", f"{path.name}: the name of a volume must end in .nii or .nii.gz")
    if dtype != "auto" and dtype not in STORED_TYPES.values():
        raise UsageError(
            "DTYPE", f"{dtype!r} is not a voxel type; choose auto or one of {sorted(STORED_TYPES.values())}"
        )
    _require_finite(volume.data, path.name)
    chosen = np.dtype(_auto(volume) if dtype == "auto" else dtype).newbyteorder("<")
    _require_fit(volume.data, chosen, path.name)
    header = _header(volume, chosen, path.name, synthetic)
    with replacing(path) as partial, partial.open("wb") as file:
        if suffix == ".nii":
            file.writelines(_blocks(header, volume.data, chosen))
            return
        with gzip.GzipFile(filename="", mode="wb", compresslevel=_COMPRESS_LEVEL, fileobj=file, mtime=0) as stream:
            stream.writelines(_blocks(header, volume.data, chosen))


def write_volumes(path: Path, volumes: Sequence[Volume]) -> None:
    """Writes volumes of one grid as a 4-D NIfTI-1 file of 16-bit integers; its bytes depend on the volumes alone.

    Args:
        path: ends in `.nii.gz`.
        volumes: for example one for each b value; values are rounded and must lie between -32768 and 32767.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    data = np.stack([np.rint(volume.data) for volume in volumes], axis=3).astype("<i2")
    header = Nifti1Header()
    header.set_data_dtype(np.int16)
    image = Nifti1Image(data, volumes[0].affine, header)
    image.set_sform(volumes[0].affine, code=SCANNER_ANATOMY)
    image.set_qform(volumes[0].affine, code=SCANNER_ANATOMY)
    image.header.set_xyzt_units("mm", "sec")
    packed = gzip.compress(image.to_bytes(), compresslevel=_COMPRESS_LEVEL, mtime=0)
    with replacing(path) as partial:
        partial.write_bytes(packed)


def gzipped_nifti(stored: NDArray[np.int16], affine: Affine, *, slope: float) -> bytes:
    """Returns a gzipped NIfTI-1 file with a minimal header, small enough to embed in a web page.

    Args:
        stored: (i, j, k), value divided by `slope`, as 16-bit integers.
        affine: (4, 4), voxel index to RAS+ millimetres.
        slope: the value of one stored unit.
    """
    file = Nifti1Image(stored, affine)
    file.header.set_slope_inter(slope, 0)
    return gzip.compress(file.to_bytes(), compresslevel=_EMBEDDED_COMPRESS_LEVEL, mtime=0)


def _require_finite(data: Array, name: str) -> None:
    count = data.size - int(np.count_nonzero(np.isfinite(data)))
    if count:
        raise VoxlateError(
            "NON_FINITE", f"{name} would hold {count} values that are NaN or infinite; nothing was written"
        )


def _auto(volume: Volume) -> str:
    source = np.dtype(volume.stored_dtype)
    if source.kind not in "iu" or not _fits(volume.data, source):
        return "float32"
    span = float(volume.data.max()) - float(volume.data.min())
    if span >= LEVELS_ENOUGH or np.array_equal(volume.data, np.rint(volume.data)):
        return source.name
    return "float32"


def _fits(data: Array, dtype: np.dtype[np.generic]) -> bool:
    if dtype.kind == "f":
        return True
    limits = np.iinfo(dtype.name)  # compared as Python integers, because no float equals 2**63 - 1
    return limits.min <= int(np.rint(data.min())) and int(np.rint(data.max())) <= limits.max


def _require_fit(data: Array, dtype: np.dtype[np.generic], name: str) -> None:
    if not _fits(data, dtype):
        raise UsageError(
            "RANGE",
            f"{name}: values from {data.min():g} to {data.max():g} do not fit {dtype.name}; use auto or float32",
        )


def _header(volume: Volume, dtype: np.dtype[np.generic], name: str, synthetic: str) -> bytes:
    if max(volume.data.shape) > _LONGEST_AXIS:
        raise VoxlateError("DIMENSIONS", f"{name}: NIfTI-1 holds at most {_LONGEST_AXIS} voxels along an axis")
    header = Nifti1Header(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(volume.data.shape)
    header.set_qform(volume.affine, code=SCANNER_ANATOMY)
    header.set_sform(volume.affine, code=SCANNER_ANATOMY)
    header.set_xyzt_units("mm")
    header["vox_offset"] = _DATA_OFFSET
    header["scl_slope"] = 1
    if synthetic:
        header["intent_name"] = SYNTHETIC_INTENT
        header["descrip"] = f"{SYNTHETIC_INTENT}, not for diagnosis; {synthetic}".encode("ascii", "replace")[:79]
    block = bytes(header.binaryblock)
    parse_header(block, name=name, assume_ras=False, max_bytes=sys.maxsize)  # raises if our own reader would refuse it
    return block.ljust(_DATA_OFFSET, b"\0")


def _blocks(header: bytes, data: Array, dtype: np.dtype[np.generic]) -> Iterator[bytes]:
    yield header
    for first in range(0, data.shape[2], _SLAB_SLICES):
        slab = data[:, :, first : first + _SLAB_SLICES]
        if dtype.kind != "f":
            slab = np.rint(slab)
        yield slab.astype(dtype).tobytes(order="F")
