"""Windows drawn from prepared cases: random, repeatable from the seed and the step, and drawn one step ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxlate.bundle.prepared_case import PreparedCase
from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import TrainingSettings
from voxlate.training.data.augment import Pair, augment
from voxlate.training.data.cohort import TrainingCohort
from voxlate.training.data.weights import weighted
from voxlate.training.simulated.windows import SimulatedWindows
from voxlate.volume import Array


@dataclass(frozen=True)
class Batch:
    """Windows in relative units, and the cases they are from.

    Attributes:
        source: (B, 1 + additional sources, D, H, W).
        target, weight: (B, 1, D, H, W); the weight of a voxel in the loss is 0 where the loss does not count.
        cases: (B,) names.
        contrasts: (B, 2, n), quantiles of source and target in the whole brain, for a network that takes a reference;
            zeros for a window without a reference. None for other networks.
    """

    source: Tensor
    target: Tensor
    weight: Tensor
    cases: tuple[str, ...]
    contrasts: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """Returns the windows on a device."""
        contrasts = None if self.contrasts is None else self.contrasts.to(device)
        return Batch(self.source.to(device), self.target.to(device), self.weight.to(device), self.cases, contrasts)

    def part(self, windows: slice) -> Batch:
        """Returns some of the windows."""
        contrasts = None if self.contrasts is None else self.contrasts[windows]
        tensors = self.source[windows], self.target[windows], self.weight[windows]
        return Batch(*tensors, self.cases[windows], contrasts)


@dataclass(frozen=True)
class StepBatches:
    """The micro-batches of one optimiser step.

    Attributes:
        sources: pairs, or for a cycle windows of which the sources are used.
        targets: for a cycle, as many windows of other cases, of which the targets are used; otherwise empty.
    """

    sources: list[Batch]
    targets: list[Batch] = field(default_factory=list)


class Prefetcher:
    """Draws the windows of the next step in a thread while the networks work on those of this one.

    Args:
        draw: returns the micro-batches of the step after so many steps.
        steps: of the whole run.
    """

    def __init__(self, draw: Callable[[int], StepBatches], steps: int) -> None:
        self.draw, self.steps = draw, steps
        self.pool = ThreadPoolExecutor(max_workers=1)
        self.pending: dict[int, Future[StepBatches]] = {}

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(self, *error: object) -> None:
        self.pool.shutdown(cancel_futures=True)

    def get(self, step: int) -> StepBatches:
        """Returns the micro-batches of the step after `step` steps, and begins to draw those of the one after it."""
        current = self.pending.pop(step, None) or self.pool.submit(self.draw, step)
        self.pending = {step + 1: self.pool.submit(self.draw, step + 1)} if step + 1 < self.steps else {}
        return current.result()


def cohort_batches(cohort: TrainingCohort, recipe: Recipe, step: int, *, rank: int) -> StepBatches:
    """Returns the micro-batches of one step, drawn from prepared cases.

    Args:
        cohort: the prepared cases.
        recipe: the resolved recipe.
        step: optimiser steps done before.
        rank: of the process; each process has windows of its own.
    """
    size = recipe.training.batch
    sources = micro_batches(draw_batch(cohort.train, recipe, step, rank=rank, simulated=cohort.simulated), size)
    if recipe.cycle is None:
        return StepBatches(sources)
    targets = draw_batch(cohort.targets or cohort.train, recipe, step, rank=rank, stream=1)
    return StepBatches(sources, micro_batches(targets, size))


def draw_batch(
    cases: Sequence[PreparedCase],
    recipe: Recipe,
    step: int,
    *,
    rank: int = 0,
    stream: int = 0,
    simulated: SimulatedWindows | None = None,
) -> Batch:
    """Returns the windows of one step; the same recipe, step, rank and stream give the same windows.

    Each window has random numbers of its own, so that two processes with two windows each see what one process with
    four would see. Nothing is carried from one step to the next, so that a run can resume anywhere.

    Args:
        cases: what to draw from.
        recipe: `training.batch` windows for each of `training.accumulate` micro-batches.
        step: optimiser steps done before.
        rank: of the process.
        stream: another number gives unrelated windows, for training without pairs.
        simulated: gives a share of the windows.
    """
    settings, names, pairs = recipe.training, [], []
    count = settings.batch * settings.accumulate
    for index in range(count):
        random = np.random.default_rng([settings.seed, step, rank * count + index, *([stream] if stream else [])])
        name, pair = _random_window(cases, recipe, simulated, random)
        names.append(name)
        pair = augment(pair, recipe.augmentation, random)
        if recipe.reference is not None and random.random() >= recipe.reference.share:
            pair = replace(pair, contrasts=np.zeros_like(pair.contrasts))
        pairs.append(pair)

    def stack(of: Callable[[Pair], Array]) -> Tensor:
        return torch.from_numpy(np.stack([of(pair) for pair in pairs]))

    return Batch(
        stack(lambda pair: np.concatenate([pair.source[None], pair.more]) if len(pair.more) else pair.source[None]),
        stack(lambda pair: pair.target[None]),
        stack(lambda pair: pair.weight[None]),
        tuple(names),
        None if recipe.reference is None else stack(lambda pair: pair.contrasts),
    )


def _random_window(
    cases: Sequence[PreparedCase], recipe: Recipe, simulated: SimulatedWindows | None, random: np.random.Generator
) -> tuple[str, Pair]:
    """Returns a window and the name of its case or simulated head."""
    if simulated is not None and random.random() < simulated.settings.share:
        name, plain, lesions = simulated.draw(random)
        return name, weighted(plain, recipe.training, lesions)
    case = cases[int(random.integers(len(cases)))]
    if simulated is not None and random.random() < simulated.settings.paint:
        return case.name, painted_window(case, recipe.training, simulated, random)
    return case.name, cut_window(case, recipe.training, random)


def micro_batches(batch: Batch, size: int) -> list[Batch]:
    """Returns the windows of a step in parts of `size` windows, whose gradients are accumulated."""
    return [batch.part(slice(start, start + size)) for start in range(0, len(batch.cases), size)]


def cut_window(case: PreparedCase, settings: TrainingSettings, random: np.random.Generator) -> Pair:
    """Returns a window around a random voxel of the mask, moved inside the volume and padded with zeros.

    A share of the windows is centred on a changed voxel; see `TrainingSettings.changed_share`, and `weighted` for the
    weights. With `region: all` every voxel of the scan has a weight.

    Args:
        case: a prepared case.
        settings: `window` is in voxels along each axis of the RAS+ grid.
        random: where the window lies.
    """
    plain, lesions, _ = _window_around(_random_voxel(case, settings.changed_share, random), case, settings)
    return weighted(plain, settings, lesions)


def painted_window(
    case: PreparedCase, settings: TrainingSettings, simulated: SimulatedWindows, random: np.random.Generator
) -> Pair:
    """Returns a semi-synthetic pair: the target of a case, and as its source the target with simulated enhancement.

    Both have one sequence, noise and texture, so that the agent alone differs and the answer is exact. Vessels and
    lesions lie where they lie in a simulated head whose brain has been given the extent of the case's.

    Args:
        case: a prepared case, whose source is not used.
        settings: as in `cut_window`.
        simulated: gives the enhancement.
        random: decides everything.
    """
    shape = np.array(case.mask.shape)
    number, position = simulated.place(random)
    i, j, k = (position * shape).astype(int)
    plain, lesions, centre = _window_around((int(i), int(j), int(k)), case, settings)
    brighter = simulated.enhancement(number, centre / shape, random)
    source = np.where(plain.weight > 0, plain.target + brighter, plain.target).astype(np.float32)
    contrasts = plain.contrasts[[1, 1]]  # enhancement is in few voxels and hardly moves the quantiles
    return weighted(replace(plain, source=source, line=(1.0, 0.0), contrasts=contrasts), settings, lesions)


def _window_around(
    voxel: tuple[int, ...], case: PreparedCase, settings: TrainingSettings
) -> tuple[Pair, Array | None, NDArray[np.float64]]:
    """Returns the window around a voxel, its lesions where they count, and the voxel at its centre.

    Args:
        voxel: of the case; the window is moved inside the volume.
        case: a prepared case.
        settings: as in `cut_window`.

    Returns:
        A pair whose weight is 1 where the loss counts; lesions, of the window's shape, or None; (3,).
    """
    window, shape = settings.window, case.mask.shape
    starts = [int(np.clip(c - w // 2, 0, max(0, n - w))) for c, w, n in zip(voxel, window, shape, strict=True)]
    box = tuple(slice(start, start + w) for start, w in zip(starts, window, strict=True))
    pads = [(0, w - min(w, n)) for w, n in zip(window, shape, strict=True)]

    def cut(image: NDArray[Any]) -> Array:
        part = image[box].astype(np.float32)
        return np.pad(part, pads) if part.shape != window else part

    inside = cut(case.mask) if settings.region == "brain" else cut(np.broadcast_to(np.True_, shape))
    more = [cut(image) for image in case.more]
    plain = Pair(cut(case.source), cut(case.target), inside, case.line, contrasts=case.contrasts)
    if more:
        plain = replace(plain, more=np.stack(more))
    lesions = cut(case.lesions) if settings.lesion_weight > 1 and case.lesions is not None else None
    return plain, lesions, np.array([start + w / 2 for start, w in zip(starts, window, strict=True)])


def _random_voxel(case: PreparedCase, changed_share: float, random: np.random.Generator) -> tuple[int, ...]:
    """Returns a random voxel of the mask, or of the changed voxels with probability `changed_share`.

    Voxels of the whole grid are tried until one lies in the mask. The grid is cropped to the brain, so that this takes
    a few trials, and it needs no list of a million voxels.
    """
    if random.random() < changed_share and case.changed.size:
        index = int(case.changed[int(random.integers(case.changed.size))])
        return tuple(int(n) for n in np.unravel_index(index, case.mask.shape))
    while True:
        voxel = tuple(int(random.integers(n)) for n in case.mask.shape)
        if case.mask[voxel]:
            return voxel
