"""The training loop: visible, resumable, the same on one processor or several devices."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from voxlate.bundle.bundle import WEIGHTS, read_weights, verify_bundle, write_bundle, write_weights
from voxlate.bundle.networks import generator_of, load_encoder
from voxlate.bundle.out_of_distribution import fit_known, intensities_of
from voxlate.bundle.recipe import Recipe, recipe_text
from voxlate.cases import Case, write_cases
from voxlate.errors import ModelInvalid, UsageError
from voxlate.io.atomic import remove_orphans, write_json, write_text
from voxlate.jobs.processes import StopRequest
from voxlate.training.card import card
from voxlate.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from voxlate.training.cohort import TrainingCohort, prepare_training
from voxlate.training.data import Batch, draw_batch, passes
from voxlate.training.filter_visualisation import network_pictures
from voxlate.training.objective import objectives_of
from voxlate.training.schedule import Position, learning_rate, position
from voxlate.training.state import Players, new_players
from voxlate.training.steps import Trainer
from voxlate.training.trackers import Tracker, trackers_of
from voxlate.training.validation import judge, level_mapping, quantile_functions

log = logging.getLogger("voxlate")
LOG_EVERY = 10
CHECKPOINT_SECONDS = 300.0
"""Between checkpoints by the clock: what a kill without warning costs at most. Writing one takes a second or two."""

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
        run: folder of the run; gets `prepared/`, `samples/`, `checkpoint.safetensors`, `start.json`, `history.json`,
            `cases.tsv`, `recipe.yaml`, `bundle/`.
        root: replaces the data folder of the recipe.
        resume: go on from the checkpoint in `run`, if there is one.
        start_from: a bundle whose weights the generator starts with.
        machine: accelerator and devices.
        watch: called after each step.

    Raises:
        UsageError: `RUN_EXISTS` when `run` holds a checkpoint and `resume` is false; `NO_TRAINING_CASE`; what the
            recipe names and there is not.
        InputRefused: a case cannot be used, or `LOSS_NOT_FINITE`.
        ModelInvalid: the checkpoint or the bundle to start from does not fit.
    """
    if (run / CHECKPOINT).exists() and not resume:
        raise UsageError("RUN_EXISTS", f"{run.name} holds a run; pass --resume to go on, or name another folder")
    if resume and not (run / CHECKPOINT).exists():
        log.info("there is no checkpoint in %s to resume; the run begins at step 0", run.name)
    return train_cases(
        recipe, recipe.data.resolve(root), run, root=root, start_from=start_from, machine=machine, watch=watch
    )


def train_cases(
    recipe: Recipe,
    cases: list[Case],
    run: Path,
    *,
    root: Path | None = None,
    start_from: Path | None = None,
    machine: Machine | None = None,
    watch: Watcher | None = None,
) -> Path:
    """Trains on cases that are given, as a fold is, going on from a checkpoint in `run`; otherwise as `train`."""
    place = machine or Machine()
    fabric = Fabric(
        accelerator=place.accelerator, devices=place.devices, num_nodes=place.nodes, precision=recipe.training.precision
    )
    fabric.launch()
    fabric.seed_everything(recipe.training.seed, verbose=False)
    if fabric.is_global_zero:
        for left in (run, run / "prepared", run / "samples", run / "bundle"):
            remove_orphans(left)
    folder = root or Path(recipe.data.root)
    generator = _new_generator(recipe, start_from, folder)
    objectives = objectives_of(recipe, folder)
    with fabric.rank_zero_first():
        cohort = prepare_training(cases, run / "prepared", recipe)
    if fabric.is_global_zero and not (run / CHECKPOINT).exists():
        write_json(run / "start.json", {"generator_sha256": weights_sha256(generator.state_dict())})
    players = new_players(recipe, generator, fabric)
    trackers = trackers_of(recipe, run) if fabric.is_global_zero else []
    running = _Run(recipe, cases, run, fabric, players, cohort, trackers)
    if fabric.is_global_zero:
        running.announce()
    try:
        running.go(Trainer(fabric, players, recipe, objectives), watch)
    finally:
        for tracker in trackers:
            tracker.close()
    if fabric.is_global_zero:
        running.finish()
    fabric.barrier()
    return run / "bundle"


CHECKPOINT = "checkpoint.safetensors"


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """Returns a hash of the names and values of tensors."""
    found = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


class _Run:
    """A run between its start and its bundle."""

    def __init__(
        self,
        recipe: Recipe,
        cases: list[Case],
        run: Path,
        fabric: Fabric,
        players: Players,
        cohort: TrainingCohort,
        trackers: Sequence[Tracker],
    ) -> None:
        self.recipe, self.cases, self.run, self.fabric = recipe, cases, run, fabric
        self.players, self.cohort, self.trackers = players, cohort, trackers
        self.average = {name: x.detach().clone() for name, x in players.generator.state_dict().items()}
        self.fingerprint = _fingerprint(recipe, cases)
        self.progress = Progress()
        self.saved = time.monotonic()
        if (run / CHECKPOINT).exists():
            self.progress = load_checkpoint(run / CHECKPOINT, players, self.average, recipe=self.fingerprint)

    def announce(self) -> None:
        """Says what is about to happen."""
        parameters = sum(parameter.numel() for parameter in self.players.generator.parameters())
        begin = f"resumed at step {self.progress.step}" if self.progress.step else "from step 0"
        log.info(
            "training on %d cases, validating on %d; %s of %s parameters on %s, %d threads; %s of %d",
            len(self.cohort.train),
            len(self.cohort.validation),
            self.recipe.model.name,
            f"{parameters:,}",
            self.fabric.device,
            torch.get_num_threads(),
            begin,
            self.recipe.steps,
        )

    def go(self, trainer: Trainer, watch: Watcher | None) -> None:
        """Takes the steps that are left.

        A signal to stop (Ctrl-C, SIGTERM, as a scheduler sends it at a time limit) ends the run after the step that is
        under way, with a checkpoint.
        """
        progress, settings = self.progress, self.recipe.training
        self.saved = time.monotonic()
        drawing = _Drawing(self.cohort, self.recipe, self.fabric.global_rank)
        with StopRequest() as request, drawing:
            while progress.step < self.recipe.steps:
                place = position(self.recipe, progress.step)
                if place.is_first:
                    self._enter(place)
                losses = trainer.take(*drawing.at(progress.step), progress.step)
                progress.step += 1
                if place.stage.trains != "discriminator":
                    _follow(self.average, self.players.generator, decay=_decay(settings.average, place.done + 1))
                is_checked = progress.step % settings.validate_every == 0 or place.is_last
                is_logged = progress.step % LOG_EVERY == 0 or progress.step == 1
                if is_checked or is_logged:
                    losses = self._over_processes(losses)
                if is_logged:
                    self._log(losses)
                if watch is not None:
                    watch(progress, losses["loss"])
                if is_checked:
                    has_ended = place.stage.trains != "discriminator" and self._validate(losses["loss"])
                    if has_ended and not place.is_last:
                        progress.stopped.append({"stage": place.index, "step": progress.step})
                        progress.step += place.stage.steps - place.done - 1
                self._pause(request, is_checked=is_checked)

    def _pause(self, request: StopRequest, *, is_checked: bool) -> None:
        """Writes a checkpoint after a validation, when the last is old, and before it ends a run that is to stop."""
        is_old = time.monotonic() - self.saved > CHECKPOINT_SECONDS
        is_stopped, is_old = self._any(request.signal != 0, is_old)
        if is_checked or is_stopped or is_old:
            self._save()
        if is_stopped and self.progress.step < self.recipe.steps:
            place = f"step {self.progress.step} of {self.recipe.steps}"
            log.info("stopped after %s; the same command with --resume goes on there", place)
            request.obey()

    def _any(self, *flags: bool) -> tuple[bool, ...]:
        """Returns whether any process says so, as all of them must save and stop at the same step."""
        if self.fabric.world_size == 1:
            return flags
        values = torch.tensor([float(flag) for flag in flags], device=self.fabric.device)
        found = torch.as_tensor(self.fabric.all_reduce(values, reduce_op="sum"))
        return tuple(bool(value > 0) for value in found)

    def _save(self) -> None:
        if self.fabric.is_global_zero:
            save_checkpoint(
                self.run / CHECKPOINT, self.players, self.average, progress=self.progress, recipe=self.fingerprint
            )
        self.fabric.barrier()
        self.saved = time.monotonic()

    def finish(self) -> None:
        """Writes the bundle and what else is worth keeping."""
        progress, recipe, cohort = self.progress, self.recipe, self.cohort
        mapping = level_mapping(cohort.train, cohort.targets)
        history: dict[str, Any] = {key: asdict(progress)[key] for key in ("training", "validation", "stopped")}
        history["learning_rate"] = [
            {"step": point["step"], "value": learning_rate(recipe, int(point["step"]) - 1)}
            for point in progress.training
        ]
        baselines = quantile_functions(cohort.train, cohort.targets)
        shown = [intensities_of(case.target[case.mask]) for case in cohort.targets or cohort.train]
        known = fit_known([case.description for case in cohort.train], shown).to_json()
        documents = {"mapping": mapping, "baselines": baselines, "history": history, "known": known}
        weights = read_weights(self._latest_best(len(recipe.plan)))
        network = generator_of(recipe)
        network.load_state_dict(weights)
        pictures = network_pictures(network, (cohort.validation or cohort.train)[0])
        documents |= {} if pictures is None else {"pictures": pictures}
        splits = ("train", "validation", "test")
        names = {split: [case.case for case in self.cases if case.split == split] for split in splits}
        text = card(recipe, weights, names=names, progress=progress, mapping=mapping)
        write_bundle(self.run / "bundle", recipe, weights, documents=documents, card=text)
        write_cases(self.run / "cases.tsv", self.cases)
        write_text(self.run / "recipe.yaml", recipe_text(recipe))
        write_json(self.run / "history.json", history)

    def _best_of(self, stage: int) -> Path:
        return self.run / f"best-{stage}.safetensors"

    def _latest_best(self, before: int) -> Path:
        """Returns the best weights of the last stage before one that kept any."""
        return next(path for path in map(self._best_of, range(before - 1, -1, -1)) if path.exists())

    def _enter(self, place: Position) -> None:
        """Begins a stage: what is best counts anew, and the generator may go back to what was best before it."""
        if place.stage.from_best and place.index:
            self.players.generator.load_state_dict(read_weights(self._latest_best(place.index)))
            for name, tensor in self.players.generator.state_dict().items():
                self.average[name].copy_(tensor)
        if place.stage.trains != "discriminator":
            self.progress.best, self.progress.stale = None, 0

    def _over_processes(self, losses: dict[str, float]) -> dict[str, float]:
        """Returns the mean over processes, so that all of them decide alike."""
        if self.fabric.world_size == 1:
            return losses
        values = torch.tensor(list(losses.values()), device=self.fabric.device)
        mean = self.fabric.all_reduce(values, reduce_op="mean")
        return dict(zip(losses, torch.as_tensor(mean).tolist(), strict=True))

    def _log(self, losses: dict[str, float]) -> None:
        self.progress.training.append({"step": self.progress.step} | losses)
        for tracker in self.trackers:
            tracker.losses(self.progress.step, losses)

    def _validate(self, training_loss: float) -> bool:
        """Measures the averaged weights, keeps them or not, and tells whether the stage may end early."""
        progress, settings = self.progress, self.recipe.training
        error = self.fabric.broadcast(self._judge() if self.fabric.is_global_zero else None)
        if error is not None:
            self.progress.validation.append({"step": self.progress.step, "loss": error})
        chosen_by = {"best": error, "last": None, "training_loss": training_loss}[settings.keep]
        is_better = chosen_by is None or progress.best is None or chosen_by < progress.best
        progress.stale = 0 if is_better else progress.stale + 1
        if is_better:
            progress.best = chosen_by
            if self.fabric.is_global_zero:
                write_weights(self._best_of(position(self.recipe, progress.step - 1).index), self.average)
        return settings.patience is not None and progress.stale >= settings.patience

    def _judge(self) -> float | None:
        """Returns the error on the validation cases, or None without any; hands a sample to the trackers."""
        has_cases = bool(self.cohort.validation)
        cases = self.cohort.validation or self.cohort.train[:1]
        network = generator_of(self.recipe)
        network.load_state_dict({name: tensor.cpu() for name, tensor in self.average.items()})
        device = self.fabric.device
        found = judge(network.to(device), cases, self.recipe.inference, device)
        for tracker in self.trackers:
            tracker.sample(self.progress.step, found.sample)
        if not has_cases:
            return None
        log.info("step %d: error on %d validation cases %.4f", self.progress.step, len(cases), found.error)
        for tracker in self.trackers:
            tracker.losses(self.progress.step, {"validation": found.error})
        return found.error


class _Drawing:
    """Draws the windows of the next step while the networks work on those of one."""

    def __init__(self, cohort: TrainingCohort, recipe: Recipe, rank: int) -> None:
        self.cohort, self.recipe, self.rank = cohort, recipe, rank
        self.pool = ThreadPoolExecutor(max_workers=1)
        self.waiting: dict[int, Future[tuple[list[Batch], list[Batch] | None]]] = {}

    def __enter__(self) -> _Drawing:
        return self

    def __exit__(self, *error: object) -> None:
        self.pool.shutdown(cancel_futures=True)

    def at(self, step: int) -> tuple[list[Batch], list[Batch] | None]:
        """Returns the windows of each pass, and those without a partner for a cycle."""
        current = self.waiting.pop(step, None) or self.pool.submit(self._draw, step)
        self.waiting = {step + 1: self.pool.submit(self._draw, step + 1)} if step + 1 < self.recipe.steps else {}
        return current.result()

    def _draw(self, step: int) -> tuple[list[Batch], list[Batch] | None]:
        size = self.recipe.training.batch
        here = passes(draw_batch(self.cohort.train, self.recipe, step, rank=self.rank), size)
        if self.recipe.cycle is None:
            return here, None
        others = self.cohort.targets or self.cohort.train
        return here, passes(draw_batch(others, self.recipe, step, rank=self.rank, stream=1), size)


def _new_generator(recipe: Recipe, start_from: Path | None, folder: Path) -> nn.Module:
    network = generator_of(recipe)
    if recipe.model.encoder is not None:
        load_encoder(network, folder / recipe.model.encoder, recipe.model.encoder_sha256 or "")
    if start_from is not None:
        verify_bundle(start_from)
        try:
            network.load_state_dict(read_weights(start_from / WEIGHTS))
        except RuntimeError as error:
            raise ModelInvalid("MODEL_WEIGHTS", f"{start_from.name} is a bundle of another network") from error
    return network


def _follow(average: dict[str, Tensor], network: nn.Module, *, decay: float) -> None:
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor.detach(), 1 - decay)
        else:
            average[name].copy_(tensor)


def _decay(longest: float, step: int) -> float:
    """Returns the decay of the moving average, which follows closely at first so that it forgets the start."""
    return min(longest, (1 + step) / (10 + step))


def _fingerprint(recipe: Recipe, cases: list[Case]) -> str:
    """Returns a hash of what a resumed run must share: the recipe but for its data folder, and the cases."""
    content = recipe.model_dump_json(exclude={"data"}) + "|".join(f"{case.case}:{case.split}" for case in cases)
    return hashlib.sha256(content.encode()).hexdigest()
