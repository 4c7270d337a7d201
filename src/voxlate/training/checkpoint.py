"""The whole state of a run in one safetensors file, so that a resumed run takes the same steps."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from lightning_fabric import Fabric
from safetensors import safe_open
from torch import Tensor

from voxlate.bundle.bundle import read_weights, write_weights
from voxlate.bundle.recipe import Recipe
from voxlate.cases import Case
from voxlate.errors import ModelInvalid
from voxlate.io.log import counted, warn
from voxlate.jobs.processes import StopRequest
from voxlate.training.distributed import any_process
from voxlate.training.state import SupervisedState

log = logging.getLogger("voxlate")

CHECKPOINT_SECONDS = 300.0
"""Longest time between two checkpoints, so that a kill without warning costs at most five minutes of training.

Writing one takes a second or two, less than 1 % of that."""


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        step: optimiser steps done.
        best: the value that chose the weights kept so far in this stage (`TrainingSettings.keep`); None before any
            weights are kept.
        stale: validations since then.
        training: losses of each logged step.
        validation: error of each validation.
        stopped: stage and step of each early stop.
        processes: their number from each step on at which it changed; empty in a checkpoint of a version that did not
            keep it.
    """

    step: int = 0
    best: float | None = None
    stale: int = 0
    training: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)
    stopped: list[dict[str, int]] = field(default_factory=list)
    processes: list[dict[str, int]] = field(default_factory=list)

    def note_processes(self, count: int) -> None:
        """Keeps the number of processes that take the steps that follow; warns where it is another than before.

        Args:
            count: of the processes.
        """
        before = self.processes[-1]["processes"] if self.processes else None
        if count == before:
            return
        if before is not None:
            who = counted(count, "process goes", "processes go")
            warn(
                "PROCESSES_DIFFER",
                f"{who} on with a training of {before}: from step {self.step} on a step sees {count / before:.3g} "
                f"times as many windows, and others; pass --devices {before} to go on alike",
            )
        self.processes.append({"step": self.step, "processes": count})


class Checkpointer:
    """Writes the checkpoint of a run when one is due, and reads it when the run is resumed.

    Args:
        path: of the file.
        fabric: already launched; only its first process writes.
        state: networks and optimisers.
        ema: the EMA weights by name.
        fingerprint: of recipe and cases; a checkpoint with another one is refused.
    """

    def __init__(
        self, path: Path, fabric: Fabric, state: SupervisedState, ema: dict[str, Tensor], *, fingerprint: str
    ) -> None:
        self.path, self.fabric, self.state, self.ema = path, fabric, state, ema
        self.fingerprint = fingerprint
        self.saved = time.monotonic()

    def load(self) -> Progress:
        """Puts the checkpoint into networks, optimisers and EMA weights; without a file it returns a new progress.

        Raises:
            ModelInvalid: see `load_checkpoint`.
        """
        if not self.path.exists():
            return Progress()
        return load_checkpoint(self.path, self.state, self.ema, fingerprint=self.fingerprint)

    def save_if_due(self, progress: Progress, request: StopRequest, *, is_validated: bool, steps: int) -> None:
        """Writes a checkpoint after a validation, when the last one is old, and before a requested stop.

        Args:
            progress: of the run.
            request: the signal to stop, if one came; all processes stop at the same step.
            is_validated: whether the step was followed by a validation.
            steps: of the whole run.

        Raises:
            KeyboardInterrupt, SystemExit: the run stops here, see `StopRequest.obey`.
        """
        is_old = time.monotonic() - self.saved > CHECKPOINT_SECONDS
        is_stopped, is_old = any_process(self.fabric, request.signal != 0, is_old)
        if is_validated or is_stopped or is_old:
            self.save(progress)
        if is_stopped and progress.step < steps:
            log.info("stopped after step %d of %d; the same command with --resume goes on", progress.step, steps)
            request.obey()

    def save(self, progress: Progress) -> None:
        """Writes a checkpoint now."""
        if self.fabric.is_global_zero:
            save_checkpoint(self.path, self.state, self.ema, progress=progress, fingerprint=self.fingerprint)
        self.fabric.barrier()
        self.saved = time.monotonic()


def save_checkpoint(
    path: Path, state: SupervisedState, ema: dict[str, Tensor], *, progress: Progress, fingerprint: str
) -> None:
    """Writes networks, EMA weights, optimisers and progress.

    Args:
        path: of the file, replaced atomically.
        state: networks and optimisers.
        ema: the EMA weights by name.
        progress: of the run.
        fingerprint: what a resumed run must share, see `fingerprint_of`.
    """
    tensors = {f"average.{name}": tensor for name, tensor in ema.items()}
    for network_name, network in state.networks().items():
        tensors |= {f"network.{network_name}.{name}": tensor for name, tensor in network.state_dict().items()}
    for optimiser_name, optimiser in state.optimisers().items():
        for index, values in optimiser.state_dict()["state"].items():
            prefix = f"optimiser.{optimiser_name}.{index}"
            tensors |= {f"{prefix}.{name}": torch.as_tensor(value) for name, value in values.items()}
    write_weights(path, tensors, metadata={"progress": json.dumps(asdict(progress)), "recipe": fingerprint})


def load_checkpoint(path: Path, state: SupervisedState, ema: dict[str, Tensor], *, fingerprint: str) -> Progress:
    """Puts the content of a checkpoint into `state` and `ema`, and returns the progress.

    Args:
        path: of the file.
        state: networks and optimisers, changed in place.
        ema: the EMA weights by name, changed in place.
        fingerprint: of the run that resumes, see `fingerprint_of`.

    Raises:
        ModelInvalid: `CHECKPOINT_RECIPE` when it belongs to another recipe, cohort or network; `MODEL_WEIGHTS`,
            `MODEL_NAN`.
    """
    tensors = read_weights(path)
    with safe_open(path, framework="pt") as stored:
        metadata = stored.metadata() or {}  # None in a file of weights alone
    if metadata.get("recipe") != fingerprint:
        raise ModelInvalid(
            "CHECKPOINT_RECIPE",
            f"{path.name} is from another recipe or cohort; restore these, or use another run folder",
        )
    for network_name, network in state.networks().items():
        try:
            network.load_state_dict(_below(f"network.{network_name}.", tensors))
        except RuntimeError as error:  # the code of a network outside voxlate was changed
            raise ModelInvalid(
                "CHECKPOINT_RECIPE", f"{path.name} holds the weights of another network; use another run folder"
            ) from error
    for name, tensor in _below("average.", tensors).items():
        ema[name].copy_(tensor)
    for optimiser_name, optimiser in state.optimisers().items():
        values: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _below(f"optimiser.{optimiser_name}.", tensors).items():
            index, name = key.split(".")
            values.setdefault(int(index), {})[name] = tensor
        optimiser.load_state_dict({"state": values, "param_groups": optimiser.state_dict()["param_groups"]})
    return Progress(**json.loads(metadata["progress"]))


def fingerprint_of(recipe: Recipe, cases: Sequence[Case], *, windows: int | None = None) -> str:
    """Returns a hash of what a resumed run must share: the recipe without its data folder, the cases, their splits.

    Args:
        recipe: the resolved recipe.
        cases: of all splits.
        windows: number of windows in a dataset of the user; None without one.
    """
    content = recipe.model_dump_json(exclude={"data"}) + "|".join(f"{case.case}:{case.split}" for case in cases)
    content += "" if windows is None else f"|{windows} windows"
    return hashlib.sha256(content.encode()).hexdigest()


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """Returns a hash of the names and values of tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
