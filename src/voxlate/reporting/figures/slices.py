"""Three planes through a volume in RAS+ order, shown in the radiological convention.

Axial and coronal sections have the patient's right on the left side of the picture, sagittal ones the front of
the head on the left side; up is anterior (axial) or superior. Oblique volumes are shown along their nearest
anatomical axes, without resampling across slices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from voxlate.volume import Array, Mask, Volume

CONVENTION = "Radiological convention: the patient's right (R) is on the left side of axial and coronal pictures."
LONGEST_SIDE_PX = 320
MARGIN_MM = 6.0


@dataclass(frozen=True)
class Plane:
    """An anatomical plane.

    Attributes:
        normal: the RAS axis it is perpendicular to (0, 1 or 2).
        left, right: what lies on either side of its picture.
        axis: the letter of the coordinate along its normal.
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
    """Returns the index along the plane's normal with the largest sum of `weight` (the first of equals)."""
    others = tuple(axis for axis in range(3) if axis != plane.normal)
    return int(np.argmax(weight.sum(axis=others, dtype=np.float64)))


def position_mm(image: Volume, plane: Plane, index: int) -> float:
    """Returns the coordinate along the plane's normal of the middle of a slice."""
    middle = (np.array(image.data.shape, dtype=np.float64) - 1) / 2
    middle[plane.normal] = index
    return float(image.affine[plane.normal, :3] @ middle + image.affine[plane.normal, 3])


def box_around(mask: Mask, spacing_mm: tuple[float, float, float]) -> tuple[slice, ...]:
    """Returns the smallest box around the mask and a margin; all of it when the mask is empty."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return tuple(slice(0, n) for n in mask.shape)
    pad = np.ceil(MARGIN_MM / np.array(spacing_mm)).astype(int)
    sides = zip(found[0], pad, mask.shape, strict=True)
    return tuple(slice(max(side.start - p, 0), min(side.stop + p, n)) for side, p, n in sides)


def section(data: Array, plane: Plane, index: int, *, spacing_mm: tuple[float, float, float]) -> Array:
    """Returns one slice as a picture (rows from top, columns from left) with square pixels.

    Voxels of unequal sides are interpolated linearly to the finer side, then all of it shrunk if a side would
    have more than `LONGEST_SIDE_PX` pixels.
    """
    across, up = (axis for axis in range(3) if axis != plane.normal)
    picture: Array = np.take(data, index, axis=plane.normal)[::-1, ::-1].T
    size_mm = np.array([picture.shape[0] * spacing_mm[up], picture.shape[1] * spacing_mm[across]])
    pixel_mm = max(min(spacing_mm[up], spacing_mm[across]), size_mm.max() / LONGEST_SIDE_PX)
    wanted = np.maximum(np.rint(size_mm / pixel_mm), 1)
    zoom = tuple(wanted / picture.shape)
    if zoom == (1.0, 1.0):
        return picture
    return np.asarray(ndimage.zoom(picture, zoom, order=1, mode="nearest", grid_mode=True), dtype=np.float32)
