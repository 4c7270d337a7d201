"""Absolute error inside a mask: plain (L1), and smoothed at zero (Charbonnier et al., ICIP 1994)."""

from __future__ import annotations

import torch
from torch import Tensor

from voxlate.losses.masked_mean import masked_mean


def l1(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean of |synthetic − target| over the voxels of `mask`, a scalar from 0; 0 for an empty mask.

    Args:
        synthetic: (B, C, D, H, W).
        target: the same shape.
        mask: (B, 1, D, H, W), the weight of each voxel; 0 outside.

    Example:
        >>> target, mask = torch.zeros(1, 1, 2, 2, 2), torch.zeros(1, 1, 2, 2, 2)
        >>> mask[..., 0] = 1
        >>> l1(target + 0.5, target, mask).item()
        0.5
    """
    return masked_mean((synthetic - target).abs(), mask)


def charbonnier(synthetic: Tensor, target: Tensor, mask: Tensor, rounding: float = 1e-3) -> Tensor:
    """Returns the mean of sqrt(d^2 + rounding^2) − rounding, d the difference, over `mask`; 0 for an empty mask.

    Args:
        synthetic: (B, C, D, H, W).
        target: the same shape.
        mask: (B, 1, D, H, W), the weight of each voxel; 0 outside.
        rounding: difference below which the penalty turns from linear to quadratic, in the unit of the images.
    """
    return masked_mean(torch.sqrt((synthetic - target).square() + rounding**2) - rounding, mask)
