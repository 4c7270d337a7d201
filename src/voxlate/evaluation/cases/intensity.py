"""In which unit images are compared, and what is left of their difference once the scale is right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import InputRefused
from voxlate.volume import Array, Mask

RANGE_PERCENTILE = 99.5

_ROUNDS = 3
_KEPT_PERCENT = 90.0


def range_of(target: Array, mask: Mask) -> float:
    """Returns L, the 99.5th percentile of the target inside the mask, in the target's unit.

    Raises:
        InputRefused: `CONSTANT` when the target has one value in the mask, `DATA_RANGE` when L is not above 0.
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


def linear_fit(image: Array, target: Array, mask: Mask) -> tuple[float, float]:
    """Returns the gain and the offset for which gain · image + offset is nearest the target in the mask.

    Least squares. A constant image has gain 0 and the target's mean as its offset.
    """
    return line_through(image[mask].astype(np.float64), target[mask].astype(np.float64))


def line_through(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Returns gain and offset of the least squares line y = gain · x + offset; gain 0 where x does not vary."""
    centred = x - x.mean()
    variance = float(centred @ centred)
    gain = float(centred @ (y - y.mean())) / variance if variance > 0 else 0.0
    return gain, float(y.mean() - gain * x.mean())


def fitted(image: Array, target: Array, mask: Mask) -> Array:
    """Returns the image after its best linear fit to the target in the mask."""
    gain, offset = linear_fit(image, target, mask)
    return np.asarray(gain * image + offset, dtype=np.float32)


def robustly_fitted(image: Array, target: Array, mask: Mask) -> Array:
    """Returns the image after the linear fit to the nine tenths of the mask that follow it best.

    Three rounds, each leaving out the tenth of voxels furthest from the fit before, so that an enhancing lesion
    or a vessel does not pull the whole image towards itself.
    """
    chosen = mask
    for _ in range(_ROUNDS):
        gain, offset = linear_fit(image, target, chosen)
        distance = np.abs(gain * image + offset - target)
        chosen = mask & (distance <= np.percentile(distance[mask], _KEPT_PERCENT))
    return fitted(image, target, chosen)
