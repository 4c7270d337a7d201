"""Values of a volume at the voxels of another grid."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage

from voxlate.preparation.registration.transform import Transform
from voxlate.volume import Affine, Array, Grid, Mask, Shape, Volume

Interpolation = Literal["nearest", "linear", "cubic"]
_ORDER: dict[Interpolation, Literal[0, 1, 3]] = {"nearest": 0, "linear": 1, "cubic": 3}
_ROUNDING = 1e-3
_SIGMA_PER_RATIO = 1 / (2 * np.sqrt(2 * np.log(2)))
"""A Gaussian whose full width at half maximum is one voxel of the coarser grid has this standard deviation."""


def resample(
    volume: Volume,
    grid: Grid,
    transform: Transform | None = None,
    *,
    interpolation: Interpolation = "linear",
    outside: float = 0.0,
    is_smoothed: bool = True,
) -> Volume:
    """Returns `volume` at the voxels of `grid`.

    Where the new voxels are larger than the old along an axis, the image is smoothed first, with a Gaussian whose
    width completes the old voxel to the new one (square root of the difference of the squared sizes), so that
    fine texture does not alias. Labels (`nearest`) are never smoothed. On the same grid without a
    transform the values come back untouched.

    Args:
        volume: the moving scan.
        grid: of the fixed scan.
        transform: millimetres of the fixed scan to those of `volume`; nothing moves by default.
        interpolation: `nearest` for labels and masks, `linear`, or `cubic` (B-spline; may overshoot).
        outside: the value where `volume` has no voxel.
        is_smoothed: whether larger voxels are prepared for by smoothing; published pipelines did not.
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
        order=_ORDER[interpolation],
        mode="nearest",
    )
    values = np.asarray(values, dtype=np.float32)
    beyond = _beyond(volume.data.shape, grid.shape, to_index)
    if beyond is not None:
        values[beyond] = outside
    return Volume(values, grid.affine, volume.shows, volume.stored_dtype)


def _beyond(inner: Shape, outer: Shape, to_index: Affine) -> Mask | None:
    """Returns which voxels of `outer` lie outside the outer faces of `inner`, or None when none does.

    A voxel reaches half its size beyond its centre; what lies there has its value.
    """
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in outer], indexing="ij"), axis=-1).reshape(-1, 3)
    reached = corners @ to_index[:3, :3].T + to_index[:3, 3]
    last = np.array(inner) - 0.5 + _ROUNDING
    if (reached >= -0.5 - _ROUNDING).all() and (reached <= last).all():
        return None
    beyond = np.zeros(outer, dtype=np.bool_)
    axes = np.ogrid[: outer[0], : outer[1], : outer[2]]
    for axis in range(3):
        place = sum(np.float32(to_index[axis, other]) * axes[other] for other in range(3)) + np.float32(
            to_index[axis, 3]
        )
        beyond |= (place < -0.5 - _ROUNDING) | (place > last[axis])
    return beyond


def _without_fine_texture(volume: Volume, grid: Grid, move: Transform) -> Array:
    """Returns the data smoothed along those axes in which `grid` is coarser."""
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
