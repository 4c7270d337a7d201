"""Resamples a volume to the voxels of another grid."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage

from voxlate.preparation.registration.transform import Transform
from voxlate.volume import Affine, Array, Grid, Mask, Shape, Volume

Interpolation = Literal["nearest", "linear"]
_ROUNDING = 1e-3  # in voxels; absorbs rounding of the affine at the faces of the field of view
_SIGMA_PER_RATIO = 1 / (2 * np.sqrt(2 * np.log(2)))
"""Standard deviation of a Gaussian whose full width at half maximum is 1."""


def resample(
    volume: Volume,
    grid: Grid,
    transform: Transform | None = None,
    *,
    interpolation: Interpolation = "linear",
    outside: float = 0.0,
    is_smoothed: bool = True,
) -> Volume:
    """Resamples `volume` to the voxels of `grid`.

    Along axes where the new voxels are larger than the old ones, the image is first smoothed against aliasing. The
    full width at half maximum of the Gaussian is the square root of the difference of the squared voxel sizes. Labels
    (`nearest`) are never smoothed. On the same grid without a transform the values are unchanged.

    Args:
        volume: the moving scan, (i, j, k).
        grid: grid of the fixed scan.
        transform: RAS+ millimetres of the fixed scan to those of `volume`; default: identity.
        interpolation: `nearest` for labels and masks, or `linear`.
        outside: value outside the field of view of `volume`.
        is_smoothed: smooth before resampling to larger voxels; published pipelines did not.
    """
    move = transform or Transform.identity()
    if move.is_identity and volume.grid.matches(grid, tolerance_mm=1e-6):
        return Volume(volume.data, grid.affine, volume.shows, volume.stored_dtype)
    to_index = np.linalg.inv(volume.affine) @ move.matrix @ grid.affine
    is_sharp = interpolation == "nearest" or not is_smoothed
    data = volume.data if is_sharp else _without_fine_texture(volume, grid, move)
    values = ndimage.affine_transform(
        data,
        to_index[:3, :3],
        to_index[:3, 3],
        output_shape=grid.shape,
        order=0 if interpolation == "nearest" else 1,
        mode="nearest",
    )
    values = np.asarray(values, dtype=np.float32)
    beyond = _beyond(volume.data.shape, grid.shape, to_index)
    if beyond is not None:
        values[beyond] = outside
    return Volume(values, grid.affine, volume.shows, volume.stored_dtype)


def _beyond(inner: Shape, outer: Shape, to_index: Affine) -> Mask | None:
    """Returns the mask of voxels of `outer` outside the faces of `inner`, or None if there are none.

    A voxel extends half its size around its centre, and has one value there.
    """
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in outer], indexing="ij"), axis=-1).reshape(-1, 3)
    reached = corners @ to_index[:3, :3].T + to_index[:3, 3]
    last = np.array(inner) - 0.5 + _ROUNDING
    if (reached >= -0.5 - _ROUNDING).all() and (reached <= last).all():
        return None
    beyond = np.zeros(outer, dtype=np.bool_)
    axes = np.ogrid[: outer[0], : outer[1], : outer[2]]
    for axis in range(3):
        position = sum(np.float32(to_index[axis, other]) * axes[other] for other in range(3)) + np.float32(
            to_index[axis, 3]
        )
        beyond |= (position < -0.5 - _ROUNDING) | (position > last[axis])
    return beyond


def _without_fine_texture(volume: Volume, grid: Grid, move: Transform) -> Array:
    """Returns the data smoothed along the axes where the Gaussian is wider than half an old voxel."""
    new_axes = move.matrix[:3, :3] @ grid.affine[:3, :3]
    old_axes = volume.affine[:3, :3] / np.array(volume.spacing_mm)
    reach_mm = np.abs(old_axes.T @ new_axes).max(axis=1)
    old_mm = np.array(volume.spacing_mm)
    width_voxels = np.sqrt(np.maximum(reach_mm**2 - old_mm**2, 0)) / old_mm
    sigma = width_voxels * _SIGMA_PER_RATIO
    if not (width_voxels > 0.5).any():
        return volume.data
    smooth: Array = ndimage.gaussian_filter(volume.data, np.where(width_voxels > 0.5, sigma, 0), mode="nearest")
    return smooth
