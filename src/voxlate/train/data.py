"""Prepared pairs on disk, mapped into memory, and the windows that are drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from voxlate.train.augment import Pair, augment
from voxlate.train.recipe import Recipe
from voxlate.volume import Array, Mask, require_same_grid


@dataclass(frozen=True)
class PreparedCase:
    """A pair in relative units on the RAS+ grid, cropped to the brain; arrays are mapped from files.

    Attributes:
        name: the case.
        source, target: (i, j, k), float32.
        mask: where both images show brain; the loss counts there.
        source_level, target_level: reference levels in each image's own units.
        spacing_mm: of the grid.
    """

    name: str
    source: Array
    target: Array
    mask: Mask
    source_level: float
    target_level: float
    spacing_mm: tuple[float, float, float]

    @property
    def pair(self) -> Pair:
        """Returns the whole volumes."""
        return Pair(self.source, self.target, self.mask)


@dataclass(frozen=True)
class Batch:
    """Windows of one step: (B, 1, D, H, W) each, and the cases they are from."""

    source: Tensor
    target: Tensor
    mask: Tensor
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
        prepared_target, target_level = preparation.apply_to_target(target)
    except VoxlateError as error:
        raise type(error)(error.code, f"{case.case}: {error.message}") from error
    common = preparation.mask & (prepared_target.data != 0)
    if not common.any():
        raise InputRefused("EMPTY_MASK", f"{case.case}: source and target share no voxel of brain")
    place = folder / case.case
    levels = {"source_level": preparation.level, "target_level": target_level}
    write_json(place / "prepared.json", levels | {"spacing_mm": prepared_target.spacing_mm})
    return PreparedCase(
        case.case,
        _on_disk(place / "source.npy", preparation.apply(source).data),
        _on_disk(place / "target.npy", prepared_target.data),
        _on_disk(place / "mask.npy", common),
        spacing_mm=prepared_target.spacing_mm,
        **levels,
    )


def draw_batch(cases: Sequence[PreparedCase], recipe: Recipe, step: int, *, rank: int = 0) -> Batch:
    """Returns the windows of one step; the same recipe, step and rank give the same windows.

    Each window's case is drawn with equal chance, its centre among the voxels of the mask. Nothing is carried
    from one step to the next, so that a run can resume anywhere.
    """
    random = np.random.default_rng([recipe.training.seed, step, rank])
    chosen = [cases[int(random.integers(len(cases)))] for _ in range(recipe.training.batch)]
    pairs = []
    for case in chosen:
        pair = cut_window(case, recipe.training.window, random)
        pairs.append(augment(pair, recipe.augmentation, random))

    def stack(of: Callable[[Pair], Array]) -> Tensor:
        return torch.from_numpy(np.stack([of(pair) for pair in pairs])[:, None])

    return Batch(
        stack(lambda pair: pair.source),
        stack(lambda pair: pair.target),
        stack(lambda pair: pair.mask.astype(np.float32)),
        tuple(case.name for case in chosen),
    )


def cut_window(case: PreparedCase, window: tuple[int, int, int], random: np.random.Generator) -> Pair:
    """Returns a window around a voxel of the brain, moved inside the volume; zeros fill what the volume lacks."""
    centre = _random_voxel(case.mask, random)
    starts = [
        int(np.clip(c - w // 2, 0, max(0, n - w))) for c, w, n in zip(centre, window, case.mask.shape, strict=True)
    ]
    box = tuple(slice(start, start + w) for start, w in zip(starts, window, strict=True))
    pads = [(0, w - min(w, n)) for w, n in zip(window, case.mask.shape, strict=True)]
    return Pair(np.pad(case.source[box], pads), np.pad(case.target[box], pads), np.pad(case.mask[box], pads))


def _random_voxel(mask: Mask, random: np.random.Generator) -> tuple[int, int, int]:
    """Returns a voxel of the mask by trying voxels of its box: quick, and needs no list of a million voxels."""
    while True:
        i, j, k = (int(random.integers(n)) for n in mask.shape)
        if mask[i, j, k]:
            return i, j, k


def _on_disk(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    """Writes an array and returns it mapped into memory."""
    with replacing(path) as partial, partial.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)
    mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped
