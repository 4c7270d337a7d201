"""The whole state of a run in one safetensors file, so that a resumed run takes the same steps."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from voxlate.errors import ModelInvalid
from voxlate.train.bundle import read_weights, write_weights


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        step: steps done.
        best: lowest validation error so far, in relative units; None before the first validation.
        training: loss per logged step.
        validation: error per validation.
    """

    step: int = 0
    best: float | None = None
    training: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)


def save_checkpoint(
    path: Path, network: nn.Module, average: dict[str, Tensor], optimiser: Optimizer, *, progress: Progress, recipe: str
) -> None:
    """Writes network, moving average, optimiser and progress; `recipe` is the hash a resumed run must share."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    write_weights(path, tensors, metadata={"progress": json.dumps(asdict(progress)), "recipe": recipe})


def load_checkpoint(
    path: Path, network: nn.Module, average: dict[str, Tensor], optimiser: Optimizer, *, recipe: str
) -> Progress:
    """Puts the state in `path` into the arguments and returns the progress.

    Raises:
        ModelInvalid: `CHECKPOINT_RECIPE` when it belongs to another recipe; `MODEL_WEIGHTS`, `MODEL_NAN`.
    """
    tensors = read_weights(path)
    with safe_open(path, framework="pt") as stored:
        metadata = stored.metadata()
    if metadata.get("recipe") != recipe:
        raise ModelInvalid("CHECKPOINT_RECIPE", f"{path.name} is from another recipe or cohort; use another run folder")
    network.load_state_dict(_below("network.", tensors))
    for name, tensor in _below("average.", tensors).items():
        average[name].copy_(tensor)
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in _below("optimiser.", tensors).items():
        index, name = key.split(".")
        state.setdefault(int(index), {})[name] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return Progress(**json.loads(metadata["progress"]))


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
