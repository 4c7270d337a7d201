"""What all kinds of optimiser steps share: seeds, learning rates, the backward pass and the update of weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import Stage
from voxlate.errors import InputRefused
from voxlate.training.adversarial import Seed, combined_seed
from voxlate.training.data.windows import Batch
from voxlate.training.distributed import any_process
from voxlate.training.schedule import learning_rate, stage_position
from voxlate.training.state import SupervisedState

Losses = dict[str, float]
"""`loss` is what the step minimises; `discriminator`, `adversarial` and `pixel` are there when a discriminator takes
part: the last is the loss of the generator without its adversarial parts."""


@dataclass(frozen=True)
class Step:
    """One optimiser step of a run.

    Attributes:
        fabric: already launched.
        recipe: the resolved recipe.
        done: steps done before this one.
    """

    fabric: Fabric
    recipe: Recipe
    done: int

    @property
    def stage(self) -> Stage:
        """Returns the stage of the recipe that the step belongs to."""
        return stage_position(self.recipe, self.done).stage

    def seed(self, micro_batch: int) -> Seed:
        """Returns the seed of what is drawn for one micro-batch, such as soft labels."""
        return self.recipe.training.seed, self.done, micro_batch, self.fabric.global_rank

    def begin(self, state: SupervisedState) -> None:
        """Seeds dropout, sets the learning rates and clears the gradients.

        Torch is seeded anew in every step, so that a resumed run draws what an uninterrupted one would.
        """
        training, adversarial = self.recipe.training, self.recipe.adversarial
        torch.manual_seed(combined_seed((training.seed, self.done, self.fabric.global_rank)))
        rate, usual = learning_rate(self.recipe, self.done), training.learning_rate
        own = (adversarial.learning_rate if adversarial else None) or usual
        rates = {"generator": rate, "discriminator": rate * own / usual}
        for name, optimiser in state.optimisers().items():
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = rates[name]

    def backward(self, loss: Tensor, share: float, *batches: Batch) -> float:
        """Adds the gradients of one micro-batch to those of the step and returns the loss.

        Args:
            loss: a scalar.
            share: of the micro-batch in the step; the gradients are multiplied by it.
            *batches: what the loss was computed from; an error names their cases.

        Raises:
            InputRefused: `LOSS_NOT_FINITE`.
        """
        value = self.finite(loss, *batches)
        self.fabric.backward(loss * share)
        return value

    def finite(self, loss: Tensor, *batches: Batch) -> float:
        """Returns the value of a loss, which must be finite in all processes.

        One that went on alone would wait for the gradients of the others.

        Args:
            loss: a scalar.
            *batches: what it was computed from; an error names their cases.

        Raises:
            InputRefused: `LOSS_NOT_FINITE`.
        """
        value = float(loss.detach())
        is_finite = math.isfinite(value)
        if is_finite and any_process(self.fabric, False)[0]:
            raise InputRefused(
                "LOSS_NOT_FINITE",
                f"the loss of another process is not finite at step {self.done}; its message names the cases; lower "
                "training.learning_rate, and check these cases",
            )
        if not is_finite:
            any_process(self.fabric, True)
            cases = ", ".join(sorted({case for batch in batches for case in batch.cases}))
            raise InputRefused(
                "LOSS_NOT_FINITE",
                f"the loss is {value} at step {self.done} on {cases}; an earlier checkpoint is kept; lower "
                "training.learning_rate, and check these cases",
            )
        return value

    def update(self, optimiser: Optimizer, *networks: nn.Module) -> None:
        """Clips the gradients of all `networks` together and updates their weights.

        Raises:
            InputRefused: `GRADIENT_NOT_FINITE`; with `16-mixed` the gradient scaler skips such a step instead.
        """
        settings = self.recipe.training
        limit = math.inf if settings.clip is None else settings.clip
        norm = self.fabric.clip_gradients(nn.ModuleList(networks), optimiser, max_norm=limit, error_if_nonfinite=False)
        if norm is not None and not bool(torch.isfinite(norm)) and settings.precision != "16-mixed":
            raise InputRefused(
                "GRADIENT_NOT_FINITE", f"a gradient is not finite at step {self.done}; the last checkpoint is kept"
            )
        optimiser.step()


def mean_losses(losses: Sequence[Losses]) -> Losses:
    """Returns the mean of each loss over the micro-batches of a step."""
    means = dict.fromkeys(losses[0], 0.0)
    for each in losses:
        for name, value in each.items():
            means[name] += value / len(losses)
    return means
