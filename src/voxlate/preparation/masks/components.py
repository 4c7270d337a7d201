"""Connected components of a mask."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from voxlate.volume import Mask


def largest_component(mask: Mask) -> Mask:
    """Returns the largest connected component of a mask, (i, j, k), or the mask itself if it has at most one."""
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == int(sizes.argmax()), dtype=np.bool_)
