"""White-matter-like tissue that a lesion's brightness is compared with, and the noise of an image."""

from __future__ import annotations

import numpy as np

from voxlate.errors import InputRefused
from voxlate.volume import Array, Mask

WHITE_MATTER_PERCENTILES = (60.0, 90.0)
"""White matter is the brighter part of a T1-weighted brain; the brightest tenth is left to vessels and fat."""

_LEAST_VOXELS = 100
_MAD_TO_SD = 1.4826


def white_matter_like(source: Array, target: Array, normal: Mask) -> Mask:
    """Returns normal-appearing voxels that lie between the 60th and the 90th percentile of both images.

    Percentiles over the normal-appearing voxels of each image. Both must agree, so that a vessel that is bright
    in one of them alone is left out.

    Raises:
        InputRefused: `NO_REFERENCE` when fewer than 100 voxels remain.
    """
    chosen = normal.copy()
    for image in (source, target):
        low, high = np.percentile(image[normal], WHITE_MATTER_PERCENTILES) if normal.any() else (0.0, 0.0)
        chosen &= (image >= low) & (image <= high)
    count = int(chosen.sum())
    if count < _LEAST_VOXELS:
        raise InputRefused("NO_REFERENCE", f"only {count} voxels look like white matter in source and target alike")
    return chosen


def noise_sd(image: Array, mask: Mask) -> float:
    """Returns the standard deviation of the image's noise, from its finest diagonal detail in the mask.

    The eight voxels of each 2 x 2 x 2 block, with signs that alternate along all three axes, divided by √8: linear
    and smooth structure cancels, independent noise keeps its deviation. The median absolute value over blocks that
    lie wholly in the mask, times 1.4826, is hardly moved by edges (Donoho 1995).

    Raises:
        InputRefused: `EMPTY_MASK` when no block lies in the mask.
    """
    even = tuple(slice(0, size // 2 * 2) for size in image.shape)
    detail, whole = image[even].astype(np.float64), mask[even]
    for axis in range(image.ndim):
        first, second = (((slice(None),) * axis + (slice(start, None, 2),)) for start in (0, 1))
        detail = detail[first] - detail[second]
        whole = whole[first] & whole[second]
    chosen = detail[whole] / np.sqrt(2.0**image.ndim)
    if chosen.size == 0:
        raise InputRefused("EMPTY_MASK", "the mask is too thin for the noise in it to be measured")
    return _MAD_TO_SD * float(np.median(np.abs(chosen)))
