"""One optimiser step of a generator against real targets."""

from __future__ import annotations

from collections.abc import Sequence

from voxlate.training.data.windows import Batch
from voxlate.training.objective import Objective
from voxlate.training.state import SupervisedState
from voxlate.training.steps.step import Losses, Step, mean_losses


def supervised_step(state: SupervisedState, batches: Sequence[Batch], step: Step, objective: Objective) -> Losses:
    """Updates the generator once with the gradients of all micro-batches.

    Args:
        state: changed in place.
        batches: micro-batches of pairs; each counts the same.
        step: which step it is.
        objective: the loss of (synthetic, target, weight, source).

    Returns:
        `loss`, the mean over the micro-batches.
    """
    losses: list[Losses] = []
    for batch in (each.to(step.fabric.device) for each in batches):
        synthetic = state.generator(batch.source, *([] if batch.contrasts is None else [batch.contrasts]))
        loss = objective(synthetic, batch.target, batch.weight, batch.source)
        losses.append({"loss": step.backward(loss, 1 / len(batches), batch)})
    step.update(state.optimiser, state.generator)
    return mean_losses(losses)
