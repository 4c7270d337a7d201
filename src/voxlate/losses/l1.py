"""Mean absolute error inside a mask."""

from __future__ import annotations

from torch import Tensor


def l1(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean of |synthetic − target| over the voxels of `mask`; 0 for an empty mask.

    Args:
        synthetic: (B, C, D, H, W).
        target: the same shape.
        mask: (B, 1, D, H, W), 0 outside; inside, the weight of each voxel.
    """
    weight = mask.expand_as(target)
    return ((synthetic - target).abs() * weight).sum() / weight.sum().clamp(min=1)
