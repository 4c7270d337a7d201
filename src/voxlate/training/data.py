"""Windows drawn from prepared cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxlate.bundle.contrast import CHANGED
from voxlate.bundle.prepared_case import PreparedCase
from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import TrainingSettings
from voxlate.training.augment import Pair, augment
from voxlate.volume import Array


@dataclass(frozen=True)
class Batch:
    """Windows of one pass, and the cases they are from.

    Attributes:
        source: (B, 1 + additional sources, D, H, W).
        target, weight: (B, 1, D, H, W).
        cases: (B,) names.
    """

    source: Tensor
    target: Tensor
    weight: Tensor
    cases: tuple[str, ...]

    def to(self, device: torch.device) -> Batch:
        """Returns the windows on a device."""
        return Batch(self.source.to(device), self.target.to(device), self.weight.to(device), self.cases)


def draw_batch(cases: Sequence[PreparedCase], recipe: Recipe, step: int, *, rank: int = 0, stream: int = 0) -> Batch:
    """Returns the windows of one step; the same recipe, step, rank and stream give the same windows.

    Each window has random numbers of its own, so that two processes with two windows each see what one process with
    four would see, and nothing is carried from one step to the next, so that a run can resume anywhere.

    Args:
        cases: what to draw from.
        recipe: `training.batch` windows for each of `training.accumulate` passes.
        step: optimiser steps done before.
        rank: of the process.
        stream: another number gives windows that have nothing to do with these, for training without pairs.
    """
    settings, chosen, pairs = recipe.training, [], []
    count = settings.batch * settings.accumulate
    for index in range(count):
        random = np.random.default_rng([settings.seed, step, rank * count + index, *([stream] if stream else [])])
        case = cases[int(random.integers(len(cases)))]
        chosen.append(case.name)
        pairs.append(augment(cut_window(case, settings, random), recipe.augmentation, random))

    def stack(of: Callable[[Pair], Array]) -> Tensor:
        return torch.from_numpy(np.stack([of(pair) for pair in pairs]))

    return Batch(
        stack(lambda pair: np.concatenate([pair.source[None], pair.more]) if len(pair.more) else pair.source[None]),
        stack(lambda pair: pair.target[None]),
        stack(lambda pair: pair.weight[None]),
        tuple(chosen),
    )


def passes(batch: Batch, size: int) -> list[Batch]:
    """Returns the windows of a step in parts of `size`, one for each pass."""
    spans = [slice(start, start + size) for start in range(0, len(batch.cases), size)]
    return [Batch(batch.source[at], batch.target[at], batch.weight[at], batch.cases[at]) for at in spans]


def cut_window(case: PreparedCase, settings: TrainingSettings, random: np.random.Generator) -> Pair:
    """Returns a window around a voxel of the brain, moved inside the volume; zeros fill what the volume lacks.

    A share of the windows is centred on a voxel that has changed, and such voxels weigh more, as do lesions; see
    `TrainingSettings.changed_share`, `changed_weight` and `lesion_weight`. With `region: all` every voxel of the scan
    has a weight.
    """
    window, shape = settings.window, case.mask.shape
    centre = _random_voxel(case, settings.changed_share, random)
    starts = [int(np.clip(c - w // 2, 0, max(0, n - w))) for c, w, n in zip(centre, window, shape, strict=True)]
    box = tuple(slice(start, start + w) for start, w in zip(starts, window, strict=True))
    pads = [(0, w - min(w, n)) for w, n in zip(window, shape, strict=True)]

    def cut(image: NDArray[Any]) -> Array:
        return np.pad(image[box], pads).astype(np.float32)

    inside = cut(case.mask) if settings.region == "brain" else cut(np.broadcast_to(np.True_, shape))
    flat = Pair(cut(case.source), cut(case.target), inside, case.line)
    weight = np.where(np.abs(flat.difference()) > CHANGED, np.float32(settings.changed_weight), inside) * (inside > 0)
    if settings.lesion_weight > 1 and case.lesions is not None:
        weight = np.where((cut(case.lesions) > 0) & (inside > 0), np.float32(settings.lesion_weight), weight)
    more = [cut(image) for image in case.more]
    return replace(flat, weight=weight, more=np.stack(more) if more else flat.more)


def _random_voxel(case: PreparedCase, changed_share: float, random: np.random.Generator) -> tuple[int, ...]:
    """Returns a voxel of the mask by trying voxels of its box: quick, and needs no list of a million voxels."""
    if random.random() < changed_share and case.changed.size:
        index = int(case.changed[int(random.integers(case.changed.size))])
        return tuple(int(n) for n in np.unravel_index(index, case.mask.shape))
    while True:
        voxel = tuple(int(random.integers(n)) for n in case.mask.shape)
        if case.mask[voxel]:
            return voxel
