"""Reference values of an image: white-matter-like tissue, which lesions are compared with, and the noise."""

from __future__ import annotations

import numpy as np

from voxlate.errors import InputRefused
from voxlate.evaluation.cases.intensity import MAD_TO_SD
from voxlate.volume import Array, Mask

WHITE_MATTER_PERCENTILES = (60.0, 90.0)
"""White matter is the brighter part of a T1-weighted brain; the brightest tenth may be vessels. Chosen by hand."""

_LEAST_VOXELS = 100
"""The mean of 100 voxels has a tenth of the noise of one."""


def white_matter_like(source: Array, target: Array, normal: Mask) -> Mask:
    """Returns the normal-appearing voxels that lie between the 60th and the 90th percentile of both images.

    Percentiles are over the normal-appearing voxels of each image. A vessel that is bright in one of the images only is
    left out.

    Args:
        source: (i, j, k).
        target: (i, j, k), on the same grid; its unit may differ.
        normal: (i, j, k), normal-appearing voxels.

    Raises:
        InputRefused: `NO_REFERENCE` when fewer than 100 voxels remain.
    """
    chosen = normal.copy()
    for image in (source, target):
        low, high = np.percentile(image[normal], WHITE_MATTER_PERCENTILES) if normal.any() else (0.0, 0.0)
        chosen &= (image >= low) & (image <= high)
    count = int(chosen.sum())
    if count < _LEAST_VOXELS:
        raise InputRefused(
            "NO_REFERENCE",
            f"only {count} voxels look like white matter in both source and target (at least {_LEAST_VOXELS})",
        )
    return chosen


def noise_sd(image: Array, mask: Mask) -> float:
    """Returns the standard deviation of the noise, in the unit of the image, from the finest diagonal detail.

    The eight voxels of each 2 x 2 x 2 block are added with signs that alternate along all three axes, and divided by
    √8: linear and smooth structure cancels, independent noise keeps its standard deviation. The median absolute value
    over the blocks within the mask, times 1.4826, is robust against edges (Donoho 1995). An axis of one voxel is left
    out: a single slice has blocks of 2 x 2.

    Args:
        image: (i, j, k).
        mask: (i, j, k).

    Raises:
        InputRefused: `EMPTY_MASK` when no block lies within the mask.
    """
    axes = [axis for axis, size in enumerate(image.shape) if size > 1]
    even = tuple(slice(0, size // 2 * 2 if size > 1 else 1) for size in image.shape)
    detail, whole = image[even].astype(np.float64), mask[even]
    for axis in axes:
        first, second = (((slice(None),) * axis + (slice(start, None, 2),)) for start in (0, 1))
        detail = detail[first] - detail[second]
        whole = whole[first] & whole[second]
    chosen = detail[whole] / np.sqrt(2.0 ** len(axes))
    if chosen.size == 0:
        raise InputRefused(
            "EMPTY_MASK",
            "the mask holds no block of 2 x 2 x 2 voxels, so the noise cannot be measured; give the mask of this scan",
        )
    return MAD_TO_SD * float(np.median(np.abs(chosen)))
