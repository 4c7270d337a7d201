"""Do two segmentations mark the same voxels?

Both functions take two masks of shape (i, j, k) on one grid. With A and B the sets of their voxels:

    Dice = 2 |A ∩ B| / (|A| + |B|), 0 to 1
    HD95 = the larger 95th percentile of the distances, in mm, from the surface of one mask to that of the other
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.volume import Mask, box_of


def dice(first: Mask, second: Mask) -> float:
    """Returns the Dice coefficient, 0 to 1; NaN when both masks are empty.

    Args:
        first: (i, j, k).
        second: (i, j, k), on the same grid.
    """
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else float("nan")


def hd95(first: Mask, second: Mask, *, spacing_mm: tuple[float, float, float]) -> float:
    """Returns the 95th percentile Hausdorff distance in mm, the larger of both directed distances.

    The surface of a mask is its voxels with a face towards the outside; distances are between voxel centres. NaN when
    one of the masks is empty.

    Args:
        first: (i, j, k).
        second: (i, j, k), on the same grid.
        spacing_mm: of the grid, along the three axes.

    Raises:
        InputRefused: `GRID_MISMATCH`.
    """
    if first.shape != second.shape:
        raise InputRefused("GRID_MISMATCH", f"segmentations have shapes {first.shape} and {second.shape}")
    if not (first.any() and second.any()):
        return float("nan")
    box = box_of(first | second, 1)
    surfaces = [_surface(mask[box]) for mask in (first, second)]
    directed = []
    for one, other in (surfaces, surfaces[::-1]):
        distance = ndimage.distance_transform_edt(~other, sampling=spacing_mm)
        directed.append(float(np.percentile(distance[one], 95)))
    return max(directed)


def _surface(mask: Mask) -> Mask:
    return mask & ~ndimage.binary_erosion(mask)
