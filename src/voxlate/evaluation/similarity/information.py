"""Do both images vary together, whatever their scales?

Normalised mutual information (Studholme 1999), from the joint histogram of the compared voxels:

    NMI = (H(X) + H(Y)) / H(X, Y),    1 (independent) to 2 (one is a function of the other)

Local correlation: Pearson's r in a Gaussian window around each voxel, averaged over the compared voxels, −1 to 1. A
gain or an offset that varies slowly over the image does not change it.

Both take images of shape (i, j) or (i, j, k) and a mask of the same shape, and have no unit.
"""

from __future__ import annotations

import numpy as np

from voxlate.errors import InputRefused
from voxlate.evaluation.similarity.arrays import Image, box_of, in_mask, require_comparable
from voxlate.evaluation.similarity.structural import GAUSSIAN
from voxlate.information import normalised_information
from voxlate.volume import Mask

NMI_BINS = 64
"""A usual number of bins; chosen by hand, not tuned. More bins raise the NMI of small masks."""


def nmi(image: Image, target: Image, *, mask: Mask | None = None, bins: int = NMI_BINS) -> float:
    """Returns the normalised mutual information, 1 to 2.

    Args:
        image: the compared image.
        target: of the same shape.
        mask: compared voxels; None for all.
        bins: number of equal bins of each image, from its smallest to its largest compared value.

    Raises:
        InputRefused: see `in_mask`; `CONSTANT` when both images are constant, so that the entropies are 0.
    """
    first, second = in_mask(image, target, mask)
    joint, _, _ = np.histogram2d(first, second, bins=bins)
    if np.count_nonzero(joint) == 1:
        raise InputRefused("CONSTANT", "both images are constant in the mask; their mutual information is not defined")
    return normalised_information(joint)


def local_correlation(image: Image, target: Image, *, mask: Mask | None = None) -> float:
    """Returns the mean of Pearson's r in a Gaussian window (sigma 1.5, 11 wide) around each compared voxel.

    A window in which one of the images is constant counts as 0.

    Args:
        image: the compared image.
        target: of the same shape.
        mask: compared voxels; None for all whose window lies within the image.

    Raises:
        InputRefused: as `ssim`.
    """
    require_comparable(image, target, mask)
    GAUSSIAN.require_fit(image.shape)
    box = (slice(None),) * image.ndim if mask is None else box_of(mask, GAUSSIAN.radius)
    x, y = (array[box].astype(np.float64) for array in (image, target))
    mean_x, mean_y = GAUSSIAN.mean(x), GAUSSIAN.mean(y)
    covariance = GAUSSIAN.mean(x * y) - mean_x * mean_y
    variance = (GAUSSIAN.mean(x * x) - mean_x**2).clip(0) * (GAUSSIAN.mean(y * y) - mean_y**2).clip(0)
    # A product of variances that is rounding error is that of a constant window.
    is_varied = variance > (1e-12 * (float(np.square(x).mean()) * float(np.square(y).mean())))
    r = np.divide(covariance, np.sqrt(variance), out=np.zeros_like(covariance), where=is_varied)
    chosen = r[GAUSSIAN.interior(r.ndim) if mask is None else mask[box]]
    return float(chosen.mean())
