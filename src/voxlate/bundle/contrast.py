"""The linear relation between the contrasts of a source and a target, and the difference that it does not explain.

Used to find voxels that contrast agent or disease changed: vessels and lesions.
"""

from __future__ import annotations

import numpy as np

from voxlate.volume import Array, Mask

CHANGED = 0.3
"""A voxel has changed when its images differ by more than this, in relative units, at the same contrast.

Chosen by hand; not tuned. The reason for weighting such voxels is in `docs/decisions.md`.
"""

_STEEPEST = 3.0
"""Largest slope of a contrast line; a source that is nearly constant would give any slope. Chosen by hand."""

Line = tuple[float, float]
"""Slope and intercept."""


def contrast_line(source: Array, target: Array, mask: Mask) -> Line:
    """Returns slope and intercept of the line through the 25th and the 75th percentiles of both images in a mask.

    Contrast agent changes few voxels, in vessels and lesions, and hardly moves these percentiles. The line therefore
    holds the difference between two sequences and not that between the lesions of two patients.

    Args:
        source: (i, j, k), relative units.
        target: the same shape and units.
        mask: the same shape; not empty.
    """
    low_s, high_s = np.percentile(source[mask], (25, 75))
    low_t, high_t = np.percentile(target[mask], (25, 75))
    slope = min(float(high_t - low_t) / max(float(high_s - low_s), 1e-3), _STEEPEST)
    return slope, float(low_t) - slope * float(low_s)


def contrast_difference(source: Array, target: Array, inside: Mask, line: Line) -> Array:
    """Returns slope x source + intercept - target inside a mask, and zero outside.

    Args:
        source: (i, j, k), relative units.
        target: the same shape and units.
        inside: the same shape.
        line: see `contrast_line`.
    """
    slope, intercept = line
    return np.where(inside, slope * source + intercept - target, 0).astype(np.float32)
