"""A pair of scans prepared for a network, its arrays on disk and mapped into memory.

Training, validation, calibration and acceleration share it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxlate.bundle.contrast import CHANGED, Line, contrast_difference, contrast_line
from voxlate.bundle.out_of_distribution import describe
from voxlate.cases import Case
from voxlate.errors import InputRefused, VoxlateError
from voxlate.io.atomic import replacing, write_json
from voxlate.io.nifti import read_volume
from voxlate.preparation import Preparation, PreparationSettings, fit_preparation
from voxlate.preparation.steps.intensity import Scaled
from voxlate.reference_level import PROBABILITIES
from voxlate.volume import Array, Mask, Volume, require_same_grid

Floats = NDArray[np.float64]


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


def _levels(source: Scaled, target: Scaled, target_inside: Array) -> dict[str, Any]:
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
    apart = contrast_difference(source, target, mask, line)
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


def all_sources(case: PreparedCase) -> Tensor:
    """Returns the sources of a case, (1 + additional, D, H, W)."""
    return torch.from_numpy(np.stack([np.array(case.source), *(np.array(each) for each in case.more)]))


def _on_disk(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    """Writes an array and returns it mapped into memory."""
    with replacing(path) as partial, partial.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)
    mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped
