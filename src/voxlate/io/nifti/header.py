"""Parses the header of a NIfTI-1 or NIfTI-2 file and refuses values that cannot be true.

A header states the position of its voxels twice: `sform` is twelve numbers; `qform` is a quaternion, an offset and the
voxel size. Programs differ in which one they use (nibabel the sform, ITK the qform), so a file whose two positions
disagree is refused. So is a sheared one, which ITK cannot represent. Formulas:
https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h, methods 2 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np
from nibabel.nifti1 import header_dtype as nifti1_fields
from nibabel.nifti2 import header_dtype as nifti2_fields
from nibabel.quaternions import quat2mat

from voxlate.errors import InputRefused
from voxlate.io.log import warn
from voxlate.volume import Affine, Grid, Shape

SYNTHETIC_INTENT = "SYNTHETIC"
"""Value of `intent_name` in a synthetic image. Its `descrip`, which viewers show, begins with the same word."""

SIZE_BYTES = 4
"""The first four bytes of a file hold the length of the header; their byte order is that of the whole file."""

STORED_TYPES = {
    2: "uint8", 4: "int16", 8: "int32", 16: "float32", 64: "float64",
    256: "int8", 512: "uint16", 768: "uint32", 1024: "int64", 1280: "uint64",
}  # fmt: skip
"""Voxel types that can be read, by their NIfTI code."""

_OTHER_TYPES = {
    1: "single bits", 32: "complex", 128: "RGB", 1536: "float128", 1792: "complex", 2048: "complex", 2304: "RGBA",
}  # fmt: skip
_FIELDS = {348: nifti1_fields, 540: nifti2_fields}
_MAGIC = {348: b"n+1", 540: b"n+2"}
_PAIR_MAGIC = (b"ni1", b"ni2")
_END_OF_LINE_CHECK = ([13, 10, 26, 10], [0, 0, 0, 0])
_EXTENSIONS_MAX_BYTES = 64 << 20  # header extensions beyond this are taken for damage; chosen by hand; not tuned

_CONVERT = "convert the scan again"
"""Remedy for a header that no converter writes."""

SPACING_RANGE_MM = (0.01, 100.0)
"""Voxel sizes outside this range mean another unit, not a scan of a patient; chosen by hand."""

FARTHEST_MM = 10_000.0
"""A first voxel farther than this (10 m) from the origin lies outside any scanner room."""

SHEAR_TOLERANCE = 1e-3
"""Largest cosine between two array axes: 0.06 degrees. Rounding in real files stays below 1e-7."""

AGREEMENT_TOLERANCE = 1e-3
"""Largest distance between a corner by qform and by sform, as a fraction of the volume's diagonal.

A header stores three of the four numbers of a quaternion, in 32 bits. Near a half turn the fourth is then accurate to
3.5e-4 and the angle to 7e-4 radians, so a correct file may differ by that much.
"""

_QUATERNION_TOLERANCE = 1e-5  # rounding of three 32-bit numbers to a sum of squares of 1
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unknown (taken as mm), metre, millimetre, micron


@dataclass(frozen=True)
class NiftiHeader:
    """The header fields that are needed to read the voxels.

    Attributes:
        length: size of the header in bytes.
        shape: voxels along the three axes; the first varies fastest in the file.
        dtype: type and byte order of a stored voxel.
        offset: number of bytes before the first voxel.
        slope: value = stored value x slope + intercept.
        intercept: see `slope`.
        affine: (4, 4), voxel index to RAS+ millimetres.
        is_synthetic: whether the header marks the image as made by voxlate (`SYNTHETIC_INTENT`).
        volumes: number of volumes one after the other, more than 1 in a 4-D file.
    """

    length: int
    shape: Shape
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    affine: Affine = field(repr=False)
    is_synthetic: bool = False
    volumes: int = 1

    @property
    def data_bytes(self) -> int:
        """Returns the size of all voxels in the file, in bytes."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def slice_voxels(self) -> int:
        """Returns the number of voxels in one slice across the third axis."""
        return self.shape[0] * self.shape[1]


def header_length(start: bytes, *, name: str) -> int:
    """Returns the length of the header in bytes.

    Args:
        start: the first four bytes of the file.
        name: file name, for messages.

    Raises:
        InputRefused: `HEADER` when the file is not NIfTI.
    """
    for length in (int.from_bytes(start, "little"), int.from_bytes(start, "big")):
        if length in _FIELDS:
            return length
    raise InputRefused(
        "HEADER", f"{name} is not a NIfTI file: it does not begin with a header of 348 or 540 bytes; {_CONVERT}"
    )


def parse_header(block: bytes, *, name: str, assume_ras: bool, max_bytes: int, is_series: bool = False) -> NiftiHeader:
    """Parses a whole header.

    Args:
        block: the header, 348 (NIfTI-1) or 540 bytes (NIfTI-2).
        name: file name, for messages.
        assume_ras: see `affine_mm`.
        max_bytes: limit for the voxels, as stored or as float32.
        is_series: accept several volumes of one grid in a 4-D file.

    Raises:
        InputRefused: `HEADER`, `DATATYPE`, `DIMENSIONS`, `TOO_LARGE`, `SCALING`, or a code of `affine_mm`.
    """
    order: Literal["<", ">"] = "<" if int.from_bytes(block[:SIZE_BYTES], "little") == len(block) else ">"
    fields = np.frombuffer(block, dtype=_FIELDS[len(block)].newbyteorder(order))[0]
    _require_magic(fields, len(block), name)
    dtype = _dtype(fields, name).newbyteorder(order)
    shape, volumes = _shape(fields, name, is_series=is_series)
    _require_size((shape[0], shape[1], shape[2] * volumes), dtype, name=name, max_bytes=max_bytes)
    offset = _offset(fields, len(block) + 4, name)
    slope, intercept = _scaling(fields, name)
    affine = affine_mm(fields, shape, name=name, assume_ras=assume_ras)
    return NiftiHeader(len(block), shape, dtype, offset, slope, intercept, affine, _is_synthetic(fields), volumes)


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
        raise InputRefused("HEADER", f"{name} was damaged by a transfer in text mode; copy it again in binary mode")


def _dtype(fields: np.void, name: str) -> np.dtype[Any]:
    code, bits = int(fields["datatype"]), int(fields["bitpix"])
    if code not in STORED_TYPES:
        what = _OTHER_TYPES.get(code, "unknown")
        raise InputRefused(
            "DATATYPE",
            f"{name} holds voxels of type {code} ({what}), not real numbers; convert it to one number per voxel",
        )
    dtype = np.dtype(STORED_TYPES[code])
    if bits not in (0, 8 * dtype.itemsize):
        raise InputRefused("HEADER", f"{name}: {bits} bits per voxel (bitpix) contradict the type {dtype.name}")
    return dtype


def _shape(fields: np.void, name: str, *, is_series: bool) -> tuple[Shape, int]:
    """Returns the shape of one volume and the number of volumes."""
    dim = [int(n) for n in fields["dim"]]
    count, sizes = dim[0], dim[1 : dim[0] + 1]
    if not 1 <= count <= 7 or min(sizes) < 1:
        raise InputRefused("DIMENSIONS", f"{name} has impossible dimensions, dim = {dim}")
    volumes = prod(sizes[3:])
    if count < 3 or (volumes != 1 and not is_series):
        shown = " x ".join(map(str, sizes))
        raise InputRefused(
            "DIMENSIONS", f"{name} has shape {shown}, not one volume of three dimensions; split it first"
        )
    return (sizes[0], sizes[1], sizes[2]), volumes


def _require_size(shape: Shape, dtype: np.dtype[Any], *, name: str, max_bytes: int) -> None:
    needed = prod(shape) * max(dtype.itemsize, np.dtype(np.float32).itemsize)
    if needed > max_bytes:
        shown = " x ".join(map(str, shape))
        raise InputRefused(
            "TOO_LARGE",
            f"{name} has {shown} voxels, {needed / 1e9:.3g} GB, above {max_bytes / 1e9:.3g} GB; crop or resample it",
        )


def _offset(fields: np.void, smallest: int, name: str) -> int:
    stated = float(fields["vox_offset"])
    if stated == 0:
        return smallest
    if not smallest <= stated <= _EXTENSIONS_MAX_BYTES or stated != int(stated):
        raise InputRefused(
            "HEADER",
            f"{name}: voxels cannot begin at byte {stated:.6g} (vox_offset); "
            f"allowed are {smallest} to {_EXTENSIONS_MAX_BYTES}",
        )
    return int(stated)


def _scaling(fields: np.void, name: str) -> tuple[float, float]:
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0:  # the NIfTI standard: 0 means that values are not scaled
        return 1.0, 0.0
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        raise InputRefused(
            "SCALING", f"{name}: slope {slope} and intercept {intercept} must be finite; convert the scan again"
        )
    return slope, intercept


@np.errstate(over="ignore", invalid="ignore")
def affine_mm(fields: np.void, shape: Shape, *, name: str, assume_ras: bool) -> Affine:
    """Returns the affine of a header: (4, 4), voxel index to RAS+ millimetres.

    Lengths in metres or microns are converted; an unknown unit is taken as millimetres. A form counts if its code is
    above 0; if both count and agree, the sform is returned.

    Args:
        fields: the header.
        shape: voxels along each axis.
        name: file name, for messages.
        assume_ras: if neither form counts, assume that the array axes point right, anterior and superior and that the
            origin is the centre of the array (warning `ASSUMED_RAS`).

    Raises:
        InputRefused: `AFFINE`, `SHEAR`, `QFORM_SFORM`, `NO_ORIENTATION` or `HEADER` (unit).
    """
    mm = _mm_per_unit(fields, name)
    stated = _stated(fields, name)
    if not stated and assume_ras:
        warn("ASSUMED_RAS", f"{name} has no orientation; its axes are assumed to point right, anterior, superior")
        stated["pixdim"] = _centred(fields, shape)
    for source, affine in stated.items():
        affine[:3] *= mm
        _require_usable(affine, f"{name}: the {source}")
    if len(stated) == 2:
        _require_agreement(Grid(shape, stated["sform"]), Grid(shape, stated["qform"]), name)
    if stated:
        return next(iter(stated.values()))
    raise InputRefused(
        "NO_ORIENTATION",
        f"{name} has neither qform nor sform, so left and right are unknown; convert it again from DICOM, "
        "or write its sform if you know its orientation",
    )


def _mm_per_unit(fields: np.void, name: str) -> float:
    unit = int(fields["xyzt_units"]) & 7
    if unit not in _MM_PER_UNIT:
        raise InputRefused("HEADER", f"{name}: {unit} is not a unit of length (xyzt_units)")
    return _MM_PER_UNIT[unit]


def _stated(fields: np.void, name: str) -> dict[str, Affine]:
    stated = {}
    if fields["sform_code"] > 0:
        stated["sform"] = _sform(fields)
    if fields["qform_code"] > 0:
        stated["qform"] = _qform(fields, name)
    return stated


def _sform(fields: np.void) -> Affine:
    rows = [fields[f"srow_{axis}"] for axis in "xyz"]
    return np.array([*rows, [0, 0, 0, 1]], dtype=np.float64)


def _qform(fields: np.void, name: str) -> Affine:
    imaginary = np.array([fields[f"quatern_{part}"] for part in "bcd"], dtype=np.float64)
    square = float(imaginary @ imaginary)
    if not square <= 1 + _QUATERNION_TOLERANCE:
        raise InputRefused(
            "AFFINE", f"{name}: the squared length of the qform's quaternion is {square:.6g}, above 1; {_CONVERT}"
        )
    spacing = fields["pixdim"][1:4].astype(np.float64)
    if not (spacing > 0).all():
        raise InputRefused(
            "AFFINE", f"{name}: the qform needs voxel sizes above 0, pixdim is {spacing.tolist()}; {_CONVERT}"
        )
    rotation = quat2mat([np.sqrt(max(0.0, 1 - square)), *imaginary])
    handed = [1.0, 1.0, -1.0 if fields["pixdim"][0] < 0 else 1.0]
    affine = np.eye(4)
    affine[:3, :3] = rotation * (spacing * handed)
    affine[:3, 3] = [fields[f"qoffset_{axis}"] for axis in "xyz"]
    return affine


def _centred(fields: np.void, shape: Shape) -> Affine:
    spacing = np.abs(fields["pixdim"][1:4].astype(np.float64))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -spacing * (np.array(shape) - 1) / 2
    return affine


def _require_usable(affine: Affine, what: str) -> None:
    if not np.isfinite(affine).all():
        raise InputRefused("AFFINE", f"{what} is not finite; {_CONVERT}")
    low, high = SPACING_RANGE_MM
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not ((lengths >= low) & (lengths <= high)).all():
        shown = " x ".join(f"{length:.3g}" for length in lengths)
        raise InputRefused("AFFINE", f"{what} has voxels of {shown} mm, outside {low} to {high} mm; {_CONVERT}")
    if np.abs(affine[:3, 3]).max() > FARTHEST_MM:
        raise InputRefused(
            "AFFINE", f"{what} places the first voxel at {affine[:3, 3].tolist()} mm, outside any scanner; {_CONVERT}"
        )
    axes = affine[:3, :3] / lengths
    if abs(np.linalg.det(axes)) < SHEAR_TOLERANCE:
        raise InputRefused("AFFINE", f"{what} is singular: its three axes lie in one plane; {_CONVERT}")
    cosine = np.abs(axes.T @ axes - np.eye(3)).max()
    if cosine > SHEAR_TOLERANCE:
        degrees = 90 - np.degrees(np.arccos(min(1.0, cosine)))
        raise InputRefused("SHEAR", f"{what} is sheared by {degrees:.2f} degrees; resample the scan to orthogonal axes")


def _require_agreement(sform: Grid, qform: Grid, name: str) -> None:
    corners = sform.corners_mm()
    apart_mm = float(np.linalg.norm(corners - qform.corners_mm(), axis=1).max())
    diagonal_mm = float(np.linalg.norm(corners[-1] - corners[0]))
    allowed_mm = AGREEMENT_TOLERANCE * max(diagonal_mm, *sform.spacing_mm)
    if apart_mm > allowed_mm:
        raise InputRefused(
            "QFORM_SFORM",
            f"{name}: qform and sform place a corner {apart_mm:.3g} mm apart ({allowed_mm:.2g} mm allowed), so "
            "programs would show the scan at different positions; set the wrong form equal to the right one",
        )
