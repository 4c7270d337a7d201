"""The training loop: resumable, and the same on one process or several."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn

from voxlate.allocator import FRAGMENTED, return_freed_memory
from voxlate.bundle.bundle import read_weights, write_weights
from voxlate.bundle.networks import generator_of
from voxlate.bundle.recipe import Recipe
from voxlate.cases import Case
from voxlate.evaluation.training_cases import STARTS, began_with
from voxlate.io.atomic import remove_orphans, write_json
from voxlate.io.log import counted
from voxlate.jobs.processes import StopRequest
from voxlate.models.parts.single_sample import SingleSampleConvolutions
from voxlate.preparation.store import open_store
from voxlate.training.checkpoint import Checkpointer, Progress, fingerprint_of, weights_sha256
from voxlate.training.data.cohort import TrainingCohort, prepare_training
from voxlate.training.data.windows import Prefetcher, StepBatches, cohort_batches, micro_batches
from voxlate.training.distributed import mean_over_processes, require_same_step
from voxlate.training.failures import told_failures
from voxlate.training.given import Given
from voxlate.training.launch import launch
from voxlate.training.memory import has_unreached_weights, memory_limit, require_training_memory
from voxlate.training.objective import Objective, objectives_of
from voxlate.training.outputs.results import write_results
from voxlate.training.outputs.trackers import Tracker, trackers_of
from voxlate.training.preflight import CHECKPOINT, require_files, require_free, tell_where_it_begins
from voxlate.training.scaling import scale_by_step
from voxlate.training.schedule import StagePosition, stage_position
from voxlate.training.simulated.windows import SimulatedWindows
from voxlate.training.state import SupervisedState, new_generator, new_state
from voxlate.training.steps import Losses, Step, take_step
from voxlate.training.validation import EmaWeights, Validator, ema_decay, ema_of, latest_best_weights, update_ema

log = logging.getLogger("voxlate")

LOG_EVERY = 10
"""Steps between two points of the loss curve; chosen by hand, so that 10,000 steps give a curve of 1,000 points."""

START = "start.safetensors"
"""In the folder of a run: the weights that it started from, where a share of them is kept."""

Watcher = Callable[[Progress, float], None]
"""Called after every step with the progress and the loss."""


@dataclass(frozen=True)
class Machine:
    """Where to train, in the words of Lightning Fabric.

    Attributes:
        accelerator: `cpu`, `cuda`, or `auto`.
        devices: processes or graphics processors on each machine.
        nodes: machines.
        memory_gib: memory in GiB that the training may use; None for all of the device.
        prepared: folder of the prepared cases, which several runs may share; `prepared/` in the run without it.
        cache: folder of brain masks, bias fields and registrations, which runs of other recipes and translations may
            share; None to keep none. See `voxlate.preparation.store`.
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    memory_gib: float | None = None
    prepared: Path | None = None
    cache: Path | None = None


@dataclass(frozen=True)
class Run:
    """The parts of a run, made once before its loop.

    Attributes:
        folder: where the run writes.
        recipe: the resolved recipe.
        fabric: already launched.
        cohort: the prepared cases.
        given: Python objects in place of what the recipe names.
        state: networks and optimisers.
        ema: the EMA weights of the generator.
        objectives: the loss of each stage.
        validator, checkpointer, trackers: called in the loop.
    """

    folder: Path
    recipe: Recipe
    fabric: Fabric
    cohort: TrainingCohort
    given: Given
    state: SupervisedState
    ema: EmaWeights
    objectives: Sequence[Objective]
    validator: Validator
    checkpointer: Checkpointer
    trackers: Sequence[Tracker]


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
        run: folder of the run; gets `prepared/`, `samples/`, `checkpoint.safetensors`, `start.json`, `history.json`,
            `cases.tsv`, `recipe.yaml`, `bundle/`, and `start.safetensors` with `training.start_share`.
        root: replaces the data folder of the recipe.
        resume: go on from the checkpoint in `run`, if it has one.
        start_from: a bundle whose weights the generator starts with.
        machine: accelerator and devices.
        watch: called after each step.

    Raises:
        UsageError: `RUN_EXISTS` when `run` holds folds, or a checkpoint and `resume` is false; `NO_TRAINING_CASE`;
            `DEVICE`; a network, a loss or a tracker of the recipe does not exist.
        InputRefused: a case cannot be used; `LOSS_NOT_FINITE` or `GRADIENT_NOT_FINITE` when the training diverges.
        TemporaryFailure: `MEMORY` when it cannot fit into the memory of the device, or fills it; `DEVICE_FAULT` when
            the GPU fails; `KILLED` when another process of the training ended.
        ModelInvalid: the checkpoint or the bundle to start from does not fit.
    """
    require_free(run, resume=resume)
    tell_where_it_begins(run, resume=resume)
    given = Given(start_from=start_from)
    return train_cases(recipe, recipe.cases(root), run, root=root, given=given, machine=machine, watch=watch)


def train_cases(
    recipe: Recipe,
    cases: list[Case],
    run: Path,
    *,
    root: Path | None = None,
    given: Given | None = None,
    machine: Machine | None = None,
    watch: Watcher | None = None,
) -> Path:
    """Trains on given cases, as for one fold, and resumes from a checkpoint in `run`; otherwise the same as `train`.

    Args:
        recipe: what to do; it names the objects that are given, see `voxlate.training.given.with_objects`.
        cases: of all splits.
        run: folder of the run.
        root: replaces the data folder of the recipe.
        given: Python objects in place of what the recipe names.
        machine: accelerator and devices.
        watch: called after each step.

    Raises:
        VoxlateError: as `train`; `DATASET`.
    """
    machine, given = machine or Machine(), given or Given()
    fabric = _launch(recipe, machine, given)
    limit = memory_limit(fabric.device, processes=machine.devices, gib=machine.memory_gib)
    estimate = require_training_memory(recipe, limit, network=given.network)
    if estimate.need_bytes is None or estimate.need_bytes * FRAGMENTED > limit:
        return_freed_memory()
    if fabric.is_global_zero:
        for folder in (run, machine.prepared or run / "prepared", run / "samples", run / "bundle"):
            remove_orphans(folder)
    with told_failures(recipe, processes=fabric.world_size):
        parts = _set_up(recipe, cases, run, fabric, machine, root=root, given=given)
        try:
            progress = parts.checkpointer.load()
            require_same_step(fabric, progress.step)
            if fabric.is_global_zero:  # the progress of the first process is the one that is kept
                if progress.step < recipe.steps:
                    progress.note_processes(fabric.world_size)
                _log_start(parts, progress)
            run_steps(parts, progress, watch)
        finally:
            for tracker in parts.trackers:
                tracker.close()
        if fabric.is_global_zero:
            write_results(run, recipe, cases, parts.cohort, progress, given=given)
        fabric.barrier()
    return run / "bundle"


def run_steps(run: Run, progress: Progress, watch: Watcher | None) -> None:
    """Takes the steps of a run that are left.

    A signal to stop (Ctrl-C, or SIGTERM, which a scheduler sends at a time limit) ends the run after the current step,
    with a checkpoint.
    """
    recipe, state, settings = run.recipe, run.state, run.recipe.training
    convolutions = SingleSampleConvolutions() if settings.batch == 1 else nullcontext()
    with StopRequest() as request, Prefetcher(partial(_draw, run), recipe.steps) as prefetcher, convolutions:
        while progress.step < recipe.steps:
            current = stage_position(recipe, progress.step)
            trains_generator = current.stage.trains != "discriminator"
            if current.is_first:
                _begin_stage(run, current, progress)

            batches = prefetcher.get(progress.step)
            losses = take_step(state, batches, Step(run.fabric, recipe, progress.step), run.objectives[current.index])
            progress.step += 1
            if trains_generator:
                update_ema(run.ema, state.generator, decay=ema_decay(settings.average, current.done + 1))

            is_validated = progress.step % settings.validate_every == 0 or current.is_last
            is_logged = progress.step % LOG_EVERY == 0 or progress.step == 1
            if is_validated or is_logged:
                losses = mean_over_processes(run.fabric, losses)
            if is_logged:
                _log_losses(run.trackers, progress, losses)
            if watch is not None:
                watch(progress, losses["loss"])

            if is_validated and trains_generator:
                is_at_end = run.validator.ends_stage(run.ema, progress, losses)
                if is_at_end and not current.is_last:
                    progress.stopped.append({"stage": current.index, "step": progress.step})
                    progress.step += current.stage.steps - current.done - 1
            run.checkpointer.save_if_due(progress, request, is_validated=is_validated, steps=recipe.steps)


def _draw(run: Run, step: int) -> StepBatches:
    """Returns the micro-batches of one step, from the dataset of the user or from the prepared cases."""
    if run.given.windows is None:
        return cohort_batches(run.cohort, run.recipe, step, rank=run.fabric.global_rank)
    batch = run.given.windows.draw(run.recipe, step, rank=run.fabric.global_rank, processes=run.fabric.world_size)
    return StepBatches(micro_batches(batch, run.recipe.training.batch))


def _launch(recipe: Recipe, machine: Machine, given: Given) -> Fabric:
    """Returns Fabric with its processes started and its random generators seeded.

    Raises:
        UsageError: `DEVICE`, see `voxlate.training.launch.launch`.
    """
    is_shared = machine.devices * machine.nodes > 1
    fabric = launch(
        machine.accelerator,
        devices=machine.devices,
        nodes=machine.nodes,
        precision=recipe.training.precision,
        seeks_unreached=is_shared and has_unreached_weights(recipe, network=given.network),
    )
    scale_by_step(fabric)
    fabric.seed_everything(recipe.training.seed, verbose=False)
    return fabric


def _set_up(
    recipe: Recipe,
    cases: list[Case],
    run: Path,
    fabric: Fabric,
    machine: Machine,
    *,
    root: Path | None,
    given: Given,
) -> Run:
    """Returns the parts of a run; the order in which networks are built decides the weights that a seed gives."""
    data = root or Path(recipe.data.root)
    windows = given.windows
    if windows is not None:
        windows.require_channels(recipe)
    require_files(cases, recipe, data)
    simulated = SimulatedWindows.of(recipe, data)
    generator = new_generator(recipe, data, given.start_from, given=given.network)
    objectives = objectives_of(recipe, data, loss=given.loss)
    with fabric.rank_zero_first():
        prepared = machine.prepared or run / "prepared"
        store = None if machine.cache is None else open_store(machine.cache)
        cohort = prepare_training(
            cases, prepared, recipe, has_windows=windows is not None, simulated=simulated, store=store
        )
    start = _note_start(run, recipe, generator, given) if fabric.is_global_zero else None
    state = new_state(recipe, generator, fabric, network=given.network)
    ema = ema_of(state.generator)
    trackers = trackers_of(recipe, run) if fabric.is_global_zero else []
    new_network = partial(generator_of, recipe, trust_code=True, network=given.network)
    validator = Validator(recipe, run, cohort, fabric, trackers=trackers, new_network=new_network, start=start)
    fingerprint = fingerprint_of(recipe, cases, windows=None if windows is None else windows.count)
    checkpointer = Checkpointer(run / CHECKPOINT, fabric, state, ema, fingerprint=fingerprint)
    return Run(run, recipe, fabric, cohort, given, state, ema, objectives, validator, checkpointer, trackers)


def _note_start(run: Path, recipe: Recipe, generator: nn.Module, given: Given) -> EmaWeights | None:
    """Returns the weights of which `training.start_share` is kept; None where the training starts from new ones.

    A run that begins writes their hash, the models that they come from, and the weights themselves, because the command
    that resumes it need not name the bundle again.
    """
    path = run / START
    if not (run / CHECKPOINT).exists():
        starts = {} if given.start_from is None else {"starts": began_with(given.start_from)}
        write_json(run / STARTS, {"generator_sha256": weights_sha256(generator.state_dict())} | starts)
        path.unlink(missing_ok=True)
        if recipe.training.start_share and (given.start_from is not None or isinstance(given.network, nn.Module)):
            write_weights(path, generator.state_dict())
    return read_weights(path) if path.is_file() else None


def _begin_stage(run: Run, current: StagePosition, progress: Progress) -> None:
    """Loads the best weights so far if the stage asks for them, and starts the search for the best weights anew."""
    if current.stage.from_best and current.index:
        run.state.generator.load_state_dict(read_weights(latest_best_weights(run.folder, current.index)))
        for name, tensor in run.state.generator.state_dict().items():
            run.ema[name].copy_(tensor)
    if current.stage.trains != "discriminator":
        progress.best, progress.stale = None, 0


def _log_start(run: Run, progress: Progress) -> None:
    """Logs cases, network, device and first step."""
    windows = run.given.windows
    parameters = sum(parameter.numel() for parameter in run.state.generator.parameters())
    simulated = run.cohort.simulated
    drawn = "" if simulated is None else f", {simulated.told}"
    begin = f"resumed at step {progress.step}" if progress.step else "from step 0"
    each = "" if run.fabric.world_size == 1 else f" in each of {run.fabric.world_size} processes"
    log.info(
        "training on %s%s, validating on %d; %s of %s parameters on %s, %s%s; %s of %d",
        counted(len(run.cohort.train), "case") if windows is None else f"{windows.count} windows of a dataset",
        drawn,
        len(run.cohort.validation),
        run.recipe.model.name,
        f"{parameters:,}",
        run.fabric.device,
        counted(torch.get_num_threads(), "thread"),
        each,
        begin,
        run.recipe.steps,
    )


def _log_losses(trackers: Sequence[Tracker], progress: Progress, losses: Losses) -> None:
    """Adds the losses to the history and to all trackers."""
    progress.training.append({"step": progress.step} | losses)
    for tracker in trackers:
        tracker.losses(progress.step, losses)
