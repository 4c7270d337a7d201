"""One optimiser step of a discriminator, and of a generator against it and against real targets."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from voxlate.training.adversarial import discriminator_loss, feature_matching, generator_loss
from voxlate.training.data.windows import Batch
from voxlate.training.objective import Objective
from voxlate.training.state import AdversarialState
from voxlate.training.steps.step import Losses, Step, mean_losses


def adversarial_step(state: AdversarialState, batches: Sequence[Batch], step: Step, objective: Objective) -> Losses:
    """Updates the discriminator once and then, if the stage trains both, the generator once.

    The discriminator is updated at the last micro-batch, before the generator's loss of that micro-batch is computed;
    in a stage of `both`, only in every `AdversarialSettings.every`-th step. One forward pass of the generator serves
    both losses. Outside the mask the discriminator sees zeros in real and synthetic images alike.

    Args:
        state: changed in place.
        batches: micro-batches of pairs; each counts the same.
        step: which step it is; its stage trains the `discriminator` or `both`.
        objective: the loss of (synthetic, target, weight, source), to which the adversarial loss is added.

    Returns:
        Means over the micro-batches: `discriminator`, `adversarial` (if the generator is trained), `loss`.
    """
    settings, share, trains_generator = state.settings, 1 / len(batches), step.stage.trains == "both"
    is_due = not trains_generator or step.done % settings.every == 0
    losses: list[Losses] = []
    for index, batch in enumerate(each.to(step.fabric.device) for each in batches):
        seed = step.seed(index)
        with torch.set_grad_enabled(trains_generator):
            synthetic = state.generator(batch.source)
        inside = batch.weight > 0
        shown, real = synthetic * inside, batch.target * inside

        with torch.set_grad_enabled(is_due):
            to_discriminator = discriminator_loss(state.discriminator, shown, real, batch.source, settings, seed)
        value = step.backward(to_discriminator, share, batch) if is_due else step.finite(to_discriminator, batch)
        values = {"discriminator": value}
        if index + 1 == len(batches) and is_due:
            step.update(state.discriminator_optimiser, state.discriminator)
        if not trains_generator:
            losses.append(values | {"loss": values["discriminator"]})
            continue

        loss = objective(synthetic, batch.target, batch.weight, batch.source)
        adversarial = generator_loss(state.discriminator, shown, batch.source, settings, seed, fabric=step.fabric)
        values["adversarial"] = float(adversarial.detach())
        if settings.features:
            matching = feature_matching(state.discriminator, shown, real, batch.source, settings, fabric=step.fabric)
            loss = loss + settings.features * matching
        losses.append(values | {"loss": step.backward(loss + settings.weight * adversarial, share, batch)})
    if trains_generator:
        step.update(state.optimiser, state.generator)
    return mean_losses(losses)
