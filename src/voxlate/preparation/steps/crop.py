"""Crops scans to a box around the brain; the inverse fills the rest with zeros."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxlate.errors import InputRefused
from voxlate.volume import Grid, Mask, Shape, Volume, box_of


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
        i, j, k = box_of(mask, [int(np.ceil(margin_mm / mm)) for mm in outer.spacing_mm])
        return cls(outer, (i.start, j.start, k.start), (i.stop, j.stop, k.stop))

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Returns the box as slices of an array on `outer`."""
        i, j, k = map(slice, self.start, self.stop)
        return i, j, k

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
