"""One optimiser step of a discriminator, and of a generator against it and against real targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from voxlate.training.adversarial import Seed, discriminator_loss, feature_matching, generator_loss
from voxlate.training.data.windows import Batch
from voxlate.training.objective import Objective
from voxlate.training.state import AdversarialState
from voxlate.training.steps.step import Losses, Step, mean_losses


def adversarial_step(state: AdversarialState, batches: Sequence[Batch], step: Step, objective: Objective) -> Losses:
    """Updates the discriminator once and then, if the stage trains both, the generator once.

    The discriminator is updated at the last micro-batch, before the generator's loss of that micro-batch is computed;
    in a stage of `both`, only in every `AdversarialSettings.every`-th step. One forward pass of the generator serves
    both losses. Outside the mask the discriminator sees zeros in real and synthetic images alike.

    With `AdversarialSettings.first: generator` a stage of `both` updates the generator first, and the discriminator
    learns from what the updated generator makes of the same sources: a second forward pass.

    Args:
        state: changed in place.
        batches: micro-batches of pairs; each counts the same.
        step: which step it is; its stage trains the `discriminator` or `both`.
        objective: the loss of (synthetic, target, weight, source), to which the adversarial loss is added.

    Returns:
        Means over the micro-batches: `discriminator`, `adversarial` and `pixel`, the value of `objective` (if the
        generator is trained), `loss`.
    """
    settings, trains_generator = state.settings, step.stage.trains == "both"
    is_due = not trains_generator or step.done % settings.every == 0
    is_generator_first = trains_generator and settings.first == "generator"
    losses: list[Losses] = []
    for index, batch in enumerate(each.to(step.fabric.device) for each in batches):
        turn = _Turn(state, batch, step, step.seed(index), share=1 / len(batches), is_last=index + 1 == len(batches))
        with torch.set_grad_enabled(trains_generator):
            synthetic = state.generator(batch.source)
        of_generator: Losses = {}
        if is_generator_first:
            of_generator = turn.train_generator(synthetic, objective)
            with torch.no_grad():
                synthetic = state.generator(batch.source)
            of_discriminator = turn.train_discriminator(synthetic, is_due=is_due)
        else:
            of_discriminator = turn.train_discriminator(synthetic, is_due=is_due)
            if trains_generator:
                of_generator = turn.train_generator(synthetic, objective)
        losses.append({"loss": of_discriminator["discriminator"]} | of_discriminator | of_generator)
    return mean_losses(losses)


@dataclass(frozen=True)
class _Turn:
    """One micro-batch of a step; the last one updates the weights.

    Attributes:
        state: changed in place.
        batch: on the device.
        step: which step it is.
        seed: of soft labels, the same for both networks.
        share: of the micro-batch in the step.
        is_last: whether the gradients of the step are complete with it.
    """

    state: AdversarialState
    batch: Batch
    step: Step
    seed: Seed
    share: float
    is_last: bool

    def train_discriminator(self, synthetic: Tensor, *, is_due: bool) -> Losses:
        """Adds the gradients of the discriminator, if it is its turn, and returns its loss."""
        state, batch, step = self.state, self.batch, self.step
        shown, real = self._inside(synthetic), self._inside(batch.target)
        with torch.set_grad_enabled(is_due):
            loss = discriminator_loss(state.discriminator, shown, real, batch.source, state.settings, self.seed)
        value = step.backward(loss, self.share, batch) if is_due else step.finite(loss, batch)
        if self.is_last and is_due:
            step.update(state.discriminator_optimiser, state.discriminator)
        return {"discriminator": value}

    def train_generator(self, synthetic: Tensor, objective: Objective) -> Losses:
        """Adds the gradients of the generator and returns its losses."""
        state, batch, step, settings = self.state, self.batch, self.step, self.state.settings
        shown = self._inside(synthetic)
        loss = objective(synthetic, batch.target, batch.weight, batch.source)
        adversarial = generator_loss(state.discriminator, shown, batch.source, settings, self.seed, fabric=step.fabric)
        values = {"adversarial": float(adversarial.detach()), "pixel": float(loss.detach())}
        if settings.features:
            real = self._inside(batch.target)
            matching = feature_matching(state.discriminator, shown, real, batch.source, settings, fabric=step.fabric)
            loss = loss + settings.features * matching
        values["loss"] = step.backward(loss + settings.weight * adversarial, self.share, batch)
        if self.is_last:
            step.update(state.optimiser, state.generator)
        return values

    def _inside(self, image: Tensor) -> Tensor:
        """Returns an image, zero outside the mask."""
        return image * (self.batch.weight > 0)
