"""The training loop: visible, resumable, the same on one processor or several devices."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from voxlate.cohort.cases import Case, write_cases
from voxlate.errors import InputRefused, UsageError
from voxlate.io.atomic import write_json, write_text
from voxlate.losses import Loss, weighted_sum
from voxlate.models import build
from voxlate.train.bundle import WEIGHTS, read_weights, verify_bundle, write_bundle, write_weights
from voxlate.train.card import card
from voxlate.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from voxlate.train.data import Batch, PreparedCase, draw_batch, prepare_case
from voxlate.train.measure import level_mapping, mean_error, quantile_functions
from voxlate.train.recipe import Recipe, TrainingSettings, recipe_text

log = logging.getLogger("voxlate")
LOG_EVERY = 10

Watcher = Callable[[Progress, float], None]
"""Called after every step with the progress and the loss."""


@dataclass(frozen=True)
class Machine:
    """Where to train, in the words of Lightning Fabric."""

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1


def train(
    recipe: Recipe,
    run: Path,
    *,
    root: Path | None = None,
    resume: bool = False,
    start_from: Path | None = None,
    machine: Machine | None = None,
    watch: Watcher | None = None,
) -> Path:
    """Trains a network and returns the folder of its bundle.

    Args:
        recipe: what to do.
        run: folder of the run; gets `prepared/`, `checkpoint.safetensors`, `cases.tsv`, `recipe.yaml`, `bundle/`.
        root: replaces the data folder of the recipe.
        resume: go on from the checkpoint in `run`, if there is one.
        start_from: a bundle whose weights the network starts with.
        machine: accelerator and devices.
        watch: called after each step.

    Raises:
        UsageError: `RUN_EXISTS` when `run` holds a checkpoint and `resume` is false; `NO_TRAINING_CASE`.
        InputRefused: a case cannot be used, or `LOSS_NOT_FINITE`.
        ModelInvalid: the checkpoint or the bundle to start from does not fit.
    """
    checkpoint = run / "checkpoint.safetensors"
    if checkpoint.exists() and not resume:
        raise UsageError("RUN_EXISTS", f"{run.name} holds a run; pass --resume to go on, or name another folder")
    cases = recipe.data.resolve(root)
    place = machine or Machine()
    fabric = Fabric(
        accelerator=place.accelerator, devices=place.devices, num_nodes=place.nodes, precision=recipe.training.precision
    )
    fabric.launch()
    prepared = _prepare(cases, run, recipe, fabric)
    fabric.seed_everything(recipe.training.seed, verbose=False)
    network, optimiser = fabric.setup(*_new_network(recipe, start_from))
    average = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    fingerprint = _fingerprint(recipe, cases)
    progress = Progress()
    if checkpoint.exists():
        progress = load_checkpoint(checkpoint, network, average, optimiser, recipe=fingerprint)
    loss = weighted_sum(recipe.loss)
    for batch in _batches(prepared["train"], recipe, progress.step, fabric.global_rank):
        value = _step(fabric, network, optimiser, batch, loss=loss, settings=recipe.training, done=progress.step)
        progress.step += 1
        _follow(average, network, decay=_decay(recipe.training.average, progress.step))
        _note(progress, value, watch)
        if progress.step % recipe.training.validate_every == 0 or progress.step == recipe.training.steps:
            _validate(network, average, prepared["validation"], recipe, progress=progress, run=run)
            if fabric.is_global_zero:
                save_checkpoint(checkpoint, network, average, optimiser, progress=progress, recipe=fingerprint)
    if fabric.is_global_zero:
        _finish(run, recipe, prepared, progress=progress, cases=cases)
    fabric.barrier()
    return run / "bundle"


def _step(
    fabric: Fabric,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    *,
    loss: Loss,
    settings: TrainingSettings,
    done: int,
) -> float:
    """Takes one step on one batch and returns its loss."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(settings, done)
    source, target, weight = (tensor.to(fabric.device) for tensor in (batch.source, batch.target, batch.weight))
    value = loss(network(source), target, weight)
    if not bool(torch.isfinite(value)):
        names = ", ".join(sorted(set(batch.cases)))
        raise InputRefused(
            "LOSS_NOT_FINITE",
            f"the loss is {float(value.detach())} at step {done} on {names}; the last checkpoint is kept",
        )
    optimiser.zero_grad(set_to_none=True)
    fabric.backward(value)
    fabric.clip_gradients(network, optimiser, max_norm=settings.clip)
    optimiser.step()
    return float(value.detach())


def learning_rate(settings: TrainingSettings, done: int) -> float:
    """Returns the rate after `done` steps: linear warm-up, then a cosine down to a hundredth of the peak."""
    if done < settings.warmup:
        return settings.learning_rate * (done + 1) / settings.warmup
    share = (done - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def _prepare(cases: list[Case], run: Path, recipe: Recipe, fabric: Fabric) -> dict[str, list[PreparedCase]]:
    with fabric.rank_zero_first():
        prepared: dict[str, list[PreparedCase]] = {"train": [], "validation": []}
        for case in cases:
            if case.split in prepared:
                prepared[case.split].append(prepare_case(case, run / "prepared", recipe.preparation))
    if not prepared["train"]:
        raise UsageError("NO_TRAINING_CASE", "the table has no case whose split is `train`")
    return prepared


def _new_network(recipe: Recipe, start_from: Path | None) -> tuple[nn.Module, torch.optim.Optimizer]:
    network = build(recipe.model.name, **recipe.model.arguments)
    if start_from is not None:
        verify_bundle(start_from)
        network.load_state_dict(read_weights(start_from / WEIGHTS))
    settings = recipe.training
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=settings.weight_decay
    )
    return network, optimiser


def _batches(cases: list[PreparedCase], recipe: Recipe, start: int, rank: int) -> Iterator[Batch]:
    """Yields the batches of the steps that are left, drawing the next while the network works on one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = None
        for step in range(start, recipe.training.steps):
            current = waiting or pool.submit(draw_batch, cases, recipe, step, rank=rank)
            is_last = step + 1 >= recipe.training.steps
            waiting = None if is_last else pool.submit(draw_batch, cases, recipe, step + 1, rank=rank)
            yield current.result()


def _follow(average: dict[str, Tensor], network: nn.Module, *, decay: float) -> None:
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor.detach(), 1 - decay)
        else:
            average[name].copy_(tensor)


def _decay(longest: float, step: int) -> float:
    """Returns the decay of the moving average, which follows closely at first so that it forgets the start."""
    return min(longest, (1 + step) / (10 + step))


def _note(progress: Progress, value: float, watch: Watcher | None) -> None:
    if progress.step % LOG_EVERY == 0 or progress.step == 1:
        progress.training.append({"step": progress.step, "loss": value})
    if watch is not None:
        watch(progress, value)


def _validate(
    network: nn.Module,
    average: dict[str, Tensor],
    cases: list[PreparedCase],
    recipe: Recipe,
    *,
    progress: Progress,
    run: Path,
) -> None:
    """Measures the averaged weights on the validation cases, and keeps the best, or the last if there is no case."""
    error = None
    if cases:
        judged = build(recipe.model.name, **recipe.model.arguments)
        judged.load_state_dict({name: tensor.cpu() for name, tensor in average.items()})
        device = next(network.parameters()).device
        error = mean_error(judged.to(device), cases, recipe.inference, device)
        progress.validation.append({"step": progress.step, "loss": error})
        log.info("step %d: error on %d validation cases %.4f", progress.step, len(cases), error)
    if error is None or progress.best is None or error < progress.best:
        progress.best = error
        write_weights(run / "best.safetensors", average)


def _finish(
    run: Path, recipe: Recipe, prepared: dict[str, list[PreparedCase]], *, progress: Progress, cases: list[Case]
) -> None:
    mapping = level_mapping(prepared["train"])
    history: dict[str, Any] = {key: asdict(progress)[key] for key in ("training", "validation")}
    history["learning_rate"] = [
        {"step": point["step"], "value": learning_rate(recipe.training, int(point["step"]) - 1)}
        for point in progress.training
    ]
    documents = {"mapping": mapping, "baselines": quantile_functions(prepared["train"]), "history": history}
    weights = read_weights(run / "best.safetensors")
    names = {split: [case.case for case in cases if case.split == split] for split in ("train", "validation", "test")}
    text = card(recipe, weights, names=names, progress=progress, mapping=mapping)
    write_bundle(run / "bundle", recipe, weights, documents=documents, card=text)
    write_cases(run / "cases.tsv", cases)
    write_text(run / "recipe.yaml", recipe_text(recipe))
    write_json(run / "history.json", history)


def _fingerprint(recipe: Recipe, cases: list[Case]) -> str:
    """Returns a hash of what a resumed run must share: the recipe but for its data folder, and the cases."""
    content = recipe.model_dump_json(exclude={"data"}) + "|".join(f"{case.case}:{case.split}" for case in cases)
    return hashlib.sha256(content.encode()).hexdigest()
