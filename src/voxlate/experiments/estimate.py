"""What an experiment will do: its commands, and the memory and time of each training."""

from __future__ import annotations

from pathlib import Path

from voxlate.experiments.plan import Size, Step
from voxlate.experiments.settings import Experiment


def describe(experiment: Experiment, steps: list[Step], folder: Path, size: Size) -> list[str]:
    return [step.command.replace(f"{folder}/", "") for step in steps]
