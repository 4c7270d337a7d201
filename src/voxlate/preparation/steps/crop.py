"""Crops scans to a box around the brain; the inverse fills the rest with zeros."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxlate.errors import InputRefused
from voxlate.volume import Grid, Mask, Shape, Volume


@dataclass(frozen=True)
class Crop:
    """A crop of scans on the grid `outer`.

    Attributes:
        outer: grid of the whole scan.
        start, stop: first voxel of the box along each axis, and the first one after it.
    """

    outer: Grid
    start: Shape
    stop: Shape

    @classmethod
    def around(cls, mask: Mask, outer: Grid, *, margin_mm: float) -> Crop:
        """Returns the smallest box that contains a mask and a margin, limited to the field of view.

        Args:
            mask: (i, j, k), on `outer`.
            outer: grid of the scan.
            margin_mm: width of the margin.

        Raises:
            InputRefused: `EMPTY_MASK`.
        """
        if not mask.any():
            raise InputRefused("EMPTY_MASK", "the mask is empty; give the mask of this scan")
        start, stop = [], []
        for axis, spacing in enumerate(outer.spacing_mm):
            others = tuple(other for other in range(3) if other != axis)
            inside = np.flatnonzero(mask.any(axis=others))
            margin = int(np.ceil(margin_mm / spacing))
            start.append(max(0, int(inside[0]) - margin))
            stop.append(min(mask.shape[axis], int(inside[-1]) + 1 + margin))
        return cls(outer, (start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Returns the box as slices of an array on `outer`."""
        return (
            slice(self.start[0], self.stop[0]),
            slice(self.start[1], self.stop[1]),
            slice(self.start[2], self.stop[2]),
        )

    @property
    def grid(self) -> Grid:
        """Returns the grid of the box."""
        shape = [stop - start for start, stop in zip(self.start, self.stop, strict=True)]
        return self.outer.part(self.start, (shape[0], shape[1], shape[2]))

    def apply(self, volume: Volume) -> Volume:
        """Returns the part of a volume on `outer` inside the box."""
        data = np.ascontiguousarray(volume.data[self.box])
        return Volume(data, self.grid.affine, volume.shows, volume.stored_dtype)

    def invert(self, volume: Volume) -> Volume:
        """Returns a volume on the grid of the box at its position in `outer`, zero elsewhere."""
        data = np.zeros(self.outer.shape, dtype=np.float32)
        data[self.box] = volume.data
        return Volume(data, self.outer.affine, volume.shows, volume.stored_dtype)
