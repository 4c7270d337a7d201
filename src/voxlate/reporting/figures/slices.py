"""Axial, coronal and sagittal slices of a volume in RAS+ order, in the radiological convention.

Axial and coronal slices have the patient's right on the left side of the picture; sagittal slices have the front of the
head on the left side. Up is anterior (axial) or superior. Oblique volumes are shown along their nearest anatomical
axes, without resampling across slices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from voxlate.volume import Array, Mask, Volume

CONVENTION = "Radiological convention: the patient's right (R) is on the left side of axial and coronal pictures."
LONGEST_SIDE_PX = 320
"""Longest side of a picture. Chosen by hand: a head of 256 mm keeps its 1 mm voxels, and the report stays small."""

MARGIN_MM = 6.0
"""Margin around the mask. Chosen by hand; not tuned."""


@dataclass(frozen=True)
class Plane:
    """An anatomical plane.

    Attributes:
        name: `axial`, `coronal` or `sagittal`.
        normal: RAS axis perpendicular to the plane (0, 1 or 2).
        left, right: letters of the directions at the sides of the picture.
        axis: letter of the coordinate along the normal.
    """

    name: str
    normal: int
    left: str
    right: str
    axis: str


PLANES = (
    Plane("axial", 2, "R", "L", "z"),
    Plane("coronal", 1, "R", "L", "y"),
    Plane("sagittal", 0, "A", "P", "x"),
)


def fullest_slice(weight: NDArray[np.floating], plane: Plane) -> int:
    """Returns the index of the slice with the largest sum of `weight`; the first of equal ones.

    Args:
        weight: shape (x, y, z), RAS+ order, any unit.
        plane: its normal is the axis of the index.
    """
    others = tuple(axis for axis in range(3) if axis != plane.normal)
    return int(np.argmax(weight.sum(axis=others, dtype=np.float64)))


def position_mm(image: Volume, plane: Plane, index: int) -> float:
    """Returns the coordinate of the centre of a slice along the plane's normal, in RAS+ mm."""
    middle = (np.array(image.data.shape, dtype=np.float64) - 1) / 2
    middle[plane.normal] = index
    return float(image.affine[plane.normal, :3] @ middle + image.affine[plane.normal, 3])


def box_around(mask: Mask, spacing_mm: tuple[float, float, float]) -> tuple[slice, ...]:
    """Returns the smallest box around the mask plus a margin of `MARGIN_MM`; the whole image for an empty mask.

    Args:
        mask: shape (x, y, z).
        spacing_mm: voxel size along each axis.
    """
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if not boxes:
        return tuple(slice(0, n) for n in mask.shape)
    pad = np.ceil(MARGIN_MM / np.array(spacing_mm)).astype(int)
    sides = zip(boxes[0], pad, mask.shape, strict=True)
    return tuple(slice(max(side.start - p, 0), min(side.stop + p, n)) for side, p, n in sides)


def section(data: Array, plane: Plane, index: int, *, spacing_mm: tuple[float, float, float]) -> Array:
    """Returns one slice as a picture with square pixels, shape (rows from the top, columns from the left).

    Voxels with unequal sides are interpolated linearly to the shorter side. A picture with more than `LONGEST_SIDE_PX`
    pixels along a side is made smaller.

    Args:
        data: shape (x, y, z), RAS+ order, any unit.
        plane: orientation of the slice.
        index: position along the plane's normal.
        spacing_mm: voxel size along each axis.
    """
    across, up = (axis for axis in range(3) if axis != plane.normal)
    picture: Array = np.take(data, index, axis=plane.normal)[::-1, ::-1].T
    size_mm = np.array([picture.shape[0] * spacing_mm[up], picture.shape[1] * spacing_mm[across]])
    pixel_mm = max(min(spacing_mm[up], spacing_mm[across]), size_mm.max() / LONGEST_SIDE_PX)
    shape = np.maximum(np.rint(size_mm / pixel_mm), 1)
    zoom = tuple(shape / picture.shape)
    if zoom == (1.0, 1.0):
        return picture
    return np.asarray(ndimage.zoom(picture, zoom, order=1, mode="nearest", grid_mode=True), dtype=np.float32)
