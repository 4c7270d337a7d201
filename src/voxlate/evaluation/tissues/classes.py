"""The tissues that are told apart, and what all ways to do so have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import InputRefused
from voxlate.evaluation.similarity.arrays import box_of
from voxlate.volume import Array, Mask

TISSUES = {"CSF": 1, "GM": 2, "WM": 3}
"""Label of each tissue in a segmentation; 0 is outside the mask."""

BRIGHT = 4
"""Label of what is brighter than white matter: vessels and enhancement. It belongs to no tissue."""

Labels = NDArray[np.int8]
Values = NDArray[np.float64]

_LEAST_VOXELS = 1000
_START_SHARES = (0.06, 0.40, 0.80)
_START_ROUNDS = 30
_BRIGHTEST_SHARE = 0.96
_QUANTILES = 2001


@dataclass(frozen=True)
class Brain:
    """The part of an image that is segmented.

    Attributes:
        values: the image in the mask's box.
        inside: the mask in that box.
        box: where the box is.
        shape: of the whole image.
    """

    values: Array
    inside: Mask
    box: tuple[slice, ...]
    shape: tuple[int, ...]

    @classmethod
    def cut(cls, image: Array, mask: Mask) -> Brain:
        """Returns the mask's box of an image.

        Raises:
            InputRefused: `TOO_SMALL` below 1,000 voxels, `CONSTANT` when they have one value.
        """
        count = int(mask.sum())
        if count < _LEAST_VOXELS:
            raise InputRefused("TOO_SMALL", f"a mask of {count} voxels cannot be segmented into tissues")
        if float(np.ptp(image[mask])) == 0:
            raise InputRefused("CONSTANT", "a constant image cannot be segmented into tissues")
        box = box_of(mask)
        return cls(image[box], mask[box], box, image.shape)

    def whole(self, labels: Labels) -> Labels:
        """Returns labels of the box as labels of the whole image, 0 outside the mask."""
        result = np.zeros(self.shape, dtype=np.int8)
        result[self.box] = np.where(self.inside, labels, 0)
        return result


def start_means(values: Values) -> Values:
    """Returns first guesses of the means of CSF, GM and WM of a T1-weighted image.

    The centres of a k-means over quantiles of all but the brightest 4 %, which are left to vessels and enhancement.
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
    """Returns the mean over the six neighbours of each voxel; beyond the box there is 0."""
    total = np.zeros_like(array)
    for axis in range(3):
        ahead = (slice(None),) * axis
        total[(*ahead, slice(1, None))] += array[(*ahead, slice(None, -1))]
        total[(*ahead, slice(None, -1))] += array[(*ahead, slice(1, None))]
    return np.asarray(total / 6, dtype=array.dtype)
