"""Mean squared error inside a mask."""

from __future__ import annotations

from torch import Tensor

from voxlate.losses.masked_mean import masked_mean


def mse(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean of (synthetic − target)^2 over the voxels of `mask`, a scalar from 0; 0 for an empty mask.

    Args:
        synthetic: (B, C, D, H, W).
        target: the same shape.
        mask: (B, 1, D, H, W), the weight of each voxel; 0 outside.
    """
    return masked_mean((synthetic - target).square(), mask)
