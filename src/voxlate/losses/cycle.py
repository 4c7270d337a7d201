"""Cycle consistency for sets without pairs (Zhu et al., ICCV 2017)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from voxlate.losses.l1 import l1


def cycle_consistency(
    synthetic: Tensor, back: Callable[[Tensor], Tensor], source: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the mean absolute error of the source restored from a synthetic image, and the restored source.

    Args:
        synthetic: (B, C', D, H, W), made from `source`; the gradient goes on into the network that made it.
        back: the network from target to source.
        source: (B, C, D, H, W).
        mask: (B, 1, D, H, W), 1 inside and 0 outside; empty gives 0.
    """
    restored = back(synthetic)
    return l1(restored, source, mask), restored


def identity_keeping(there: Callable[[Tensor], Tensor], target: Tensor, mask: Tensor) -> Tensor:
    """Returns how much a network changes an image that is a target already; shapes as in `cycle_consistency`."""
    return l1(there(target), target, mask)
