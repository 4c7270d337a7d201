"""Which stage of a recipe a step belongs to, and how large the step is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import Stage, TrainingSettings


@dataclass(frozen=True)
class Position:
    """A step within its stage.

    Attributes:
        stage: of the recipe.
        index: of the stage.
        done: steps of the stage done before.
    """

    stage: Stage
    index: int
    done: int

    @property
    def is_first(self) -> bool:
        """Tells whether a stage begins with this step."""
        return self.done == 0

    @property
    def is_last(self) -> bool:
        """Tells whether a stage ends with this step."""
        return self.done + 1 == self.stage.steps


def position(recipe: Recipe, done: int) -> Position:
    """Returns where the step after `done` steps is.

    Raises:
        IndexError: all steps are done.
    """
    for index, stage in enumerate(recipe.plan):
        if done < stage.steps:
            return Position(stage, index, done)
        done -= stage.steps
    raise IndexError("all steps are done")


def learning_rate(recipe: Recipe, done: int) -> float:
    """Returns the generator's rate of the step after `done` steps; each stage has a warm-up and an end of its own."""
    place = position(recipe, done)
    settings = recipe.training
    peak = place.stage.learning_rate or settings.learning_rate
    return peak * share_of_peak(settings, place.stage.schedule or settings.schedule, place.done, place.stage.steps)


def share_of_peak(settings: TrainingSettings, schedule: str, done: int, steps: int) -> float:
    """Returns the share of the largest rate after `done` of `steps` steps; see `TrainingSettings.schedule`."""
    if done < settings.warmup:
        return (done + 1) / settings.warmup
    if schedule == "constant":
        return 1.0
    if schedule == "linear_tail":
        return min(1.0, 2 * (steps - done) / steps)
    share = (done - settings.warmup) / max(1, steps - settings.warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))
