"""Do both images vary together, whatever their scales?

Normalised mutual information (Studholme 1999), from the joint histogram of the compared voxels:

    NMI = (H(X) + H(Y)) / H(X, Y),    1 (independent) to 2 (one is a function of the other)

Local correlation: Pearson's r in a Gaussian window around each voxel, averaged over the compared voxels, −1 to 1. A
gain or an offset that varies slowly over the image does not change it.

Both take images of shape (i, j) or (i, j, k) and a mask of the same shape, and have no unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import InputRefused
from voxlate.evaluation.similarity.arrays import Image, in_mask, require_comparable
from voxlate.evaluation.similarity.moments import GAUSSIAN, JointMoments, Place
from voxlate.mutual_information import normalised_information
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
    first, second = (Binned.of(values, bins) for values in in_mask(image, target, mask))
    return shared_information(first, second)


@dataclass(frozen=True)
class Binned:
    """The compared voxels of an image, sorted into equal bins.

    Attributes:
        index: (voxels,), bin of each voxel, from 0.
        bins: number of bins.
    """

    index: NDArray[np.intp]
    bins: int

    @classmethod
    def of(cls, values: NDArray[np.float64], bins: int = NMI_BINS) -> Binned:
        """Returns the bins of values (voxels,), as `np.histogram2d` sorts them: the last bin holds its upper edge.

        The bin is computed and corrected by the edges next to it, because a search for each voxel is slow.
        """
        low, high = float(values.min()), float(values.max())
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges = np.linspace(low, high, bins + 1)
        index = ((values - low) * (bins / (high - low))).astype(np.intp).clip(0, bins - 1)
        index -= values < edges[index]
        index += (values >= edges[index + 1]) & (index < bins - 1)
        return cls(index, bins)


def shared_information(first: Binned, second: Binned) -> float:
    """Returns the normalised mutual information of two binned images, 1 to 2.

    Args:
        first: of one image.
        second: of the other, at the same voxels.

    Raises:
        InputRefused: `CONSTANT` when both images are constant.
    """
    cells = first.index * second.bins + second.index
    joint = np.bincount(cells, minlength=first.bins * second.bins).reshape(first.bins, second.bins)
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
    place = Place.of(mask, image.ndim)
    first, second = (place.moments(array, dtype=np.float64) for array in (image, target))
    return float(JointMoments(first, second).correlation().mean())
