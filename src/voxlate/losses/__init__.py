"""Losses, one per file: functions of (synthetic, target, mask) that return a scalar and 0 for an empty mask."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from voxlate.errors import UsageError
from voxlate.losses.gradient import gradient
from voxlate.losses.l1 import l1
from voxlate.losses.ssim import ssim

__all__ = ["LOSSES", "weighted_sum"]

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

LOSSES: dict[str, Loss] = {"gradient": gradient, "l1": l1, "ssim": ssim}


def weighted_sum(weights: dict[str, float]) -> Loss:
    """Returns the loss that adds those named in `weights`, each times its weight.

    Raises:
        UsageError: `LOSS_UNKNOWN`, with the names there are.
    """
    for name in weights:
        if name not in LOSSES:
            raise UsageError("LOSS_UNKNOWN", f"no loss is called {name!r}; there are {', '.join(sorted(LOSSES))}")
    chosen = [(LOSSES[name], weight) for name, weight in weights.items() if weight > 0]

    def loss(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        total = synthetic.new_zeros(())
        for function, weight in chosen:
            total = total + weight * function(synthetic, target, mask)
        return total

    return loss
