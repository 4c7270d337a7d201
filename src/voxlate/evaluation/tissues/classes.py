"""Tissue classes, and the steps that all segmenters share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import InputRefused
from voxlate.volume import Array, Mask, box_of

TISSUES = {"CSF": 1, "GM": 2, "WM": 3}
"""Label of each tissue in a segmentation; 0 is outside the mask."""

BRIGHT = 4
"""Label of voxels brighter than white matter: vessels and enhancement. They are not counted as a tissue."""

Labels = NDArray[np.int8]
Values = NDArray[np.float64]

_LEAST_VOXELS = 1000
"""Smallest mask that is segmented: a histogram of fewer voxels does not show three classes. Chosen by hand."""

_START_SHARES = (0.06, 0.40, 0.80)
"""Quantiles at which the k-means starts: amid CSF, GM and WM of a T1-weighted brain. Chosen by hand, not tuned."""

_START_ROUNDS = 30
"""Rounds of the k-means, more than it needs to converge in one dimension."""

_BRIGHTEST_SHARE = 0.96
"""Values above this quantile are left out of the start: vessels and enhancement. Chosen by hand, not tuned."""

_QUANTILES = 2001
"""Resolution of the k-means; it makes its cost independent of the number of voxels."""


@dataclass(frozen=True)
class Brain:
    """The part of an image that is segmented.

    Attributes:
        values: the image in the smallest box around the mask.
        inside: the mask, of the shape of the box.
        box: position of the box, one slice per axis.
        shape: of the whole image, (i, j, k).
    """

    values: Array
    inside: Mask
    box: tuple[slice, ...]
    shape: tuple[int, ...]

    @classmethod
    def cut(cls, image: Array, mask: Mask) -> Brain:
        """Returns the part of an image around a mask.

        Args:
            image: (i, j, k).
            mask: (i, j, k), the brain.

        Raises:
            InputRefused: `TOO_SMALL` below 1,000 voxels in the mask, `CONSTANT` when all have the same value.
        """
        count = int(mask.sum())
        if count < _LEAST_VOXELS:
            raise InputRefused("TOO_SMALL", f"a mask of {count} voxels cannot be segmented; it needs {_LEAST_VOXELS}")
        if float(np.ptp(image[mask])) == 0:
            raise InputRefused("CONSTANT", "the image is constant in the mask; it cannot be segmented into tissues")
        box = box_of(mask)
        return cls(image[box], mask[box], box, image.shape)

    def whole(self, labels: Labels) -> Labels:
        """Returns labels of the shape of the box as labels of the whole image (i, j, k), 0 outside the mask."""
        result = np.zeros(self.shape, dtype=np.int8)
        result[self.box] = np.where(self.inside, labels, 0)
        return result


def start_means(values: Values) -> Values:
    """Returns initial means of CSF, GM and WM of a T1-weighted image, shape (3,), in rising order.

    They are the centres of a k-means over the quantiles of all but the brightest 4 % of the values, which may be
    vessels and enhancement.

    Args:
        values: (voxels,), the values in the mask.
    """
    ordinary = np.quantile(values, np.linspace(0.005, _BRIGHTEST_SHARE, _QUANTILES))
    centres = np.asarray(np.quantile(ordinary, _START_SHARES), dtype=np.float64)
    for _ in range(_START_ROUNDS):
        nearest = np.abs(ordinary[None] - centres[:, None]).argmin(axis=0)
        centres = np.array(
            [ordinary[nearest == k].mean() if (nearest == k).any() else c for k, c in enumerate(centres)]
        )
    return centres


def neighbour_mean(array: Array) -> Array:
    """Returns the mean over the six neighbours of each voxel of an array (i, j, k); beyond its edge values are 0."""
    total = np.zeros_like(array)
    for axis in range(3):
        ahead = (slice(None),) * axis
        total[(*ahead, slice(1, None))] += array[(*ahead, slice(None, -1))]
        total[(*ahead, slice(None, -1))] += array[(*ahead, slice(1, None))]
    return np.asarray(total / 6, dtype=array.dtype)
