"""Checks of the arrays that similarity metrics compare."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import InputRefused, UsageError
from voxlate.volume import Mask

Image = NDArray[np.floating[Any]]
"""An image of shape (i, j) or (i, j, k) and of any floating type; a metric computes in this type."""


def require_comparable(image: Image, target: Image, mask: Mask | None = None) -> None:
    """Refuses two images that cannot be compared voxel by voxel.

    Args:
        image: the compared image.
        target: of the same shape.
        mask: of the same shape; None for all voxels.

    Raises:
        InputRefused: `GRID_MISMATCH` when the shapes differ, `DIMENSIONS` when they do not have two or three
            dimensions, `EMPTY_MASK` when the mask has no voxel.
    """
    if image.shape != target.shape:
        raise InputRefused("GRID_MISMATCH", f"the image has shape {image.shape}, the target {target.shape}")
    if image.ndim not in (2, 3):
        raise InputRefused("DIMENSIONS", f"a metric compares images of 2 or 3 dimensions, not {image.ndim}")
    if mask is None:
        return
    if mask.shape != target.shape:
        raise InputRefused("GRID_MISMATCH", f"the mask has shape {mask.shape}, the target {target.shape}")
    if not mask.any():
        raise InputRefused("EMPTY_MASK", f"the mask is empty (0 of {mask.size} voxels); give the mask of this scan")


def require_range(data_range: float) -> None:
    """Refuses a data range that is not a positive finite number.

    Raises:
        UsageError: `DATA_RANGE`.
    """
    if not (np.isfinite(data_range) and data_range > 0):
        raise UsageError("DATA_RANGE", f"the data range is {data_range}; it must be a positive number")


def in_mask(image: Image, target: Image, mask: Mask | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the compared voxels of both images as two vectors of float64.

    Args:
        image: the compared image.
        target: of the same shape.
        mask: of the same shape; None for all voxels.

    Raises:
        InputRefused: see `require_comparable`; `NON_FINITE` when a compared voxel is NaN or infinite.
    """
    require_comparable(image, target, mask)
    chosen: Any = ... if mask is None else mask
    first, second = (array[chosen].astype(np.float64).ravel() for array in (image, target))
    bad = int(np.count_nonzero(~np.isfinite(first)) + np.count_nonzero(~np.isfinite(second)))
    if bad:
        raise InputRefused("NON_FINITE", f"{bad} of the compared voxels are NaN or infinite")
    return first, second
