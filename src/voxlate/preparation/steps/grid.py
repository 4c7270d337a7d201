"""Makes grids with other voxel sizes over the same field of view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxlate.volume import Grid, Shape

Floats = NDArray[np.float64]


def coarser(grid: Grid, spacing_mm: float) -> Grid:
    """Returns a grid over the same field of view with voxels of at least `spacing_mm`; `grid` itself if it fits.

    An axis stays unchanged unless `spacing_mm` exceeds its spacing by more than a fifth, a limit chosen by hand.

    Args:
        grid: the grid of a scan.
        spacing_mm: smallest voxel size of the result.
    """
    factors = np.array([spacing_mm / mm if spacing_mm / mm > 1.2 else 1.0 for mm in grid.spacing_mm])
    return grid if (factors == 1).all() else _scaled(grid, factors)


def resized(grid: Grid, shape: Shape) -> Grid:
    """Returns a grid of `shape` voxels over exactly the same field of view, outer face to outer face.

    `torch.nn.functional.interpolate` with `align_corners=False` places its voxels in the same way.

    Args:
        grid: the grid of a scan.
        shape: number of voxels along each axis.
    """
    factors = np.array(grid.shape, dtype=np.float64) / np.array(shape, dtype=np.float64)
    return _placed(grid, factors, shape)


def centred(grid: Grid, shape: Shape) -> Grid:
    """Returns a grid of `shape` voxels with the same voxel size and centre, cropped or padded on both sides.

    An odd voxel is cropped or added at the far side.

    Args:
        grid: the grid of a scan.
        shape: number of voxels along each axis.
    """
    start = [int(np.trunc((n - size) / 2)) for n, size in zip(grid.shape, shape, strict=True)]
    return grid.part(start, shape)


def _scaled(grid: Grid, factors: Floats) -> Grid:
    shape = [max(1, round(n / factor)) for n, factor in zip(grid.shape, factors, strict=True)]
    return _placed(grid, factors, (shape[0], shape[1], shape[2]))


def _placed(grid: Grid, factors: Floats, shape: Shape) -> Grid:
    """Returns a grid with voxels `factors` times as large and the same centre as `grid`."""
    affine = grid.affine.copy()
    affine[:3, :3] = affine[:3, :3] * factors
    middle = grid.affine @ np.array([*((np.array(grid.shape) - 1) / 2), 1.0])
    affine[:3, 3] = middle[:3] - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)
