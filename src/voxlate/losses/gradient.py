"""Gradient difference loss inside a mask, which penalises blurred edges.

loss = mean over axes and pairs of neighbours of |(s_{i+1} − s_i) − (t_{i+1} − t_i)|       from 0
"""

from __future__ import annotations

import torch
from torch import Tensor


def gradient(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean absolute difference of finite differences along the three axes; 0 for an empty mask.

    Only pairs of neighbours that are both inside the mask count.

    Args:
        synthetic: (B, C, D, H, W).
        target: the same shape.
        mask: (B, 1, D, H, W), the weight of each voxel; 0 outside. A pair has the smaller of its two weights.
    """
    total, count = synthetic.new_zeros(()), synthetic.new_zeros(())
    for axis in (2, 3, 4):
        size = mask.shape[axis] - 1
        pair_weight = torch.minimum(mask.narrow(axis, 1, size), mask.narrow(axis, 0, size))
        difference = (torch.diff(synthetic, dim=axis) - torch.diff(target, dim=axis)).abs()
        total = total + (difference * pair_weight).sum()
        count = count + pair_weight.expand_as(difference).sum()
    return total / count.clamp(min=1)
