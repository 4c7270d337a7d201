"""Cycle consistency and identity losses of CycleGAN for unpaired data (Zhu et al., ICCV 2017).

    cycle    = mean over the mask of |inverse(forward(source)) − source|
    identity = mean over the mask of |forward(target) − target|

Both are 0 or larger, and 0 for an empty mask.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from voxlate.losses.l1 import l1


def cycle_consistency(synthetic: Tensor, inverse: Callable[[Tensor], Tensor], source: Tensor, mask: Tensor) -> Tensor:
    """Returns the cycle-consistency loss, a scalar.

    Args:
        synthetic: (B, C', D, H, W), the forward network's output for `source`; the gradient continues into that
            network.
        inverse: the network from target to source.
        source: (B, C, D, H, W).
        mask: (B, 1, D, H, W), the weight of each voxel; 0 outside.
    """
    return l1(inverse(synthetic), source, mask)


def identity_keeping(network: Callable[[Tensor], Tensor], target: Tensor, mask: Tensor) -> Tensor:
    """Returns the identity loss: how much the forward network changes an image that is a target already.

    Args:
        network: the network from source to target.
        target: (B, C, D, H, W).
        mask: (B, 1, D, H, W), the weight of each voxel; 0 outside.
    """
    return l1(network(target), target, mask)
