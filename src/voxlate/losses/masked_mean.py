"""The mean inside a mask, in which the losses of single voxels end."""

from __future__ import annotations

from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean of values weighted by a mask, a scalar; 0 for an empty mask.

    Args:
        values: (B, C, ...).
        mask: (B, 1, ...), the weight of each voxel; 0 outside.
    """
    weight = mask.expand_as(values)
    return (values * weight).sum() / weight.sum().clamp(min=1)
