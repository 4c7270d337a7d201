"""Where the brain is, from the source alone."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.volume import Array, Mask

_BACKGROUND_SHARE = 0.05
"""A scan in which fewer voxels than this share are exactly zero still has its skull and its air."""


def nonzero_mask(data: Array) -> Mask:
    """Returns the largest connected region of voxels that are not zero, with its holes filled.

    Meant for skull-stripped scans. Ventricles that a stripping tool set to zero belong to the brain.

    Raises:
        InputRefused: `EMPTY_MASK` (all zero) or `NOT_SKULL_STRIPPED` (hardly a voxel is zero).
    """
    nonzero = data != 0
    if not nonzero.any():
        raise InputRefused("EMPTY_MASK", "every voxel is zero; there is no brain to find")
    zero_share = 1 - float(nonzero.mean())
    if zero_share < _BACKGROUND_SHARE:
        raise InputRefused(
            "NOT_SKULL_STRIPPED", f"only {zero_share:.1%} of the voxels are zero; give a brain mask for this scan"
        )
    labels, count = ndimage.label(nonzero)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        nonzero = labels == int(sizes.argmax())
    filled: Mask = ndimage.binary_fill_holes(nonzero)
    return filled
