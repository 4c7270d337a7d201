"""Resamples a scan to the voxel size that a network was trained on, and the prediction back to the scan's voxels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from voxlate.preparation.steps.resample import resample
from voxlate.volume import Grid, Shape, Volume

SPACING_TOLERANCE = 1.25
"""An axis keeps its voxels if they are at most this many times smaller or larger than those of the training scans.

Interpolation costs more than so small a difference: in training, heads are scaled by several percent, and real heads
differ by more. Chosen by hand; not tuned.
"""


@dataclass(frozen=True)
class Respace:
    """A step that resamples scans from the grid `stored` to `grid`, and back.

    Along an axis with larger voxels than `grid`, as across thick slices, each stored voxel has a voxel of `grid` at its
    own centre, so that `invert` undoes `apply` exactly. Along an axis with smaller voxels, `apply` smooths against
    aliasing, and detail finer than the voxels of `grid` is lost.

    Attributes:
        stored: grid of the scans.
        grid: grid of the result; see `respaced`.
    """

    stored: Grid
    grid: Grid

    def apply(self, volume: Volume) -> Volume:
        """Returns a volume on `stored` resampled to `grid`."""
        return resample(volume, self.grid)

    def invert(self, volume: Volume) -> Volume:
        """Returns a volume on `grid` resampled to `stored`.

        It is sampled at the centres of the stored voxels, not averaged over them: a network that sees an interpolated
        thick slice predicts a thick slice.
        """
        return resample(volume, self.stored, is_smoothed=False)


def respaced(grid: Grid, low_mm: float, high_mm: float) -> Grid:
    """Returns a grid over the same field of view whose voxels are about as large as those of the training scans.

    Axes within `SPACING_TOLERANCE` of the range, and axes of one voxel, are unchanged. A larger voxel is divided into
    a whole number of voxels, of the size nearest to the range, and the centres of the old voxels are kept. Smaller
    voxels become `low_mm`, with the same outer faces but for less than half a voxel.

    Args:
        grid: the grid of a scan.
        low_mm: smallest voxel size seen in training.
        high_mm: largest voxel size seen in training.

    Returns:
        `grid` itself if all axes are unchanged.

    Example:
        >>> thick = Grid((256, 256, 30), np.diag([1.0, 1.0, 5.0, 1.0]))
        >>> respaced(thick, 1.0, 1.0).shape
        (256, 256, 146)
    """
    affine = grid.affine.copy()
    shape = list(grid.shape)
    for axis, (n, mm) in enumerate(zip(grid.shape, grid.spacing_mm, strict=True)):
        if n == 1 or low_mm / SPACING_TOLERANCE <= mm <= high_mm * SPACING_TOLERANCE:
            continue
        step = grid.affine[:3, axis]
        if mm > high_mm:
            parts = _parts(mm, low_mm, high_mm)
            affine[:3, axis] = step / parts
            shape[axis] = (n - 1) * parts + 1
        else:
            shape[axis] = max(1, round(n * mm / low_mm))
            affine[:3, axis] = step * (low_mm / mm)
            affine[:3, 3] += step * ((n - 1) / 2 - (shape[axis] - 1) / 2 * (low_mm / mm))
    new: Shape = (shape[0], shape[1], shape[2])
    return grid if new == grid.shape else Grid(new, affine)


def _parts(mm: float, low_mm: float, high_mm: float) -> int:
    """Returns the number of parts of a voxel that makes their size nearest, by ratio, to the range."""

    def distance(parts: int) -> float:
        return max(low_mm / (mm / parts), (mm / parts) / high_mm, 1.0)

    fewest = math.floor(mm / high_mm)
    return min((fewest, fewest + 1), key=distance)
