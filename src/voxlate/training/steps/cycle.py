"""One optimiser step without pairs: two generators, two discriminators, cycle consistency (Zhu et al., ICCV 2017)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from voxlate.losses.cycle import cycle_consistency, identity_keeping
from voxlate.training.adversarial import discriminator_loss, generator_loss
from voxlate.training.data.windows import Batch
from voxlate.training.state import CycleState
from voxlate.training.steps.step import Losses, Step, mean_losses


def cycle_step(state: CycleState, sources: Sequence[Batch], targets: Sequence[Batch], step: Step) -> Losses:
    """Updates both discriminators once and then both generators once, as far as the stage trains them.

    The discriminators are updated at the last micro-batch, before the generators' loss of that micro-batch is computed.
    Outside the mask they see zeros in real and synthetic images alike.

    Args:
        state: changed in place.
        sources: micro-batches of which the sources are used.
        targets: as many micro-batches of which the targets are used; they have no relation to `sources`.
        step: which step it is.

    Returns:
        Means over the micro-batches: `discriminator` and `adversarial` (if the stage trains them), `loss`.
    """
    settings, share, trains = state.settings, 1 / len(sources), step.stage.trains
    losses: list[Losses] = []
    for index, (a, b) in enumerate(zip(sources, targets, strict=True)):
        first, second, seed = a.to(step.fabric.device), b.to(step.fabric.device), step.seed(index)
        source, target = first.source, second.target
        source_brain, target_brain = first.weight > 0, second.weight > 0
        synthetic_target = state.generator(source) * source_brain
        synthetic_source = state.inverse_generator(target) * target_brain
        forward, inverse = (synthetic_target, source), (synthetic_source, target)

        values: Losses = {}
        if trains != "generator":
            shown, shown_source = target * target_brain, source * source_brain
            loss = discriminator_loss(state.discriminator, synthetic_target, shown, source, settings, seed)
            loss = loss + discriminator_loss(
                state.inverse_discriminator, synthetic_source, shown_source, target, settings, seed
            )
            values["discriminator"] = step.backward(loss, share, first, second)
            if index + 1 == len(sources):
                step.update(state.discriminator_optimiser, state.discriminator, state.inverse_discriminator)
        if trains == "discriminator":
            losses.append(values | {"loss": values["discriminator"]})
            continue

        loss = source.new_zeros(())
        if trains == "both":
            adversarial = generator_loss(state.discriminator, *forward, settings, seed, fabric=step.fabric)
            adversarial = adversarial + generator_loss(
                state.inverse_discriminator, *inverse, settings, seed, fabric=step.fabric
            )
            values["adversarial"] = float(adversarial.detach())
            loss = settings.weight * adversarial
        for term in consistency_terms(state, first, second, synthetic_target, synthetic_source):
            loss = loss + term
        losses.append(values | {"loss": step.backward(loss, share, first, second)})
    if trains != "discriminator":
        step.update(state.optimiser, state.generator, state.inverse_generator)
    return mean_losses(losses)


def consistency_terms(
    state: CycleState, sources: Batch, targets: Batch, synthetic_target: Tensor, synthetic_source: Tensor
) -> Iterator[Tensor]:
    """Yields the weighted losses of the generators that need no discriminator, in a fixed order.

    Each cycle loss compares an image with what both generators make of it in turn. Each identity loss compares a target
    with what the generator of targets makes of it; both are left out when `CycleSettings.identity` is 0.

    Args:
        state: networks and settings.
        sources: a micro-batch on the device, of which the sources are used.
        targets: another one, of which the targets are used.
        synthetic_target: made from the sources, (B, 1, D, H, W), zero outside their mask.
        synthetic_source: made from the targets, the same shape, zero outside their mask.
    """
    source, target, settings = sources.source, targets.target, state.cycle
    yield settings.weight * cycle_consistency(synthetic_target, state.inverse_generator, source, sources.weight)
    yield settings.weight * cycle_consistency(synthetic_source, state.generator, target, targets.weight)
    if settings.identity:
        yield settings.identity * identity_keeping(state.generator, target, targets.weight)
        yield settings.identity * identity_keeping(state.inverse_generator, source, sources.weight)
