"""Where the voxels of a NIfTI file are, or why that cannot be said.

A NIfTI header places its voxels twice: `sform` is twelve numbers, `qform` a quaternion, an offset and
the voxel's size. Readers differ in which one they believe (nibabel the first, ITK the second), so two
places that disagree are refused, and so is a skewed one, which ITK cannot hold. Formulas:
https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h, methods 2 and 3.
"""

from __future__ import annotations

import numpy as np
from nibabel.quaternions import quat2mat

from voxlate.errors import InputRefused
from voxlate.io.nifti.source import warn
from voxlate.volume import Affine, Grid, Shape

SPACING_RANGE_MM = (0.01, 100.0)
"""Distances between voxels outside this range are no scan of a patient, but numbers in another unit."""

FARTHEST_MM = 10_000.0
"""A first voxel farther than this from the origin lies outside any scanner's room."""

SHEAR_TOLERANCE = 1e-3
"""Largest cosine between two array axes: 0.06 degrees; rounding in real files stays below 1e-7."""

AGREEMENT_TOLERANCE = 1e-3
"""Largest distance between the corners by qform and by sform, as a part of the volume's diagonal.

A quaternion keeps three of its four numbers in 32 bits; near a half turn the fourth is then known to
3.5e-4 and the angle to 7e-4 radians, so that an honest file may differ by that much.
"""

_QUATERNION_TOLERANCE = 1e-5
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unknown (taken as mm), metre, millimetre, micron


@np.errstate(over="ignore", invalid="ignore")
def affine_mm(fields: np.void, shape: Shape, *, name: str, assume_ras: bool) -> Affine:
    """Returns the (4, 4) matrix from voxel index to RAS+ millimetres that a header states.

    Lengths in metres or microns are converted; an unknown unit is taken as millimetres. Of sform and
    qform the one with a code above 0 counts; the sform when both have one and agree. With neither,
    `assume_ras` takes the array axes for right, anterior, superior and the middle of the array for the origin
    (warning `ASSUMED_RAS`).

    Raises:
        InputRefused: `AFFINE`, `SHEAR`, `QFORM_SFORM`, `NO_ORIENTATION` or `HEADER` (unit).
    """
    mm = _mm_per_unit(fields, name)
    stated = _stated(fields, name)
    if not stated and assume_ras:
        warn("ASSUMED_RAS", f"{name} has no orientation; its axes are taken for right, anterior, superior")
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
        f"{name} has neither qform nor sform, so left and right are unknown; convert it again from DICOM "
        "or write its sform with a program that knows how it lies",
    )


def _mm_per_unit(fields: np.void, name: str) -> float:
    unit = int(fields["xyzt_units"]) & 7
    if unit not in _MM_PER_UNIT:
        raise InputRefused("HEADER", f"{name}: {unit} is no unit of length (xyzt_units)")
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
        raise InputRefused("AFFINE", f"{name}: the qform's quaternion has length² {square:.6g}, above 1: no rotation")
    spacing = fields["pixdim"][1:4].astype(np.float64)
    if not (spacing > 0).all():
        raise InputRefused("AFFINE", f"{name}: the qform needs voxel sizes above 0, pixdim is {spacing.tolist()}")
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
        raise InputRefused("AFFINE", f"{what} is not finite; convert the scan again")
    low, high = SPACING_RANGE_MM
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not ((lengths >= low) & (lengths <= high)).all():
        shown = " x ".join(f"{length:.3g}" for length in lengths)
        raise InputRefused("AFFINE", f"{what} has voxels of {shown} mm, outside {low} to {high} mm")
    if np.abs(affine[:3, 3]).max() > FARTHEST_MM:
        raise InputRefused("AFFINE", f"{what} puts the first voxel at {affine[:3, 3].tolist()} mm, outside any scanner")
    axes = affine[:3, :3] / lengths
    if abs(np.linalg.det(axes)) < SHEAR_TOLERANCE:
        raise InputRefused("AFFINE", f"{what} is singular: its three axes lie in one plane")
    cosine = np.abs(axes.T @ axes - np.eye(3)).max()
    if cosine > SHEAR_TOLERANCE:
        degrees = 90 - np.degrees(np.arccos(min(1.0, cosine)))
        raise InputRefused("SHEAR", f"{what} is skewed by {degrees:.2f} degrees; resample the scan to a straight grid")


def _require_agreement(sform: Grid, qform: Grid, name: str) -> None:
    corners = sform.corners_mm()
    apart_mm = float(np.linalg.norm(corners - qform.corners_mm(), axis=1).max())
    diagonal_mm = float(np.linalg.norm(corners[-1] - corners[0]))
    allowed_mm = AGREEMENT_TOLERANCE * max(diagonal_mm, *sform.spacing_mm)
    if apart_mm > allowed_mm:
        raise InputRefused(
            "QFORM_SFORM",
            f"{name}: qform and sform place a corner {apart_mm:.3g} mm apart ({allowed_mm:.2g} mm allowed), "
            "so programs would show it at two places; keep the right one and set the other equal",
        )
