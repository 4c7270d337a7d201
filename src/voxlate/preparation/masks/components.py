"""Connected components of a mask, and its holes."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from voxlate.volume import Mask, box_of


def largest_component(mask: Mask) -> Mask:
    """Returns the largest connected component of a mask, (i, j, k), or the mask itself if it has at most one."""
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == int(sizes.argmax()), dtype=np.bool_)


def fill_holes(mask: Mask) -> Mask:
    """Returns the mask, (i, j, k), with its holes: background that shares no face-connected path with the edge.

    It is `scipy.ndimage.binary_fill_holes`, which widens the outside step by step; here the background of the mask's
    box is labelled once. Outside the box all background reaches the edge.
    """
    if not mask.any():
        return mask.copy()
    box = box_of(mask)
    labels, _ = ndimage.label(~np.pad(mask[box], 1))
    filled = np.zeros_like(mask)
    filled[box] = (labels != labels[0, 0, 0])[1:-1, 1:-1, 1:-1]
    return filled
