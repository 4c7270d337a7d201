"""The straight line between the contrasts of two images, and what it leaves unexplained."""

from __future__ import annotations

import numpy as np

from voxlate.volume import Array, Mask

CHANGED = 0.3
"""A voxel whose images differ by more than this, in relative units, after both have the same contrast, has changed."""

_STEEPEST = 3.0

Line = tuple[float, float]


def contrast_line(source: Array, target: Array, mask: Mask) -> Line:
    """Returns slope and intercept of the line through the 25th and the 75th percentiles of both images in `mask`.

    Vessels and lesions, the few voxels that contrast agent changes, hardly move these percentiles, so the line
    holds what differs between two sequences and leaves out what differs between two patients' lesions.
    """
    low_s, high_s = np.percentile(source[mask], (25, 75))
    low_t, high_t = np.percentile(target[mask], (25, 75))
    slope = min(float(high_t - low_t) / max(float(high_s - low_s), 1e-3), _STEEPEST)
    return slope, float(low_t) - slope * float(low_s)


def contrast_difference(source: Array, target: Array, inside: Mask, line: Line) -> Array:
    """Returns source minus target where the loss counts, after the source was brought to the target's contrast."""
    slope, intercept = line
    return np.where(inside, slope * source + intercept - target, 0).astype(np.float32)
