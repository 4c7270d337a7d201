"""Intensity scaling: the data range L of a target, and linear fits of an image to its target."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import InputRefused
from voxlate.volume import Array, Mask

MAD_TO_SD = 1.4826
"""Standard deviation of normal values over their median absolute deviation."""

RANGE_PERCENTILE = 99.5
"""Instead of the maximum, which single bright voxels set."""

_ROUNDS, _KEPT_PERCENT = 3, 90.0
"""Of the robust fit. A tenth is more than lesions and vessels of a brain take; chosen by hand, not tuned."""


def range_of(target: Array, mask: Mask) -> float:
    """Returns L, the 99.5th percentile of the target in the mask, in the unit of the target.

    Args:
        target: (i, j, k).
        mask: (i, j, k).

    Raises:
        InputRefused: `EMPTY_MASK`, `CONSTANT` when the target is constant in the mask, `DATA_RANGE` when L is not
            above 0.
    """
    inside = target[mask]
    if inside.size == 0:
        raise InputRefused("EMPTY_MASK", "the mask has no voxel; give the mask of this scan")
    if float(inside.min()) == float(inside.max()):
        raise InputRefused("CONSTANT", f"the target has the one value {float(inside[0]):g} inside the mask")
    level = float(np.percentile(inside, RANGE_PERCENTILE))
    if level <= 0:
        raise InputRefused(
            "DATA_RANGE", f"the 99.5th percentile of the target is {level:g}; state a range for calibrated images"
        )
    return level


def shown_range(target: Array, mask: Mask) -> tuple[float, float]:
    """Returns the lowest and highest value at which a target and its synthetic images are shown, in their unit.

    From 0, or the target's 0.5th percentile where that is below 0, to 1.1 times its 99.5th percentile, so that values
    somewhat brighter than the target's are not clipped.

    Args:
        target: (i, j, k).
        mask: (i, j, k), not empty.
    """
    inside = target[mask]
    low = min(0.0, float(np.percentile(inside, 0.5)))
    return low, 1.1 * float(np.percentile(inside, RANGE_PERCENTILE))


def linear_fit(image: Array, target: Array, mask: Mask) -> tuple[float, float]:
    """Returns gain and offset of the least squares fit gain · image + offset ≈ target in the mask.

    A constant image has gain 0 and the target's mean as its offset.

    Args:
        image: (i, j, k).
        target: (i, j, k).
        mask: (i, j, k), fitted voxels.
    """
    return line_through(image[mask].astype(np.float64), target[mask].astype(np.float64))


def line_through(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Returns gain and offset of the least squares line y = gain · x + offset of two vectors; gain 0 for constant x.

    Args:
        x: (n,), not empty.
        y: (n,).
    """
    centred = x - x.mean()
    variance = float(centred @ centred)
    gain = float(centred @ (y - y.mean())) / variance if variance > 0 else 0.0
    return gain, float(y.mean() - gain * x.mean())


def median(values: NDArray[Any]) -> float:
    """Returns the median of a vector, not empty: the value of `np.median` by one partition in place of three."""
    middle = values.size // 2
    parted = np.partition(values, middle)
    upper = parted[middle]
    return float(upper if values.size % 2 else (parted[:middle].max() + upper) / 2)


def fitted(image: Array, target: Array, mask: Mask) -> Array:
    """Returns the image after its least squares fit to the target in the mask, in the target's unit.

    Args:
        image: (i, j, k).
        target: (i, j, k).
        mask: (i, j, k), fitted voxels.
    """
    gain, offset = linear_fit(image, target, mask)
    return np.asarray(gain * image + offset, dtype=np.float32)


def robustly_fitted(image: Array, target: Array, mask: Mask) -> Array:
    """Returns the image (i, j, k) after a linear fit to the 90 % of the mask's voxels that the fit describes best.

    Each of three rounds leaves out the 10 % of the voxels that are farthest from the previous fit, so that an enhancing
    lesion or a vessel does not influence the fit.

    Args:
        image: (i, j, k).
        target: (i, j, k).
        mask: (i, j, k).
    """
    chosen = mask
    for _ in range(_ROUNDS):
        gain, offset = linear_fit(image, target, chosen)
        distance = np.abs(gain * image + offset - target)
        chosen = mask & (distance <= np.percentile(distance[mask], _KEPT_PERCENT))
    return fitted(image, target, chosen)
