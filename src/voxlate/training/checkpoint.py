"""The whole state of a run in one safetensors file, so that a resumed run takes the same steps."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from voxlate.bundle.bundle import read_weights, write_weights
from voxlate.errors import ModelInvalid
from voxlate.training.state import Players


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        step: steps done.
        best: what chose the weights kept so far in this stage (`TrainingSettings.keep`); None before any is kept.
        stale: validations since then.
        training: losses per logged step.
        validation: error per validation.
        stopped: where a stage ended early.
    """

    step: int = 0
    best: float | None = None
    stale: int = 0
    training: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)
    stopped: list[dict[str, int]] = field(default_factory=list)


def save_checkpoint(
    path: Path, players: Players, average: dict[str, Tensor], *, progress: Progress, recipe: str
) -> None:
    """Writes networks, moving average, optimisers and progress; `recipe` is the hash a resumed run must share."""
    tensors = {f"average.{name}": tensor for name, tensor in average.items()}
    for player, network in players.networks().items():
        tensors |= {f"network.{player}.{name}": tensor for name, tensor in network.state_dict().items()}
    for side, optimiser in players.optimisers().items():
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{side}.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    write_weights(path, tensors, metadata={"progress": json.dumps(asdict(progress)), "recipe": recipe})


def load_checkpoint(path: Path, players: Players, average: dict[str, Tensor], *, recipe: str) -> Progress:
    """Puts the state in `path` into the arguments and returns the progress.

    Raises:
        ModelInvalid: `CHECKPOINT_RECIPE` when it belongs to another recipe; `MODEL_WEIGHTS`, `MODEL_NAN`.
    """
    tensors = read_weights(path)
    with safe_open(path, framework="pt") as stored:
        metadata = stored.metadata()
    if metadata.get("recipe") != recipe:
        raise ModelInvalid("CHECKPOINT_RECIPE", f"{path.name} is from another recipe or cohort; use another run folder")
    for player, network in players.networks().items():
        network.load_state_dict(_below(f"network.{player}.", tensors))
    for name, tensor in _below("average.", tensors).items():
        average[name].copy_(tensor)
    for side, optimiser in players.optimisers().items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _below(f"optimiser.{side}.", tensors).items():
            index, name = key.split(".")
            state.setdefault(int(index), {})[name] = tensor
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return Progress(**json.loads(metadata["progress"]))


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
