"""Reorders array axes to right, anterior, superior (RAS+) by permutation and flips; the inverse is exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from voxlate.volume import Grid, Volume


@dataclass(frozen=True)
class ToRas:
    """Reorders the voxels of scans so that the array axes are nearest to right, anterior, superior.

    Values are moved, never interpolated.

    Attributes:
        stored: grid of the scans.
    """

    stored: Grid

    @property
    def grid(self) -> Grid:
        """Returns the grid of the result of `apply`."""
        orientation = io_orientation(self.stored.affine)
        shape = [0, 0, 0]
        for axis, (target_axis, _) in enumerate(orientation):
            shape[int(target_axis)] = self.stored.shape[axis]
        return Grid((shape[0], shape[1], shape[2]), self.stored.affine @ inv_ornt_aff(orientation, self.stored.shape))

    def apply(self, volume: Volume) -> Volume:
        """Returns a volume on `stored` in RAS+ order."""
        data = apply_orientation(volume.data, io_orientation(self.stored.affine))
        return Volume(np.ascontiguousarray(data), self.grid.affine, volume.shows, volume.stored_dtype)

    def invert(self, volume: Volume) -> Volume:
        """Returns a volume on `grid` in the stored order."""
        orientation = io_orientation(self.stored.affine)
        back = np.empty_like(orientation)
        for axis, (target_axis, flip) in enumerate(orientation):
            back[int(target_axis)] = axis, flip
        data = apply_orientation(volume.data, back)
        return Volume(np.ascontiguousarray(data), self.stored.affine, volume.shows, volume.stored_dtype)
