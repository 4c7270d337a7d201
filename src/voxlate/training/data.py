"""Prepared pairs on disk, mapped into memory, and the windows that are drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxlate.bundle.out_of_distribution import describe
from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import TrainingSettings
from voxlate.cases import Case
from voxlate.errors import InputRefused, VoxlateError
from voxlate.evaluation.baselines import PROBABILITIES
from voxlate.io.atomic import replacing, write_json
from voxlate.io.nifti import read_volume
from voxlate.preparation import Preparation, PreparationSettings, fit_preparation
from voxlate.preparation.steps.intensity import LinearNormalisation
from voxlate.training.augment import Line, Pair, augment, contrast_line, difference
from voxlate.volume import Array, Mask, Volume, require_same_grid

Floats = NDArray[np.float64]

CHANGED = 0.3
"""A voxel whose images differ by more than this, in relative units, after both have the same contrast, has changed."""


@dataclass(frozen=True)
class PreparedCase:
    """A pair in relative units on the RAS+ grid, cropped to the brain; arrays are mapped from files.

    Attributes:
        name: the case.
        source, target: (i, j, k), float32.
        more: additional sources, the same shape, zero where one is missing.
        mask: where both images show brain; the loss counts there.
        lesions: voxels that are labelled as lesions, or None.
        changed: (n,), flat indices of the voxels of `mask` that differ by more than contrast explains.
        line: slope and intercept from the source's contrast to the target's.
        source_level, target_level: what one relative unit is in each image's own units.
        target_offset, target_median: the target's zero and its median in the mask, over what one relative unit is.
        quantiles: quantile functions of source and target in the mask, as they came, over their medians.
        spacing_mm: of the scan, which decides what is known at inference.
        description: of the source; see `voxlate.bundle.out_of_distribution`.
    """

    name: str
    source: Array
    target: Array
    more: tuple[Array, ...]
    mask: Mask
    lesions: Mask | None
    changed: NDArray[np.int64]
    line: Line
    source_level: float
    target_level: float
    target_offset: float
    target_median: float
    quantiles: tuple[Floats, Floats]
    spacing_mm: tuple[float, float, float]
    description: Mapping[str, Floats]


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


def prepare_case(
    case: Case, folder: Path, settings: PreparationSettings, more_sources: Sequence[str] = ()
) -> PreparedCase:
    """Prepares one pair, writes its arrays below `folder`, and returns them mapped into memory.

    Raises:
        VoxlateError: what reading and preparation raise, the case's name put before the message.
    """
    try:
        source, target = read_volume(case.source), read_volume(case.target)
        require_same_grid(source, target, names=("source", "target"))
        preparation = fit_preparation(source, _mask_of(case), settings)
        prepared_target, scale = preparation.apply_to_target(target)
        covered = preparation.locate(target)
        others = {name: read_volume(path) for name, path in case.more.items() if name in more_sources}
        more = prepare_more(preparation, source, others, more_sources)
        lesions = None if case.labels is None else _lesions(preparation, source, case.labels)
    except VoxlateError as error:
        raise type(error)(error.code, f"{case.case}: {error.message}") from error
    common = preparation.mask & (covered.data != 0)
    if not common.any():
        raise InputRefused("EMPTY_MASK", f"{case.case}: source and target share no voxel of brain")
    levels = _levels(preparation.intensity, scale, covered.data[common])
    quantiles = (_quantiles(preparation.locate(source).data[common]), _quantiles(covered.data[common]))
    images = [preparation.apply(source).data, prepared_target.data, *more]
    facts = levels | {"spacing_mm": source.spacing_mm, "quantiles": quantiles}
    facts |= {"description": describe(images[0], preparation.mask)}
    return _stored(case.case, folder / case.case, images, common, lesions, facts)


def prepare_alone(
    name: str, path: Path, folder: Path, settings: PreparationSettings, mask: Path | None = None
) -> PreparedCase:
    """Prepares a scan that has no partner; it is both source and target of what is returned.

    Raises:
        VoxlateError: as `prepare_case`.
    """
    try:
        scan = read_volume(path)
        preparation = fit_preparation(scan, None if mask is None else read_volume(mask), settings)
        data = preparation.apply(scan).data
    except VoxlateError as error:
        raise type(error)(error.code, f"{name}: {error.message}") from error
    inside = preparation.locate(scan).data[preparation.mask]
    levels = _levels(preparation.intensity, preparation.intensity, inside)
    quantiles = (_quantiles(inside), _quantiles(inside))
    facts = levels | {"spacing_mm": scan.spacing_mm, "quantiles": quantiles}
    facts |= {"description": describe(data, preparation.mask)}
    return _stored(name, folder / name, [data, data], preparation.mask, None, facts)


def prepare_more(
    preparation: Preparation, source: Volume, volumes: Mapping[str, Volume], names: Sequence[str]
) -> list[Array]:
    """Returns the additional sources as the network takes them, each on a scale of its own, zero where one is missing.

    Raises:
        InputRefused: `GRID_MISMATCH` when one is not on the grid of the source.
    """
    prepared = []
    for name in names:
        if name in volumes:
            require_same_grid(source, volumes[name], names=("source", name))
            prepared.append(preparation.apply_to_more(volumes[name]).data)
        else:
            prepared.append(np.zeros(preparation.mask.shape, dtype=np.float32))
    return prepared


def _levels(source: LinearNormalisation, target: LinearNormalisation, target_inside: Array) -> dict[str, Any]:
    """Returns levels, offset and median by the names of `PreparedCase`; `target_inside` is in its own units."""
    return {
        "source_level": source.scale,
        "target_level": target.scale,
        "target_offset": target.offset / target.scale,
        "target_median": float(np.median(target_inside)) / target.scale,
    }


def _quantiles(inside: Array) -> Floats:
    """Returns the quantile function of values over their median, which is the unit that evaluation compares in."""
    median = float(np.median(inside))
    found: Floats = np.quantile(inside.astype(np.float64) / (median if median > 0 else 1.0), PROBABILITIES)
    return found


def _mask_of(case: Case) -> Volume | None:
    return None if case.mask is None else read_volume(case.mask)


def _lesions(preparation: Preparation, source: Volume, path: Path) -> Mask:
    labels = read_volume(path)
    require_same_grid(source, labels, names=("source", "labels"))
    inside: Mask = preparation.locate(labels.with_data((labels.data > 0).astype(np.float32))).data > 0.5
    return inside


_NOT_WRITTEN = ("quantiles", "description")


def _stored(
    name: str,
    folder: Path,
    images: Sequence[Array],
    mask: Mask,
    lesions: Mask | None,
    facts: Mapping[str, Any],
) -> PreparedCase:
    """Writes the arrays of a case and returns them mapped into memory: source, target, additional sources."""
    source, target, *more = images
    line = contrast_line(source, target, mask)
    apart = difference(Pair(source, target, mask.astype(np.float32), line))
    write_json(folder / "prepared.json", {key: value for key, value in facts.items() if key not in _NOT_WRITTEN})
    return PreparedCase(
        name,
        _on_disk(folder / "source.npy", source),
        _on_disk(folder / "target.npy", target),
        tuple(_on_disk(folder / f"more_{index}.npy", image) for index, image in enumerate(more)),
        _on_disk(folder / "mask.npy", mask),
        None if lesions is None else _on_disk(folder / "lesions.npy", lesions),
        _on_disk(folder / "changed.npy", np.flatnonzero(np.abs(apart) > CHANGED)),
        line,
        **facts,
    )


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
    weight = np.where(np.abs(difference(flat)) > CHANGED, np.float32(settings.changed_weight), inside) * (inside > 0)
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


def _on_disk(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    """Writes an array and returns it mapped into memory."""
    with replacing(path) as partial, partial.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)
    mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped
