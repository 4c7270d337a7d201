"""One optimiser step of each kind of training: supervised, adversarial, and cycle without pairs."""

from __future__ import annotations

from voxlate.training.data.windows import StepBatches
from voxlate.training.objective import Objective
from voxlate.training.scaling import end_step
from voxlate.training.state import AdversarialState, CycleState, SupervisedState
from voxlate.training.steps.adversarial import adversarial_step
from voxlate.training.steps.cycle import cycle_step
from voxlate.training.steps.step import Losses, Step
from voxlate.training.steps.supervised import supervised_step

__all__ = ["Losses", "Step", "take_step"]


def take_step(state: SupervisedState, batches: StepBatches, step: Step, objective: Objective) -> Losses:
    """Takes the optimiser step that the recipe and its current stage ask for.

    Args:
        state: networks and optimisers, changed in place.
        batches: the micro-batches of this step.
        step: which step it is.
        objective: the loss of the current stage.

    Returns:
        Means over the micro-batches: `loss`, which the step minimises, and `discriminator`, `adversarial` and `pixel`
        where the stage trains them.

    Raises:
        InputRefused: `LOSS_NOT_FINITE`, with the cases of the micro-batch; `GRADIENT_NOT_FINITE`.
    """
    step.begin(state)
    if isinstance(state, CycleState):
        losses = cycle_step(state, batches.sources, batches.targets, step)
    elif isinstance(state, AdversarialState) and step.stage.trains != "generator":
        losses = adversarial_step(state, batches.sources, step, objective)
    else:
        losses = supervised_step(state, batches.sources, step, objective)
    end_step(step.fabric)
    return losses
