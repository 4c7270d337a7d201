"""One gradient scale for all micro-batches and all optimisers of a step, with `16-mixed`."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision


class StepScaler(torch.amp.GradScaler):
    """A gradient scaler whose scale changes at the end of a step, not after each optimiser.

    Fabric calls `update` whenever an optimiser has moved. In a step with a discriminator the gradients of the generator
    are not complete then: those of the last micro-batch would get another scale than those added before, and all would
    be divided by the later one.
    """

    def update(self, new_scale: float | torch.Tensor | None = None) -> None:
        """Keeps the scale; `end_step` changes it."""

    def end_step(self) -> None:
        """Halves the scale if a gradient of the step was not finite; doubles it after many steps without one."""
        super().update()


def scale_by_step(fabric: Fabric) -> None:
    """Gives Fabric a `StepScaler`, if its precision scales gradients at all; before the first step."""
    precision = fabric.strategy.precision
    if isinstance(precision, MixedPrecision) and precision.scaler is not None:
        precision.scaler = StepScaler(precision.device)


def end_step(fabric: Fabric) -> None:
    """Lets the scale follow the gradients of a step, after all its optimisers have moved."""
    scaler = getattr(fabric.strategy.precision, "scaler", None)
    if isinstance(scaler, StepScaler):
        scaler.end_step()
