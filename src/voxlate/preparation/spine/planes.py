"""Selects lumbar slices through intervertebral discs: the plane, the slice, its crop, and the slice of the other scan.

Lee et al. 2020 took T2 slices "parallel to the endplate through the middle of the disc", excluded pairs whose axes
differed, and cropped both images to the same box around the thecal sac. There two neurosurgeons chose the slices; here
a mask of the disc does (from a segmentation tool, or drawn), so that the choice is repeatable. All points are RAS+
millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxlate.errors import InputRefused, UsageError
from voxlate.preparation.registration.transform import Transform
from voxlate.volume import Affine, Grid, Mask, Volume

MAX_ANGLE_DEG = 10.0
"""Largest tilt of a slice against the disc at which it still counts as parallel to the endplates; chosen by hand."""


@dataclass(frozen=True)
class Plane:
    """A plane in patient coordinates.

    Attributes:
        centre_mm: (3,), a point of the plane, RAS+.
        normal: (3,), length 1, pointing up (its third component is not negative).
    """

    centre_mm: Affine
    normal: Affine

    def angle_deg(self, other: Plane) -> float:
        """Returns the angle between two planes, 0 to 90 degrees."""
        return float(np.degrees(np.arccos(np.clip(abs(self.normal @ other.normal), 0, 1))))

    def height_mm(self, point_mm: Affine) -> float:
        """Returns the distance of a point, (3,), above the plane."""
        return float((point_mm - self.centre_mm) @ self.normal)

    def moved(self, transform: Transform) -> Plane:
        """Returns the plane after a rigid transform."""
        normal = transform.matrix[:3, :3] @ self.normal
        return _plane(transform.apply(self.centre_mm[None])[0], normal)


def disc_plane(volume: Volume, disc: Mask) -> Plane:
    """Returns the middle plane of a disc: through its centre, perpendicular to its thinnest direction.

    Args:
        volume: the scan; only its affine is used.
        disc: (i, j, k), mask of one intervertebral disc.

    Raises:
        InputRefused: `EMPTY_MASK` for fewer than 20 voxels; `DISC_SHAPE` when the mask is not flat (its thinnest
            direction measures more than 70 % of the next one). Both limits are chosen by hand.
    """
    index = np.argwhere(disc)
    if len(index) < 20:
        raise InputRefused(
            "EMPTY_MASK", f"a disc of {len(index)} voxels is too small to fit a plane; give the mask of a disc"
        )
    points = volume.grid.to_mm(index)
    centre = points.mean(axis=0)
    sizes, axes = np.linalg.eigh(np.cov((points - centre).T))
    thin, next_ = np.sqrt(np.maximum(sizes[:2], 0))
    if thin > 0.7 * next_:
        raise InputRefused(
            "DISC_SHAPE",
            f"the mask measures {thin:.1f} by {next_:.1f} mm (SD) and is not flat; give the mask of one disc",
        )
    return _plane(centre, axes[:, 0])


def slice_plane(grid: Grid, index: int) -> Plane:
    """Returns the plane of slice `index`, counted from 0, along the third array axis of `grid`."""
    middle = [(grid.shape[0] - 1) / 2, (grid.shape[1] - 1) / 2, index]
    normal = np.cross(grid.affine[:3, 0], grid.affine[:3, 1])
    return _plane(grid.to_mm(middle), normal / np.linalg.norm(normal))


def disc_slice(volume: Volume, plane: Plane) -> int:
    """Returns the index of the acquired slice (third axis) nearest to the middle of a disc.

    Args:
        volume: the scan, (i, j, k).
        plane: see `disc_plane`.

    Raises:
        InputRefused: `SLICE_TILTED` when the slices are tilted by more than `MAX_ANGLE_DEG` against the disc,
            `SLICE_ABSENT` when the disc is outside the scan.
    """
    first = slice_plane(volume.grid, 0)
    angle = first.angle_deg(plane)
    if angle > MAX_ANGLE_DEG:
        raise InputRefused(
            "SLICE_TILTED", f"the slices are tilted by {angle:.0f} degrees against the disc; use slices parallel to it"
        )
    index = round(float(volume.grid.to_index(plane.centre_mm)[2]))
    if not 0 <= index < volume.data.shape[2]:
        raise InputRefused(
            "SLICE_ABSENT", f"the middle of the disc is at slice {index}, outside the {volume.data.shape[2]} slices"
        )
    return index


def disc_grid(plane: Plane, *, size_mm: float = 180.0, spacing_mm: float = 0.5) -> Grid:
    """Returns the grid of one slice parallel to the endplates of a disc: (n, n, 1), axes right and anterior.

    Args:
        plane: see `disc_plane`; its centre is the centre of the slice.
        size_mm: edge length of the square; the default is chosen by hand.
        spacing_mm: pixel size, also used for the thickness.
    """
    right = np.array([1.0, 0, 0]) - plane.normal[0] * plane.normal
    right /= np.linalg.norm(right)
    anterior = np.cross(plane.normal, right)
    count = round(size_mm / spacing_mm)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = right * spacing_mm, anterior * spacing_mm, plane.normal * spacing_mm
    affine[:3, 3] = plane.centre_mm - (right + anterior) * spacing_mm * (count - 1) / 2
    return Grid((count, count, 1), affine)


def lumbar_crop(grid: Grid, *, ventral_mm: Affine, sac_mm: Affine) -> tuple[slice, slice]:
    """Returns the crop of Lee et al. as slices of the first two axes, right and anterior.

    The box is a square around the centre of the thecal sac; its front edge is the most ventral point of the vertebral
    body.

    Args:
        grid: as `disc_grid` returns it.
        ventral_mm: (3,), the most ventral point of the vertebral body.
        sac_mm: (3,), the centre of the thecal sac.

    Raises:
        InputRefused: `LANDMARKS` when the sac is less than 10 mm dorsal of that point, `SLICE_CUT` when the box
            exceeds the slice.
    """
    ventral, sac = (grid.to_index(point)[:2] for point in (ventral_mm, sac_mm))
    reach_mm = float(ventral[1] - sac[1]) * grid.spacing_mm[1]
    if reach_mm < 10:
        raise InputRefused(
            "LANDMARKS", f"the sac is {reach_mm:.0f} mm dorsal of the ventral edge; are the landmarks exchanged?"
        )
    box = []
    for axis in range(2):
        reach = reach_mm / grid.spacing_mm[axis]
        start, stop = round(float(sac[axis] - reach)), round(float(sac[axis] + reach)) + 1
        if start < 0 or stop > grid.shape[axis]:
            raise InputRefused(
                "SLICE_CUT",
                f"the box from pixel {start} to {stop} exceeds the slice of {grid.shape[axis]} pixels",
            )
        box.append(slice(start, stop))
    return box[0], box[1]


def paired_slice(source: Grid, index: int, target: Grid, transform: Transform, *, max_angle_deg: float = 5.0) -> int:
    """Returns the slice of `target` that shows the same section as slice `index` of `source`.

    Args:
        source: grid of the source; slices along the third axis.
        index: slice of the source.
        target: grid of the target; slices along the third axis.
        transform: rigid, from millimetres of the source to those of the target.
        max_angle_deg: pairs whose slice axes differ by more are refused, as Lee et al. excluded pairs whose axes
            differed.

    Raises:
        UsageError: `SLICE_ABSENT` when the source has no such slice.
        InputRefused: `SLICE_TILTED`, or `SLICE_ABSENT` when the target has no slice there.
    """
    if not 0 <= index < source.shape[2]:
        raise UsageError("SLICE_ABSENT", f"slice {index} does not exist; the source has {source.shape[2]}")
    section = slice_plane(source, index).moved(transform)
    angle = slice_plane(target, 0).angle_deg(section)
    if angle > max_angle_deg:
        raise InputRefused("SLICE_TILTED", f"the slice axes of the two scans differ by {angle:.1f} degrees")
    nearest = round(float(target.to_index(section.centre_mm)[2]))
    if not 0 <= nearest < target.shape[2]:
        raise InputRefused("SLICE_ABSENT", "the target has no slice at this position")
    return nearest


def _plane(centre_mm: Affine, normal: Affine) -> Plane:
    upward = normal if normal[2] >= 0 else -normal
    return Plane(np.asarray(centre_mm, dtype=np.float64), np.asarray(upward, dtype=np.float64))
