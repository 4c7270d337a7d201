"""One step of each kind of training: supervised, against a discriminator, and in a cycle without pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from voxlate.bundle.recipe import Recipe
from voxlate.errors import InputRefused
from voxlate.losses.cycle import cycle_consistency, identity_keeping
from voxlate.training.adversarial import Judging, mixed
from voxlate.training.data import Batch
from voxlate.training.objective import Objective
from voxlate.training.schedule import Position, learning_rate, position
from voxlate.training.state import Players

Losses = dict[str, float]
"""`loss` is what the step made smaller; `adversarial` and `discriminator` where there is one."""

T = TypeVar("T")


@dataclass(frozen=True)
class Windows:
    """What one pass sees.

    Attributes:
        here: what is translated, and its targets.
        there: whose targets have nothing to do with it, for a cycle; None with pairs.
        share: of the step that the pass makes up.
        seed: of what is drawn in it.
        is_last: of the step.
    """

    here: Batch
    there: Batch | None
    share: float
    seed: tuple[int, ...]
    is_last: bool


class Trainer:
    """Takes steps.

    Args:
        fabric: already launched.
        players: of the recipe.
        recipe: the resolved recipe.
        objectives: the loss of each stage.
    """

    def __init__(self, fabric: Fabric, players: Players, recipe: Recipe, objectives: Sequence[Objective]) -> None:
        self.fabric, self.players, self.recipe, self.objectives = fabric, players, recipe, objectives
        self.judging = None if recipe.adversarial is None else Judging(fabric, recipe.adversarial)

    def take(self, passes: Sequence[Batch], unpaired: Sequence[Batch] | None, done: int) -> Losses:
        """Takes the step after `done` steps and returns its losses, the mean over its passes.

        Args:
            passes: the windows of each pass.
            unpaired: windows of targets for each pass of a cycle; None with pairs.
            done: steps done before.

        Raises:
            InputRefused: `LOSS_NOT_FINITE`, with the cases of the pass; `GRADIENT_NOT_FINITE`.
        """
        place = position(self.recipe, done)
        torch.manual_seed(mixed((self.recipe.training.seed, done, self.fabric.global_rank)))  # of dropout
        self._prepare(done)
        sums: Losses = {}
        for index, here in enumerate(passes):
            there = None if unpaired is None else unpaired[index].to(self.fabric.device)
            seed = (self.recipe.training.seed, done, index, self.fabric.global_rank)
            is_last = index + 1 == len(passes)
            windows = Windows(here.to(self.fabric.device), there, 1 / len(passes), seed, is_last)
            found = self._paired(windows, place) if there is None else self._cycle(windows, place)
            sums = {name: sums.get(name, 0.0) + value / len(passes) for name, value in found.items()}
        if place.stage.trains != "discriminator":
            self._move(self.players.optimiser, done, self.players.generator, self.players.back)
        return sums

    def _prepare(self, done: int) -> None:
        rate = learning_rate(self.recipe, done)
        usual = self.recipe.training.learning_rate
        own = (self.recipe.adversarial.learning_rate if self.recipe.adversarial else None) or usual
        rates = {"generator": rate, "discriminator": rate * own / usual}
        for name, optimiser in self.players.optimisers().items():
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = rates[name]

    def _paired(self, windows: Windows, place: Position) -> Losses:
        """Accumulates the gradients of windows whose targets are known."""
        batch, found = windows.here, Losses()
        with torch.set_grad_enabled(place.stage.trains != "discriminator"):
            synthetic = self.players.generator(batch.source)
        seen = synthetic * (batch.weight > 0)
        if place.stage.trains != "generator":
            judging, judge = _there_is(self.judging), _there_is(self.players.discriminator)
            taught = judging.teach(judge, seen, batch.target * (batch.weight > 0), batch.source, windows.seed)
            found["discriminator"] = self._backward(taught, windows)
            self._move_judges(windows)
        if place.stage.trains == "discriminator":
            return found | {"loss": found["discriminator"]}
        value = self.objectives[place.index](synthetic, batch.target, batch.weight, batch.source)
        if place.stage.trains == "both":
            opinion = judging.opinion(judge, seen, batch.source, windows.seed)
            found["adversarial"] = float(opinion.detach())
            value = value + judging.settings.weight * opinion
        return found | {"loss": self._backward(value, windows)}

    def _cycle(self, windows: Windows, place: Position) -> Losses:
        """Accumulates the gradients of windows that have no counterpart."""
        here, there, found = windows.here, _there_is(windows.there), Losses()
        forth, back = self.players.generator, _there_is(self.players.back)
        judge, back_judge = _there_is(self.players.discriminator), _there_is(self.players.back_discriminator)
        judging = _there_is(self.judging)
        source, target = here.source, there.target
        synthetic, backwards = forth(source) * (here.weight > 0), back(target) * (there.weight > 0)
        if place.stage.trains != "generator":
            taught = judging.teach(judge, synthetic, target, source, windows.seed)
            taught = taught + judging.teach(back_judge, backwards, source, target, windows.seed)
            found["discriminator"] = self._backward(taught, windows)
            self._move_judges(windows)
        if place.stage.trains == "discriminator":
            return found | {"loss": found["discriminator"]}
        settings = _there_is(self.recipe.cycle)
        value = source.new_zeros(())
        if place.stage.trains == "both":
            opinion = judging.opinion(judge, synthetic, source, windows.seed)
            opinion = opinion + judging.opinion(back_judge, backwards, target, windows.seed)
            found["adversarial"] = float(opinion.detach())
            value = judging.settings.weight * opinion
        value = value + settings.weight * cycle_consistency(synthetic, back, source, here.weight)[0]
        value = value + settings.weight * cycle_consistency(backwards, forth, target, there.weight)[0]
        if settings.identity:
            value = value + settings.identity * identity_keeping(forth, target, there.weight)
            value = value + settings.identity * identity_keeping(back, source, here.weight)
        return found | {"loss": self._backward(value, windows)}

    def _backward(self, value: Tensor, windows: Windows) -> float:
        number = float(value.detach())
        if not bool(torch.isfinite(value)):
            cases = {*windows.here.cases, *(() if windows.there is None else windows.there.cases)}
            raise InputRefused(
                "LOSS_NOT_FINITE",
                f"the loss is {number} at step {windows.seed[1]} on {', '.join(sorted(cases))}; "
                "the last checkpoint is kept",
            )
        self.fabric.backward(value * windows.share)
        return number

    def _move_judges(self, windows: Windows) -> None:
        if windows.is_last:
            judges = (self.players.discriminator, self.players.back_discriminator)
            self._move(_there_is(self.players.judge_optimiser), windows.seed[1], *judges)

    def _move(self, optimiser: Optimizer, done: int, *networks: nn.Module | None) -> None:
        """Takes the step of one side; with `16-mixed` a gradient that ran over is left out, as its scaler expects."""
        settings = self.recipe.training
        moved = nn.ModuleList(network for network in networks if network is not None)
        limit = math.inf if settings.clip is None else settings.clip
        length = self.fabric.clip_gradients(moved, optimiser, max_norm=limit, error_if_nonfinite=False)
        if length is not None and not bool(torch.isfinite(length)) and settings.precision != "16-mixed":
            raise InputRefused(
                "GRADIENT_NOT_FINITE", f"a gradient is not finite at step {done}; the last checkpoint is kept"
            )
        optimiser.step()


def _there_is(part: T | None) -> T:
    """Returns a part that the recipe asks for; the recipe's own checks keep it from being absent."""
    if part is None:
        raise ValueError("the recipe lacks a part of the training")
    return part
