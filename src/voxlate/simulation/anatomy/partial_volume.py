"""Partial-volume maps: the fraction of each voxel that each tissue fills; the fractions of a voxel sum to one.

Structures are painted front to back, and each takes its share of the fraction that is still free. A small structure
stores only the box of voxels that it touches, so that a head of thirty tissues fits into memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from voxlate.errors import UsageError
from voxlate.simulation.anatomy.shapes import Point, Points
from voxlate.volume import Affine, Array, Shape

Box = tuple[slice, slice, slice]
"""A box of voxels: one slice along each axis."""

# A box is wider by this on every side, because the warp of a head moves structures away from their place in the
# template: by some 3 mm for a head made of formulas. The strong bending of the embedded head (`label_head`) exceeds
# 10 mm in 0.4 % of the brain, where a structure may end at a face of its box.
_MARGIN_MM = 10.0


@dataclass
class Part:
    """One tissue in one box of voxels.

    Attributes:
        tissue: key of the subject's tissues.
        box: box of voxels that `fraction` covers.
        fraction: float32 of the shape of the box, fraction of each voxel, 0 to 1.
    """

    tissue: str
    box: Box
    fraction: Array


@dataclass(frozen=True)
class Frame:
    """Coordinates of the voxels in the template, in millimetres: x right, y anterior, z superior.

    Attributes:
        spacing_mm: isotropic voxel size.
        affine: (4, 4), from voxel index to scanner coordinates, RAS+ mm.
        points: x, y and z of each voxel in template mm, three arrays of the volume's shape.
        to_index: (4, 4), from template mm to voxel index, without the warp.
    """

    spacing_mm: float
    affine: Affine
    points: Points
    to_index: Affine

    @property
    def shape(self) -> Shape:
        """Returns the number of voxels along each axis."""
        i, j, k = self.points[0].shape
        return i, j, k

    def box(self, low: Point, high: Point) -> Box:
        """Returns the box of voxels that may hold a structure.

        Args:
            low: corner with the smallest x, y and z, in template mm.
            high: corner with the largest x, y and z, in template mm.

        Raises:
            UsageError: `GRID_TOO_SMALL` when the box lies outside the grid.
        """
        middle, half = np.add(low, high) / 2, np.subtract(high, low) / 2
        turn = self.to_index[:3, :3]
        index, reach = turn @ middle + self.to_index[:3, 3], np.abs(turn) @ half + _MARGIN_MM / self.spacing_mm
        starts = np.maximum(np.floor(index - reach), 0).astype(int)
        stops = np.minimum(np.ceil(index + reach) + 1, self.shape).astype(int)
        if (stops <= starts).any():
            raise UsageError(
                "GRID_TOO_SMALL", f"a structure from {low} to {high} mm lies outside the grid of {self.shape} voxels"
            )
        return slice(starts[0], stops[0]), slice(starts[1], stops[1]), slice(starts[2], stops[2])

    def points_in(self, box: Box) -> Points:
        """Returns x, y and z of the voxels of a box in template mm, three arrays of the shape of the box."""
        x, y, z = self.points
        return x[box], y[box], z[box]


class PartialVolumeMap:
    """A volume that is filled with tissues, front to back.

    Attributes:
        free: (shape), float32, the fraction of each voxel that no tissue fills yet.
        parts: the tissues, in the order in which they were painted; a tissue may have several parts.

    Example:
        >>> tissue_map = PartialVolumeMap((2, 2, 2))
        >>> tissue_map.paint("csf", 0.75)
        >>> tissue_map.paint("gm", 1.0)
        >>> float(tissue_map.total("gm")[0, 0, 0])
        0.25
    """

    def __init__(self, shape: Shape) -> None:
        self.free: Array = np.ones(shape, dtype=np.float32)
        self.parts: list[Part] = []

    @property
    def whole(self) -> Box:
        """Returns the box that holds all voxels."""
        i, j, k = self.free.shape
        return slice(0, i), slice(0, j), slice(0, k)

    def paint(self, tissue: str, share: Array | float, box: Box | None = None) -> None:
        """Fills a share of the free fraction with a tissue.

        Args:
            tissue: key of the subject's tissues.
            share: 0 to 1, of the shape of the box or one number.
            box: box of voxels; the whole volume when not given.
        """
        box = self.whole if box is None else box
        taken = self.free[box] * np.asarray(share, dtype=np.float32)
        self.free[box] -= taken
        self.parts.append(Part(tissue, box, taken))

    def mix(self, shares: dict[str, Array | float], cover: Array, box: Box | None = None) -> None:
        """Fills a share of the free fraction with several tissues.

        Args:
            shares: tissue to its share of what is filled, 0 to 1; they sum to one in every voxel.
            cover: share of the free fraction that is filled, 0 to 1, of the shape of the box.
            box: box of voxels; the whole volume when not given.
        """
        box = self.whole if box is None else box
        taken = self.free[box] * cover
        self.free[box] -= taken
        self.parts.extend(
            Part(tissue, box, np.asarray(taken * share, dtype=np.float32)) for tissue, share in shares.items()
        )

    def overlay(self, tissue: str, share: Array, box: Box) -> None:
        """Puts a tissue in front of everything painted so far: the others keep 1 - share of their fraction.

        Args:
            tissue: key of the subject's tissues.
            share: 0 to 1, of the shape of the box.
            box: box of voxels.
        """
        kept = 1 - share
        for part, mine, theirs in self._overlapping(box):
            part.fraction[mine] *= kept[theirs]
        self.free[box] *= kept
        self.parts.append(Part(tissue, box, np.asarray(share, dtype=np.float32)))

    def convert(self, origin: str, goal: str, share: Array, box: Box) -> None:
        """Turns a share of one tissue into another; all other tissues keep their fractions.

        Args:
            origin: tissue that loses.
            goal: tissue that gains.
            share: share of the origin's fraction, 0 to 1, of the shape of the box.
            box: box of voxels.
        """
        gained = np.zeros(share.shape, dtype=np.float32)
        for part, mine, theirs in self._overlapping(box):
            if part.tissue == origin:
                moved = part.fraction[mine] * share[theirs]
                part.fraction[mine] -= moved
                gained[theirs] += moved
        self.parts.append(Part(goal, box, gained))

    def total(self, *tissues: str) -> Array:
        """Returns the summed fraction of some tissues, float32 of the volume's shape, 0 to 1."""
        result = np.zeros(self.free.shape, dtype=np.float32)
        for part in self.parts:
            if part.tissue in tissues:
                result[part.box] += part.fraction
        return result

    def _overlapping(self, box: Box) -> Iterator[tuple[Part, Box, Box]]:
        """Yields the parts that overlap a box, with the overlap relative to the part and relative to the box."""
        for part in self.parts:
            starts = [max(a.start, b.start) for a, b in zip(part.box, box, strict=True)]
            stops = [min(a.stop, b.stop) for a, b in zip(part.box, box, strict=True)]
            if all(stop > start for start, stop in zip(starts, stops, strict=True)):
                yield part, _relative(starts, stops, part.box), _relative(starts, stops, box)


def _relative(starts: list[int], stops: list[int], box: Box) -> Box:
    i, j, k = (slice(a - axis.start, b - axis.start) for a, b, axis in zip(starts, stops, box, strict=True))
    return i, j, k


@dataclass(frozen=True)
class PaintedAnatomy:
    """A painted anatomy.

    Attributes:
        tissue_map: the tissues of every voxel.
        frame: coordinates of the voxels.
        inside: (shape), float32, fraction of each voxel inside the dura, or in a spine inside the vertebral column.
        ventricles: (shape), float32, fraction of each voxel in a ventricle, where no lesion grows; None for a head made
            of formulas, whose lesions are placed outside the ventricles of the template.
    """

    tissue_map: PartialVolumeMap
    frame: Frame
    inside: Array
    ventricles: Array | None = None
