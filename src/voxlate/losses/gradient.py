"""Difference of the gradients of two images inside a mask, which keeps edges sharp."""

from __future__ import annotations

import torch
from torch import Tensor


def gradient(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean absolute difference of neighbouring-voxel differences along each axis; 0 for an empty mask.

    Only pairs of neighbours that both lie in `mask` count. Shapes as in `voxlate.losses.l1`.
    """
    total, count = synthetic.new_zeros(()), synthetic.new_zeros(())
    for axis in (2, 3, 4):
        size = mask.shape[axis] - 1
        both = torch.minimum(mask.narrow(axis, 1, size), mask.narrow(axis, 0, size))
        difference = (torch.diff(synthetic, dim=axis) - torch.diff(target, dim=axis)).abs()
        total = total + (difference * both).sum()
        count = count + both.expand_as(difference).sum()
    return total / count.clamp(min=1)
