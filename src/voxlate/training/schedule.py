"""The stage of a recipe that a step belongs to, and the learning rate of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import Stage, TrainingSettings


@dataclass(frozen=True)
class StagePosition:
    """A step within its stage.

    Attributes:
        stage: of the recipe.
        index: of the stage, from 0.
        done: steps of the stage done before this one.
    """

    stage: Stage
    index: int
    done: int

    @property
    def is_first(self) -> bool:
        """Returns whether this is the first step of its stage."""
        return self.done == 0

    @property
    def is_last(self) -> bool:
        """Returns whether this is the last step of its stage."""
        return self.done + 1 == self.stage.steps


def stage_position(recipe: Recipe, done: int) -> StagePosition:
    """Returns the stage of the step after `done` steps, and the position in it.

    Raises:
        IndexError: all steps are done.
    """
    for index, stage in enumerate(recipe.plan):
        if done < stage.steps:
            return StagePosition(stage, index, done)
        done -= stage.steps
    raise IndexError("all steps are done")


def learning_rate(recipe: Recipe, done: int) -> float:
    """Returns the learning rate of the generator in the step after `done` steps.

    Each stage has a schedule of its own, with warm-up and decay.
    """
    current = stage_position(recipe, done)
    settings, stage = recipe.training, current.stage
    peak = stage.learning_rate or settings.learning_rate
    return peak * share_of_peak(settings, stage.schedule or settings.schedule, current.done, stage.steps)


def share_of_peak(settings: TrainingSettings, schedule: str, done: int, steps: int) -> float:
    """Returns the learning rate over its peak after `done` of `steps` steps.

    With t = (done - warmup) / (steps - warmup), `cosine` is 0.01 + 0.99 (1 + cos(pi t)) / 2; `linear_tail` is
    min(1, 2 (steps - done) / steps).

    Args:
        settings: `warmup` is the number of steps over which the rate rises linearly.
        schedule: `cosine`, `constant` or `linear_tail`; see `TrainingSettings.schedule`.
        done: steps of the stage done before.
        steps: of the stage.
    """
    if done < settings.warmup:
        return (done + 1) / settings.warmup
    if schedule == "constant":
        return 1.0
    if schedule == "linear_tail":
        return min(1.0, 2 * (steps - done) / steps)
    share = (done - settings.warmup) / max(1, steps - settings.warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))
