"""Mean squared error inside a mask."""

from __future__ import annotations

from torch import Tensor


def mse(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean of (synthetic − target)^2 over the voxels of `mask`; 0 for an empty mask.

    Shapes as in `voxlate.losses.l1`.
    """
    weight = mask.expand_as(target)
    return ((synthetic - target).square() * weight).sum() / weight.sum().clamp(min=1)
