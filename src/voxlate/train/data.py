"""Prepared pairs on disk, mapped into memory, and the windows that are drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxlate.cohort.cases import Case
from voxlate.errors import InputRefused, VoxlateError
from voxlate.io.atomic import replacing, write_json
from voxlate.io.nifti import read_volume
from voxlate.prepare import PreparationSettings, fit_preparation
from voxlate.train.augment import Line, Pair, augment, contrast_line, difference
from voxlate.train.recipe import Recipe, TrainingSettings
from voxlate.volume import Array, Mask, require_same_grid

CHANGED = 0.3
"""A voxel whose images differ by more than this, in relative units, after both have the same contrast, has changed."""


@dataclass(frozen=True)
class PreparedCase:
    """A pair in relative units on the RAS+ grid, cropped to the brain; arrays are mapped from files.

    Attributes:
        name: the case.
        source, target: (i, j, k), float32.
        mask: where both images show brain; the loss counts there.
        changed: (n,), flat indices of the voxels of `mask` that differ by more than contrast explains.
        line: slope and intercept from the source's contrast to the target's.
        source_level, target_level: what one relative unit is in each image's own units.
        target_offset, target_median: the target's zero and its median in the mask, over what one relative unit is.
        spacing_mm: of the scan, which decides what is known at inference.
    """

    name: str
    source: Array
    target: Array
    mask: Mask
    changed: NDArray[np.int64]
    line: Line
    source_level: float
    target_level: float
    target_offset: float
    target_median: float
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Batch:
    """Windows of one step: (B, 1, D, H, W) each, and the cases they are from."""

    source: Tensor
    target: Tensor
    weight: Tensor
    cases: tuple[str, ...]


def prepare_case(case: Case, folder: Path, settings: PreparationSettings) -> PreparedCase:
    """Prepares one pair, writes its arrays below `folder`, and returns them mapped into memory.

    Raises:
        VoxlateError: what reading and preparation raise, the case's name put before the message.
    """
    try:
        source, target = read_volume(case.source), read_volume(case.target)
        require_same_grid(source, target, names=("source", "target"))
        mask = None if case.mask is None else read_volume(case.mask)
        preparation = fit_preparation(source, mask, settings)
        prepared_target, scale = preparation.apply_to_target(target)
        covered = preparation.locate(target)
    except VoxlateError as error:
        raise type(error)(error.code, f"{case.case}: {error.message}") from error
    common = preparation.mask & (covered.data != 0)
    if not common.any():
        raise InputRefused("EMPTY_MASK", f"{case.case}: source and target share no voxel of brain")
    prepared = preparation.apply(source).data
    line = contrast_line(prepared, prepared_target.data, common)
    apart = difference(Pair(prepared, prepared_target.data, common.astype(np.float32), line))
    place = folder / case.case
    levels = {
        "source_level": preparation.level,
        "target_level": scale.scale,
        "target_offset": scale.offset / scale.scale,
        "target_median": float(np.median(covered.data[common])) / scale.scale,
    }
    write_json(place / "prepared.json", levels | {"spacing_mm": source.spacing_mm})
    return PreparedCase(
        case.case,
        _on_disk(place / "source.npy", prepared),
        _on_disk(place / "target.npy", prepared_target.data),
        _on_disk(place / "mask.npy", common),
        _on_disk(place / "changed.npy", np.flatnonzero(np.abs(apart) > CHANGED)),
        line,
        spacing_mm=source.spacing_mm,
        **levels,
    )


def draw_batch(cases: Sequence[PreparedCase], recipe: Recipe, step: int, *, rank: int = 0) -> Batch:
    """Returns the windows of one step; the same recipe, step and rank give the same windows.

    Each window has random numbers of its own, so that two processes with two windows each see what one process with
    four would see, and nothing is carried from one step to the next, so that a run can resume anywhere.
    """
    settings, chosen, pairs = recipe.training, [], []
    for index in range(settings.batch):
        random = np.random.default_rng([settings.seed, step, rank * settings.batch + index])
        case = cases[int(random.integers(len(cases)))]
        chosen.append(case.name)
        pairs.append(augment(cut_window(case, settings, random), recipe.augmentation, random))

    def stack(of: Callable[[Pair], Array]) -> Tensor:
        return torch.from_numpy(np.stack([of(pair) for pair in pairs])[:, None])

    return Batch(
        stack(lambda pair: pair.source),
        stack(lambda pair: pair.target),
        stack(lambda pair: pair.weight),
        tuple(chosen),
    )


def cut_window(case: PreparedCase, settings: TrainingSettings, random: np.random.Generator) -> Pair:
    """Returns a window around a voxel of the brain, moved inside the volume; zeros fill what the volume lacks.

    A share of the windows is centred on a voxel that has changed, and such voxels weigh more; see
    `TrainingSettings.changed_share` and `changed_weight`.
    """
    window, shape = settings.window, case.mask.shape
    centre = _random_voxel(case, settings.changed_share, random)
    starts = [int(np.clip(c - w // 2, 0, max(0, n - w))) for c, w, n in zip(centre, window, shape, strict=True)]
    box = tuple(slice(start, start + w) for start, w in zip(starts, window, strict=True))
    pads = [(0, w - min(w, n)) for w, n in zip(window, shape, strict=True)]
    weight = np.pad(case.mask[box], pads).astype(np.float32)
    flat = Pair(np.pad(case.source[box], pads), np.pad(case.target[box], pads), weight, case.line)
    has_changed = np.abs(difference(flat)) > CHANGED
    return replace(flat, weight=np.where(has_changed, np.float32(settings.changed_weight), flat.weight))


def _random_voxel(case: PreparedCase, changed_share: float, random: np.random.Generator) -> tuple[int, ...]:
    """Returns a voxel of the mask by trying voxels of its box: quick, and needs no list of a million voxels."""
    if random.random() < changed_share and case.changed.size:
        index = int(case.changed[int(random.integers(case.changed.size))])
        return tuple(int(n) for n in np.unravel_index(index, case.mask.shape))
    while True:
        voxel = tuple(int(random.integers(n)) for n in case.mask.shape)
        if case.mask[voxel]:
            return voxel


def _on_disk(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    """Writes an array and returns it mapped into memory."""
    with replacing(path) as partial, partial.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)
    mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped
