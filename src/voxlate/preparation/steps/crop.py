"""The box around the brain; what was cut away comes back as zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxlate.errors import InputRefused
from voxlate.volume import Grid, Mask, Shape, Volume


@dataclass(frozen=True)
class Crop:
    """Keeps the voxels from `start` up to, not including, `stop` of scans on `outer`."""

    outer: Grid
    start: Shape
    stop: Shape

    @classmethod
    def around(cls, mask: Mask, outer: Grid, *, margin_mm: float) -> Crop:
        """Returns the smallest box that holds `mask` and `margin_mm` around it, cut off at the border.

        Raises:
            InputRefused: `EMPTY_MASK`.
        """
        if not mask.any():
            raise InputRefused("EMPTY_MASK", "the mask has no voxel; give the mask of this scan")
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
        """Returns the index that cuts the box out of an array on `outer`."""
        return (
            slice(self.start[0], self.stop[0]),
            slice(self.start[1], self.stop[1]),
            slice(self.start[2], self.stop[2]),
        )

    @property
    def grid(self) -> Grid:
        """Returns the grid of what `apply` gives."""
        shape = [stop - start for start, stop in zip(self.start, self.stop, strict=True)]
        return self.outer.part(self.start, (shape[0], shape[1], shape[2]))

    def apply(self, volume: Volume) -> Volume:
        """Returns the part of `volume`, which lies on `outer`, inside the box."""
        data = np.ascontiguousarray(volume.data[self.box])
        return Volume(data, self.grid.affine, volume.shows, volume.stored_dtype)

    def invert(self, volume: Volume) -> Volume:
        """Returns `volume` in its place on `outer`, zero elsewhere."""
        data = np.zeros(self.outer.shape, dtype=np.float32)
        data[self.box] = volume.data
        return Volume(data, self.outer.affine, volume.shows, volume.stored_dtype)
