"""Axes in the order right, anterior, superior: a permutation and flips, undone exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from voxlate.volume import Grid, Volume


@dataclass(frozen=True)
class ToRas:
    """Reorders the voxels of scans on `stored` so that the axes point nearest to right, anterior, superior.

    Values are moved, never interpolated.
    """

    stored: Grid

    @property
    def grid(self) -> Grid:
        """Returns the grid of what `apply` gives."""
        orientation = io_orientation(self.stored.affine)
        shape = [0, 0, 0]
        for axis, (target_axis, _) in enumerate(orientation):
            shape[int(target_axis)] = self.stored.shape[axis]
        return Grid((shape[0], shape[1], shape[2]), self.stored.affine @ inv_ornt_aff(orientation, self.stored.shape))

    def apply(self, volume: Volume) -> Volume:
        """Returns `volume`, which lies on `stored`, in the new order."""
        data = apply_orientation(volume.data, io_orientation(self.stored.affine))
        return Volume(np.ascontiguousarray(data), self.grid.affine, volume.shows, volume.stored_dtype)

    def invert(self, volume: Volume) -> Volume:
        """Returns `volume`, which lies on `grid`, in the stored order."""
        orientation = io_orientation(self.stored.affine)
        back = np.empty_like(orientation)
        for axis, (target_axis, flip) in enumerate(orientation):
            back[int(target_axis)] = axis, flip
        data = apply_orientation(volume.data, back)
        return Volume(np.ascontiguousarray(data), self.stored.affine, volume.shows, volume.stored_dtype)
