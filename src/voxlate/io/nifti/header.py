"""The header of a NIfTI-1 or NIfTI-2 file, believed only where it can be true."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np
from nibabel.nifti1 import header_dtype as nifti1_fields
from nibabel.nifti2 import header_dtype as nifti2_fields

from voxlate.errors import InputRefused
from voxlate.io.nifti.affine import affine_mm
from voxlate.volume import Affine, Shape

SYNTHETIC_INTENT = "SYNTHETIC"
"""What `intent_name` of a synthetic image is; its `descrip` says so too, for people, and begins with the same word."""

SIZE_BYTES = 4
"""The first bytes of a file state the length of its header, and by their order the order of all bytes."""

STORED_TYPES = {
    2: "uint8", 4: "int16", 8: "int32", 16: "float32", 64: "float64",
    256: "int8", 512: "uint16", 768: "uint32", 1024: "int64", 1280: "uint64",
}  # fmt: skip
"""NIfTI's numbers of the types a scan may be stored in."""

_OTHER_TYPES = {
    1: "single bits", 32: "complex", 128: "RGB", 1536: "float128", 1792: "complex", 2048: "complex", 2304: "RGBA",
}  # fmt: skip
_FIELDS = {348: nifti1_fields, 540: nifti2_fields}
_MAGIC = {348: b"n+1", 540: b"n+2"}
_PAIR_MAGIC = (b"ni1", b"ni2")
_END_OF_LINE_CHECK = ([13, 10, 26, 10], [0, 0, 0, 0])
_EXTENSIONS_MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class NiftiHeader:
    """What is needed of a header to read its voxels.

    Attributes:
        length: bytes of the header itself.
        shape: voxels along the three axes, the first fastest in the file.
        dtype: type and byte order of a stored voxel.
        offset: bytes before the first voxel.
        slope: stored value times this, plus `intercept`, is the value.
        intercept: see `slope`.
        affine: (4, 4), voxel index to RAS+ millimetres.
        is_synthetic: whether the header says that voxlate made the image (`SYNTHETIC_INTENT`).
    """

    length: int
    shape: Shape
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    affine: Affine = field(repr=False)
    is_synthetic: bool = False

    @property
    def data_bytes(self) -> int:
        """Returns the bytes all voxels take in the file."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def slice_voxels(self) -> int:
        """Returns the voxels of one slice across the third axis."""
        return self.shape[0] * self.shape[1]


def header_length(start: bytes, *, name: str) -> int:
    """Returns the length in bytes of the header that begins with these four bytes.

    Raises:
        InputRefused: `HEADER` when they begin no NIfTI file.
    """
    for length in (int.from_bytes(start, "little"), int.from_bytes(start, "big")):
        if length in _FIELDS:
            return length
    raise InputRefused("HEADER", f"{name} is not a NIfTI file: it does not begin with a header of 348 or 540 bytes")


def parse_header(block: bytes, *, name: str, assume_ras: bool, max_bytes: int) -> NiftiHeader:
    """Reads a whole header of 348 or 540 bytes.

    Raises:
        InputRefused: `HEADER`, `DATATYPE`, `DIMENSIONS`, `TOO_LARGE`, `SCALING`, or a code of `affine_mm`.
    """
    order: Literal["<", ">"] = "<" if int.from_bytes(block[:SIZE_BYTES], "little") == len(block) else ">"
    fields = np.frombuffer(block, dtype=_FIELDS[len(block)].newbyteorder(order))[0]
    _require_magic(fields, len(block), name)
    dtype = _dtype(fields, name).newbyteorder(order)
    shape = _shape(fields, name)
    _require_size(shape, dtype, name=name, max_bytes=max_bytes)
    offset = _offset(fields, len(block) + 4, name)
    slope, intercept = _scaling(fields, name)
    affine = affine_mm(fields, shape, name=name, assume_ras=assume_ras)
    return NiftiHeader(len(block), shape, dtype, offset, slope, intercept, affine, _is_synthetic(fields))


def _is_synthetic(fields: np.void) -> bool:
    mark = SYNTHETIC_INTENT.encode()
    return bytes(fields["intent_name"]) == mark or bytes(fields["descrip"]).startswith(mark)


def _require_magic(fields: np.void, length: int, name: str) -> None:
    magic = bytes(fields["magic"])
    if magic in _PAIR_MAGIC:
        raise InputRefused("HEADER", f"{name} is one half of a .hdr/.img pair; convert it to a single .nii.gz")
    if magic != _MAGIC[length]:
        raise InputRefused(
            "HEADER", f"{name} is not a NIfTI file: its header lacks the magic {_MAGIC[length].decode()}"
        )
    if length == 540 and fields["eol_check"].tolist() not in _END_OF_LINE_CHECK:
        raise InputRefused("HEADER", f"{name} was changed by a transfer in text mode; copy it again in binary mode")


def _dtype(fields: np.void, name: str) -> np.dtype[Any]:
    code, bits = int(fields["datatype"]), int(fields["bitpix"])
    if code not in STORED_TYPES:
        what = _OTHER_TYPES.get(code, "unknown")
        raise InputRefused("DATATYPE", f"{name} holds voxels of type {code} ({what}); only real numbers are read")
    dtype = np.dtype(STORED_TYPES[code])
    if bits not in (0, 8 * dtype.itemsize):
        raise InputRefused("HEADER", f"{name}: {bits} bits per voxel (bitpix) do not fit the type {dtype.name}")
    return dtype


def _shape(fields: np.void, name: str) -> Shape:
    dim = [int(n) for n in fields["dim"]]
    count, sizes = dim[0], dim[1 : dim[0] + 1]
    if not 1 <= count <= 7 or min(sizes) < 1:
        raise InputRefused("DIMENSIONS", f"{name} states impossible dimensions, dim = {dim}")
    if count < 3 or prod(sizes[3:]) != 1:
        shown = " x ".join(map(str, sizes))
        raise InputRefused("DIMENSIONS", f"{name} is {shown}, not one volume of three dimensions; split it first")
    return sizes[0], sizes[1], sizes[2]


def _require_size(shape: Shape, dtype: np.dtype[Any], *, name: str, max_bytes: int) -> None:
    needed = prod(shape) * max(dtype.itemsize, np.dtype(np.float32).itemsize)
    if needed > max_bytes:
        shown = " x ".join(map(str, shape))
        raise InputRefused(
            "TOO_LARGE", f"{name} states {shown} voxels, {needed / 1e9:.3g} GB; the limit is {max_bytes / 1e9:.3g} GB"
        )


def _offset(fields: np.void, smallest: int, name: str) -> int:
    stated = float(fields["vox_offset"])
    if stated == 0:
        return smallest
    if not smallest <= stated <= _EXTENSIONS_MAX_BYTES or stated != int(stated):
        raise InputRefused(
            "HEADER",
            f"{name}: voxels cannot begin at byte {stated:.6g} (vox_offset); {smallest} to {_EXTENSIONS_MAX_BYTES} can",
        )
    return int(stated)


def _scaling(fields: np.void, name: str) -> tuple[float, float]:
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0:  # the standard's way of saying that nothing is scaled
        return 1.0, 0.0
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        raise InputRefused(
            "SCALING", f"{name}: slope {slope} and intercept {intercept} give no values; convert the scan again"
        )
    return slope, intercept
