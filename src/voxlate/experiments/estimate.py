"""What an experiment will do: its commands, and for each training its steps, memory and least time on this machine.

The time is a lower bound: the multiplications of all steps (three times those of the forward pass) at the speed that
one large convolution reaches here. Reading, augmentation, losses and small layers come on top; on two cores trainings
took two to four times as long.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from voxlate.bundle.networks import generator_of
from voxlate.bundle.recipe import Recipe
from voxlate.errors import UsageError
from voxlate.experiments.plan import Step
from voxlate.io.log import duration
from voxlate.training.memory import READS_VALUES, estimate_training

_PASSES = 3
"""Multiplications of a training step over those of its forward pass: forward, and two products in the backward pass."""

_TRIAL = (32, 48)
"""Channels and side of the convolution whose speed is measured: large enough to use all units of a processor."""


def describe(steps: list[Step], folder: Path) -> Iterator[str]:
    """Yields one line for each step: the command, and what a training needs.

    Args:
        steps: the plan.
        folder: of the experiment, which is left out of the commands.

    Raises:
        UsageError: a network does not exist, or does not take the window.
    """
    speed = _flops_per_second()
    total = 0.0
    for step in steps:
        line = f"{step.name}: {step.command.replace(f'{folder}/', '')}"
        if step.recipe is not None:
            seconds = _least_seconds(step.recipe, speed)
            total += seconds or 0.0
            needed = "unknown time" if seconds is None else f"at least {duration(seconds)}"
            line += f"\n    {_needs(step.recipe)}, {needed}"
        yield line
    yield f"{len(steps)} steps; trainings take at least {duration(total)} on this machine, one after the other"


def least_training_seconds(recipe: Recipe) -> float | None:
    """Returns the least time of a training on this processor in seconds; see the docstring of the module.

    Args:
        recipe: what to train; the module of a network outside voxlate is imported.

    Returns:
        None for a network whose operations cannot be counted.
    """
    return _least_seconds(recipe, _flops_per_second())


def _least_seconds(recipe: Recipe, speed: float) -> float | None:
    flops = _step_flops(recipe)
    return None if flops is None else flops * recipe.steps / speed


def _needs(recipe: Recipe) -> str:
    estimate = estimate_training(recipe)
    need = estimate.need_bytes
    memory = "unknown memory" if need is None else f"{need / 2**30:.1f} GiB"
    return f"{recipe.steps:,} optimiser steps, {sum(estimate.parameters.values()):,} parameters, {memory}"


def _step_flops(recipe: Recipe) -> float | None:
    """Returns the floating-point operations of one training step of the generator.

    None for a network that reads values while it is built or applied, which the meta device does not have.
    """
    size = (recipe.training.batch, 1 + len(recipe.more_sources), *recipe.training.window)
    try:
        with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
            generator_of(recipe, trust_code=True)(torch.empty(size))
    except (*READS_VALUES, UsageError):  # `estimate_training` refuses an argument that is really wrong
        return None
    return float(_PASSES * counter.get_total_flops())


def _flops_per_second() -> float:
    channels, side = _TRIAL
    image, weight = torch.randn(1, channels, side, side, side), torch.randn(channels, channels, 3, 3, 3)
    torch.nn.functional.conv3d(image, weight, padding=1)  # the first call chooses an algorithm
    began = time.perf_counter()
    torch.nn.functional.conv3d(image, weight, padding=1)
    return 2.0 * image.numel() * weight.numel() / channels / (time.perf_counter() - began)
