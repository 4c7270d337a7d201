"""Charbonnier's penalty inside a mask (Charbonnier et al., ICIP 1994): absolute error, rounded off at zero."""

from __future__ import annotations

import torch
from torch import Tensor


def charbonnier(synthetic: Tensor, target: Tensor, mask: Tensor, rounding: float = 1e-3) -> Tensor:
    """Returns the mean of sqrt(d^2 + rounding^2) − rounding over the voxels of `mask`; 0 for an empty mask.

    Shapes as in `voxlate.losses.l1`; `rounding` is in the unit of the images.
    """
    weight = mask.expand_as(target)
    penalty = torch.sqrt((synthetic - target).square() + rounding**2) - rounding
    return (penalty * weight).sum() / weight.sum().clamp(min=1)
