"""Smooth multiplicative bias field: the ratio of the values to those that their tissues explain (Wells et al. 1996).

The field is estimated on every few voxels, smoothed, and interpolated.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from voxlate.evaluation.tissues.classes import Values
from voxlate.volume import Array, Mask

SIGMA_MM = 25.0
"""Smoothness of the field: coil profiles vary over centimetres, tissues over millimetres. Chosen by hand, not tuned."""

STEP_MM = 4.0
"""Distance of the voxels at which the field is estimated, a sixth of its smoothness."""

Steps = tuple[slice, ...]


def coarse_steps(spacing_mm: tuple[float, float, float]) -> Steps:
    """Returns the voxels at which the field is estimated, some 4 mm apart, as one slice per axis."""
    return tuple(slice(None, None, max(round(STEP_MM / spacing), 1)) for spacing in spacing_mm)


def bias_field(
    values: Array, parts: Array, means: Values, inside: Mask, *, spacing_mm: tuple[float, float, float]
) -> Array:
    """Returns the factor (i, j, k) of the values at every voxel; 1 where no voxel of a tissue is nearby.

    Args:
        values: (i, j, k).
        parts: (4, ...), how likely CSF, GM, WM and bright are at the voxels of `coarse_steps`, to any factor.
        means: (3,), of CSF, GM and WM.
        inside: (i, j, k), the mask.
        spacing_mm: of the whole image, along the three axes.
    """
    steps = coarse_steps(spacing_mm)
    share = parts / parts.sum(axis=0)
    expected = np.tensordot(means.astype(np.float32), share[:3], axes=1) / np.maximum(share[:3].sum(axis=0), 1e-6)
    weight = (1 - share[3]) * inside[steps]
    # A factor beyond 2 is another tissue, not a coil profile; below a tenth of the weight there is nothing to estimate.
    ratio = np.clip(values[steps] / np.maximum(expected, 1e-6), 0.5, 2.0)
    sigma = [SIGMA_MM / (spacing * (step.step or 1)) for spacing, step in zip(spacing_mm, steps, strict=True)]
    total = ndimage.gaussian_filter(weight * ratio, sigma, mode="constant")
    smooth = total / np.maximum(ndimage.gaussian_filter(weight, sigma, mode="constant"), 1e-6)
    factor = np.where(smooth > 0.1, smooth, 1.0).astype(np.float32)
    return _spread(factor, steps, values.shape)


def _spread(coarse: Array, steps: Steps, shape: tuple[int, ...]) -> Array:
    """Returns a field that is given at every step-th voxel, linearly interpolated to all voxels of `shape`."""
    result = coarse
    for axis, (step, size) in enumerate(zip(steps, shape, strict=True)):
        position = np.minimum(np.arange(size) / step.step, result.shape[axis] - 1)
        before = np.floor(position).astype(np.intp)
        after = np.minimum(before + 1, result.shape[axis] - 1)
        share = (position - before).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        result = result.take(before, axis) * (1 - share) + result.take(after, axis) * share
    return np.asarray(result, dtype=np.float32)
