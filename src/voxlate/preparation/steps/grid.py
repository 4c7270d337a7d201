"""Grids over the same field of view with other voxels, and arrays brought to a fixed size; each undone exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.steps.resample import Interpolation, resample
from voxlate.volume import Grid, Shape, Volume

Floats = NDArray[np.float64]


def coarser(grid: Grid, spacing_mm: float) -> Grid:
    """Returns a grid over the same field of view with no voxel finer than `spacing_mm`; `grid` itself if none is.

    Axes that are less than a fifth finer stay as they are.
    """
    factors = np.array([spacing_mm / mm if spacing_mm / mm > 1.2 else 1.0 for mm in grid.spacing_mm])
    return grid if (factors == 1).all() else _scaled(grid, factors)


def resized(grid: Grid, shape: Shape) -> Grid:
    """Returns a grid of `shape` voxels over exactly the same field of view, outer face to outer face.

    This is where `torch.nn.functional.interpolate` with `align_corners=False` puts its voxels.
    """
    factors = np.array(grid.shape, dtype=np.float64) / np.array(shape, dtype=np.float64)
    return _placed(grid, factors, shape)


def centred(grid: Grid, shape: Shape) -> Grid:
    """Returns a grid of `shape` voxels of the same size about the same centre, cut or padded on both sides alike.

    Where one voxel is left over, it goes to the far side.
    """
    start = [int(np.trunc((n - wanted) / 2)) for n, wanted in zip(grid.shape, shape, strict=True)]
    return grid.part(start, shape)


@dataclass(frozen=True)
class OnGrid:
    """A step that brings scans on `stored` to `grid`, and back.

    Attributes:
        stored: where scans come from.
        grid: where they go to.
        transform: millimetres of `grid` to those of `stored`.
        interpolation: for the way there; the way back is `linear` for images, and `nearest` when this is.
        is_smoothed: see `resample`.
    """

    stored: Grid
    grid: Grid
    transform: Transform
    interpolation: Interpolation = "linear"
    is_smoothed: bool = True

    def apply(self, volume: Volume) -> Volume:
        """Returns `volume`, which lies on `stored`, on `grid`."""
        return resample(
            volume, self.grid, self.transform, interpolation=self.interpolation, is_smoothed=self.is_smoothed
        )

    def invert(self, volume: Volume) -> Volume:
        """Returns `volume`, which lies on `grid`, on `stored`; zero where `grid` does not reach."""
        back: Interpolation = "nearest" if self.interpolation == "nearest" else "linear"
        return resample(volume, self.stored, self.transform.inverse, interpolation=back)


def _scaled(grid: Grid, factors: Floats) -> Grid:
    shape = [max(1, round(n / factor)) for n, factor in zip(grid.shape, factors, strict=True)]
    return _placed(grid, factors, (shape[0], shape[1], shape[2]))


def _placed(grid: Grid, factors: Floats, shape: Shape) -> Grid:
    """Returns voxels `factors` times as large about the centre of `grid`."""
    affine = grid.affine.copy()
    affine[:3, :3] = affine[:3, :3] * factors
    middle = grid.affine @ np.array([*((np.array(grid.shape) - 1) / 2), 1.0])
    affine[:3, 3] = middle[:3] - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)
