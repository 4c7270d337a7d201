"""A pair of scans prepared for a network, its arrays on disk and mapped into memory.

Training, validation, calibration and acceleration share it. A case whose files and settings are the same as in an
earlier run is read back from its arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxlate.bundle.contrast import CHANGED, Line, contrast_difference, contrast_line
from voxlate.bundle.contrast_descriptor import SHARES
from voxlate.bundle.out_of_distribution import NAMES, describe
from voxlate.cases import Case
from voxlate.errors import InputRefused, naming
from voxlate.io.arrays import mapped_array, write_array
from voxlate.io.atomic import write_json
from voxlate.io.documents import json_sha256, read_json
from voxlate.io.nifti import read_volume
from voxlate.jobs.results import are_unchanged, hash_files, hash_inputs, read_result
from voxlate.preparation import Preparation, PreparationSettings, fit_preparation
from voxlate.preparation.steps.intensity import LinearNormalisation
from voxlate.reference_level import PROBABILITIES
from voxlate.version import __version__
from voxlate.volume import Array, Mask, Volume, require_same_grid

if TYPE_CHECKING:
    from voxlate.preparation.store import PreparationStore

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PreparedCase:
    """A pair in relative units on the RAS+ grid, cropped to the brain; arrays are memory-mapped files.

    Attributes:
        name: of the case.
        source, target: (i, j, k), float32, relative units.
        more: additional sources, each (i, j, k); a missing one is zero.
        mask: (i, j, k), where both images show brain; the loss counts there.
        lesions: (i, j, k), voxels labelled as lesions; None without labels.
        changed: (n,), flat indices of the voxels of `mask` that differ by more than contrast explains.
        line: slope and intercept from the contrast of the source to that of the target.
        source_level, target_level: one relative unit in the units of each image.
        target_offset: the zero of the target's units, in relative units.
        target_median: median of the target in the mask, in relative units.
        quantiles: quantile functions of source and target in the mask, (257,) each, over their medians; the images are
            those on the grid of the network before intensities are normalised.
        spacing_mm: voxel size that the network sees; at inference, other voxel sizes are resampled to these.
        description: of the source, for out-of-distribution detection.
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

    @cached_property
    def contrasts(self) -> Array:
        """Returns the quantiles of source and target at `SHARES`, (2, n), float32; see `ContrastDescriptor`."""
        found = [np.interp(SHARES, PROBABILITIES, each) for each in self.quantiles]
        return np.array(found, dtype=np.float32)


def prepare_case(
    case: Case,
    folder: Path,
    settings: PreparationSettings,
    more_sources: Sequence[str] = (),
    *,
    store: PreparationStore | None = None,
) -> PreparedCase:
    """Prepares one pair and writes its arrays, or reads those of an earlier run with the same files and settings.

    Args:
        case: source, target, and optional mask, labels and additional sources.
        folder: gets the arrays, in a folder named after the case and the hash of its files and settings; runs with
            other settings may share it.
        settings: of the recipe.
        more_sources: names of the additional sources, in the order in which the network takes them.
        store: keeps brain mask, bias fields and registration; see `fit_preparation`.

    Raises:
        InputRefused: `EMPTY_MASK` when source and target share no voxel of the mask.
        VoxlateError: what reading and preparation raise; the message begins with the name of the case.
    """
    paths = {"source": case.source, "target": case.target, "mask": case.mask, "labels": case.labels}
    given = paths | {f"more:{name}": case.more.get(name) for name in more_sources}
    key = _key({role: path for role, path in given.items() if path is not None}, settings, more_sources)
    arrays = folder / case.case / key[:_KEY_LETTERS]
    earlier = _read_stored(case.case, arrays, key)
    if earlier is not None:
        return earlier
    with naming(case.case):
        source, target = read_volume(case.source), read_volume(case.target)
        require_same_grid(source, target, names=("source", "target"))
        preparation = fit_preparation(source, _mask_of(case), settings, store=store)
        prepared_target, scale = preparation.apply_to_target(target)
        covered = preparation.locate(target)
        others = {name: read_volume(path) for name, path in case.more.items() if name in more_sources}
        more = prepare_more(preparation, source, others, more_sources)
        lesions = None if case.labels is None else _lesions(preparation, source, case.labels)
    common = preparation.mask & (covered.data != 0)
    if not common.any():
        raise InputRefused(
            "EMPTY_MASK", f"{case.case}: source and target share no voxel of the brain mask; look at their registration"
        )
    images = [preparation.apply(source).data, prepared_target.data, *more]
    facts = _facts(preparation, scale, preparation.locate(source).data[common], covered.data[common])
    facts |= {"description": describe(images[0], preparation.mask)}
    return _stored(case.case, arrays, images, common, lesions, facts, key)


def prepare_unpaired(
    name: str,
    path: Path,
    folder: Path,
    settings: PreparationSettings,
    mask: Path | None = None,
    *,
    store: PreparationStore | None = None,
) -> PreparedCase:
    """Prepares a scan for training without pairs; it becomes both source and target of the result.

    Args:
        name: of the case.
        path: the scan.
        folder: gets the arrays, as in `prepare_case`.
        settings: of the recipe.
        mask: the file of its brain mask; None for a skull-stripped scan or a method of the recipe.
        store: as in `prepare_case`.

    Raises:
        VoxlateError: as `prepare_case`.
    """
    key = _key({"scan": path} if mask is None else {"scan": path, "mask": mask}, settings, ())
    arrays = folder / name / key[:_KEY_LETTERS]
    earlier = _read_stored(name, arrays, key)
    if earlier is not None:
        return earlier
    with naming(name):
        scan = read_volume(path)
        preparation = fit_preparation(scan, None if mask is None else read_volume(mask), settings, store=store)
        data = preparation.apply(scan).data
    inside = preparation.locate(scan).data[preparation.mask]
    facts = _facts(preparation, preparation.intensity, inside, inside)
    facts |= {"description": describe(data, preparation.mask)}
    return _stored(name, arrays, [data, data], preparation.mask, None, facts, key)


def prepare_more(
    preparation: Preparation, source: Volume, volumes: Mapping[str, Volume], names: Sequence[str]
) -> list[Array]:
    """Returns the additional sources as the network takes them, each (i, j, k) with its own intensity scale.

    Args:
        preparation: fitted on the source.
        source: the scan, whose grid the additional sources must have.
        volumes: the additional sources at hand, by name.
        names: of all additional sources, in order; one that is not in `volumes` is zero.

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


def _facts(preparation: Preparation, scale: LinearNormalisation, source: Array, target: Array) -> dict[str, Any]:
    """Returns levels, offset, median, quantiles and voxel size by the names of `PreparedCase`.

    Args:
        preparation: fitted on the source.
        scale: from the units of the target to relative units.
        source: (n,), the source in the mask, in its own units.
        target: (n,), likewise.
    """
    return {
        "source_level": preparation.level,
        "target_level": scale.scale,
        "target_offset": scale.offset / scale.scale,
        "target_median": float(np.median(target)) / scale.scale,
        "spacing_mm": preparation.spacing_mm,
        "quantiles": (_quantiles(source), _quantiles(target)),
    }


def _quantiles(inside: Array) -> Floats:
    """Returns the quantile function, (257,), of values (n,) over their median, the unit that evaluation compares in."""
    median = float(np.median(inside))
    quantiles: Floats = np.quantile(inside.astype(np.float64) / (median if median > 0 else 1.0), PROBABILITIES)
    return quantiles


def _mask_of(case: Case) -> Volume | None:
    return None if case.mask is None else read_volume(case.mask)


def _lesions(preparation: Preparation, source: Volume, path: Path) -> Mask:
    labels = read_volume(path)
    require_same_grid(source, labels, names=("source", "labels"))
    inside: Mask = preparation.locate(labels.with_data((labels.data > 0).astype(np.float32))).data > 0.5
    return inside


_NOT_WRITTEN = ("quantiles", "description")
"""Attributes that `prepared.json` leaves out: long lists, which are files of their own."""

_KEY_LETTERS = 12
"""Letters of the hash that name a folder: 48 bits, so that two settings of one case do not meet."""

_STORED = "stored.json"
"""Written last: the hash of files and settings, and that of each array, by which a later run knows them."""


def _key(paths: Mapping[str, Path], settings: PreparationSettings, more_sources: Sequence[str]) -> str:
    """Returns a hash of everything that decides the arrays of a case."""
    content = {
        "voxlate": __version__,
        "inputs": hash_inputs(paths),
        "settings": settings.model_dump(mode="json"),
        "more_sources": list(more_sources),
    }
    return json_sha256(content)


def _read_stored(name: str, folder: Path, key: str) -> PreparedCase | None:
    """Returns the case that an earlier run stored with the same key, or None."""
    stored = read_result(folder / _STORED, key=key)
    if stored is None or not are_unchanged(folder, stored["files"]):
        return None
    return _load(name, folder, stored)


def _load(name: str, folder: Path, stored: Mapping[str, Any]) -> PreparedCase:
    """Returns a case whose arrays lie in a folder, memory-mapped.

    Args:
        name: of the case.
        folder: of the arrays.
        stored: content of `stored.json`.
    """
    arrays = {
        file.removesuffix(".npy"): mapped_array(folder / file) for file in stored["files"] if file.endswith(".npy")
    }
    facts = read_json(folder / "prepared.json")
    low, high = arrays["quantiles"]
    return PreparedCase(
        name,
        arrays["source"],
        arrays["target"],
        tuple(array for part, array in arrays.items() if part.startswith("more_")),
        arrays["mask"],
        arrays.get("lesions"),
        arrays["changed"],
        (stored["line"][0], stored["line"][1]),
        **{**facts, "spacing_mm": tuple(facts["spacing_mm"])},
        quantiles=(low, high),
        description={part: arrays[part] for part in NAMES},
    )


def _stored(
    name: str,
    folder: Path,
    images: Sequence[Array],
    mask: Mask,
    lesions: Mask | None,
    facts: Mapping[str, Any],
    key: str,
) -> PreparedCase:
    """Writes the arrays of a case and returns them memory-mapped.

    Args:
        name: of the case.
        folder: of the arrays.
        images: source, target and additional sources, (i, j, k) each.
        mask: (i, j, k).
        lesions: (i, j, k), or None.
        facts: the other attributes of `PreparedCase` by name.
        key: of files and settings, see `_key`.
    """
    source, target, *more = images
    line = contrast_line(source, target, mask)
    difference = contrast_difference(source, target, mask, line)
    write_json(folder / "prepared.json", {part: value for part, value in facts.items() if part not in _NOT_WRITTEN})
    arrays = {"source": source, "target": target, "mask": mask}
    arrays |= {f"more_{index:03d}": image for index, image in enumerate(more)}
    arrays |= {"changed": np.flatnonzero(np.abs(difference) > CHANGED), "quantiles": np.stack(facts["quantiles"])}
    arrays |= dict(facts["description"]) | ({} if lesions is None else {"lesions": lesions})
    for part, array in arrays.items():
        write_array(folder / f"{part}.npy", array)
    files = hash_files(folder, ["prepared.json", *(f"{part}.npy" for part in arrays)])
    stored = {"key": key, "line": list(line), "files": files}
    write_json(folder / _STORED, stored)
    return _load(name, folder, stored)


def all_sources(case: PreparedCase) -> Tensor:
    """Returns source and additional sources of a case, (1 + additional, D, H, W), relative units."""
    return torch.from_numpy(np.stack([np.array(case.source), *(np.array(each) for each in case.more)]))
