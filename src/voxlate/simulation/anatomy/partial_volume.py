"""A tissue_map holds, for every voxel, which part of it is which tissue; the parts of a voxel sum to one.

Structures are painted front to back: each takes its share of what is still free. Small structures keep only the box
of voxels they touch, which is what makes a head of thirty tissues fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from voxlate.errors import UsageError
from voxlate.simulation.anatomy.shapes import Point, Points
from voxlate.volume import Affine, Array, Shape

Box = tuple[slice, slice, slice]
_MARGIN_MM = 10.0  # how far the warp of a head may carry a structure from its place in the template


@dataclass
class Part:
    """One tissue in one box of voxels.

    Attributes:
        tissue: key of the subject's tissues.
        box: where `fraction` lies in the volume.
        fraction: (box), 0 to 1.
    """

    tissue: str
    box: Box
    fraction: Array


@dataclass(frozen=True)
class Frame:
    """Where the voxels are in the template's millimetres, x right, y anterior, z superior.

    Attributes:
        spacing_mm: isotropic voxel size.
        affine: (4, 4), voxel index to scanner millimetres.
        points: three arrays of the volume's shape, template millimetres.
        to_index: (4, 4), template millimetres to voxel index, without the warp.
    """

    spacing_mm: float
    affine: Affine
    points: Points
    to_index: Affine

    @property
    def shape(self) -> Shape:
        """Returns the voxels along each axis."""
        i, j, k = self.points[0].shape
        return i, j, k

    def box(self, low: Point, high: Point) -> Box:
        """Returns the voxels that may hold a structure between two corners in template millimetres.

        Raises:
            UsageError: `GRID_TOO_SMALL` when the box lies outside the grid.
        """
        middle, half = np.add(low, high) / 2, np.subtract(high, low) / 2
        turn = self.to_index[:3, :3]
        index, reach = turn @ middle + self.to_index[:3, 3], np.abs(turn) @ half + _MARGIN_MM / self.spacing_mm
        starts = np.maximum(np.floor(index - reach), 0).astype(int)
        stops = np.minimum(np.ceil(index + reach) + 1, self.shape).astype(int)
        if (stops <= starts).any():
            raise UsageError("GRID_TOO_SMALL", f"a structure at {low} to {high} mm lies outside the grid {self.shape}")
        return slice(starts[0], stops[0]), slice(starts[1], stops[1]), slice(starts[2], stops[2])

    def points_in(self, box: Box) -> Points:
        """Returns the points of the voxels of a box."""
        x, y, z = self.points
        return x[box], y[box], z[box]


class PartialVolumeMap:
    """Voxels being filled with tissues, front to back."""

    def __init__(self, shape: Shape) -> None:
        self.free: Array = np.ones(shape, dtype=np.float32)
        self.parts: list[Part] = []

    @property
    def whole(self) -> Box:
        """Returns the box of all voxels."""
        i, j, k = self.free.shape
        return slice(0, i), slice(0, j), slice(0, k)

    def paint(self, tissue: str, share: Array | float, box: Box | None = None) -> None:
        """Gives `share` (0 to 1) of what is free in the box to a tissue."""
        box = self.whole if box is None else box
        taken = self.free[box] * np.asarray(share, dtype=np.float32)
        self.free[box] -= taken
        self.parts.append(Part(tissue, box, taken))

    def mix(self, shares: dict[str, Array | float], cover: Array, box: Box | None = None) -> None:
        """Gives `cover` of what is free to several tissues, split by `shares`, which sum to one."""
        box = self.whole if box is None else box
        taken = self.free[box] * cover
        self.free[box] -= taken
        self.parts.extend(
            Part(tissue, box, np.asarray(taken * share, dtype=np.float32)) for tissue, share in shares.items()
        )

    def overlay(self, tissue: str, share: Array, box: Box) -> None:
        """Puts a tissue in front of all that is painted: the others keep 1 - share of what they had."""
        kept = 1 - share
        for part, mine, theirs in self._overlapping(box):
            part.fraction[mine] *= kept[theirs]
        self.free[box] *= kept
        self.parts.append(Part(tissue, box, np.asarray(share, dtype=np.float32)))

    def convert(self, origin: str, goal: str, share: Array, box: Box) -> None:
        """Turns a share of one tissue into another inside a box; the other tissues keep what they have."""
        gained = np.zeros(share.shape, dtype=np.float32)
        for part, mine, theirs in self._overlapping(box):
            if part.tissue == origin:
                moved = part.fraction[mine] * share[theirs]
                part.fraction[mine] -= moved
                gained[theirs] += moved
        self.parts.append(Part(goal, box, gained))

    def total(self, *tissues: str) -> Array:
        """Returns the sum of the fractions of some tissues over the volume."""
        result = np.zeros(self.free.shape, dtype=np.float32)
        for part in self.parts:
            if part.tissue in tissues:
                result[part.box] += part.fraction
        return result

    def _overlapping(self, box: Box) -> Iterator[tuple[Part, Box, Box]]:
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
        frame: the voxels' points in the template.
        inside: (shape), part of each voxel inside the dura, or for a spine inside the vertebral column.
        ventricles: (shape), part of each voxel in a ventricle, where no lesion grows; None when the template, by which
            lesions are placed, says so.
    """

    tissue_map: PartialVolumeMap
    frame: Frame
    inside: Array
    ventricles: Array | None = None
