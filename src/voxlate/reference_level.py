"""Reference level: the intensity normalisation factor of an MR image, its median inside the brain mask.

MR intensities have no unit. Dividing an image by its reference level gives *relative units*, in which images can be
compared.
"""

from __future__ import annotations

import numpy as np

from voxlate.errors import InputRefused
from voxlate.volume import Array, Mask

REFERENCE_LEVEL_DEFINITION = "median inside the brain mask"

PROBABILITIES = tuple(float(p) for p in np.linspace(0.0, 1.0, 257))
"""Where quantile functions of relative units are sampled; the bundle fits them and the evaluation applies them."""


def reference_level(data: Array, mask: Mask) -> float:
    """Returns the median of `data` inside `mask`, in the image's own units.

    The median of the brain lies between grey and white matter. Contrast agent enhances vessels and lesions, a few per
    cent of the brain, and hardly changes the median; it can double the maximum or the 99.5th percentile.

    Args:
        data: (i, j, k), any unit.
        mask: (i, j, k), the brain.

    Raises:
        InputRefused: `EMPTY_MASK` or `CONSTANT` (one value in the mask), `REFERENCE_LEVEL` (median not above zero).
    """
    inside = data[mask]
    if inside.size == 0:
        raise InputRefused("EMPTY_MASK", "the mask is empty; give the brain mask of this scan")
    if float(inside.min()) == float(inside.max()):
        raise InputRefused("CONSTANT", f"the image has the same value, {float(inside[0]):g}, in all voxels of its mask")
    level = float(np.median(inside))
    if 0 < level < np.finfo(np.float32).tiny:
        raise InputRefused(
            "REFERENCE_LEVEL", f"the median inside the mask is {level:g}, too small for float32; scale it"
        )
    if level <= 0:
        raise InputRefused("REFERENCE_LEVEL", f"the median inside the mask is {level:g}, it must be above 0")
    return level
