"""Reads one case: all images on the grid of the target, in RAS+ order and in one unit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxlate.cases import Case
from voxlate.errors import InputRefused, NoInput
from voxlate.evaluation.cases.intensity import range_of
from voxlate.evaluation.schema.results import Levels
from voxlate.evaluation.settings import Settings
from voxlate.io.documents import read_json
from voxlate.io.nifti import read_volume
from voxlate.preparation.masks.skull_stripped import nonzero_mask
from voxlate.preparation.steps.orientation import ToRas
from voxlate.preparation.steps.resample import Interpolation, resample
from voxlate.reference_level import reference_level
from voxlate.volume import Affine, Array, Mask, Volume, require_same_grid


@dataclass(frozen=True)
class LoadedCase:
    """A case in memory; all arrays have the shape (i, j, k) of the target in RAS+ order.

    Attributes:
        source: in the unit of comparison, as all images here.
        target: likewise.
        synthetic: likewise.
        mask: where images are compared: the mask file, else the voxels of both source and target.
        union_mask: voxels of source or target: of both mask files, else not zero in either.
        labels: whole numbers, 0 outside lesions; None when the case has no labels.
        levels: reference levels of the images.
        data_range: L, in the unit of comparison.
        affine: (4, 4), from voxels to RAS+ millimetres.
        spacing_mm: distance between voxels along the axes.
        task: source and target contrast from the sidecar (`T1ce to T1nce`); empty when it states none.
        share_of_range: the answer of a network whose unit is the whole range of a scan, 0 its minimum and 1 its
            maximum, as the sidecar states; None for other units.
        unusual_score: out-of-distribution score of a source that the model's check flagged; None for any other.
    """

    source: Array
    target: Array
    synthetic: Array
    mask: Mask
    union_mask: Mask
    labels: NDArray[np.int32] | None
    levels: Levels
    data_range: float
    affine: Affine
    spacing_mm: tuple[float, float, float]
    task: str
    share_of_range: Array | None = None
    unusual_score: float | None = None


@dataclass(frozen=True)
class CaseFiles:
    """Paths of the files of a case.

    Attributes:
        case: row of the table of cases.
        synthetic: the synthetic image.
        sidecar: the JSON file beside it.
    """

    case: Case
    synthetic: Path
    sidecar: Path

    @classmethod
    def find(cls, case: Case, folder: Path) -> CaseFiles:
        """Returns the files of a case whose synthetic image is in `folder`."""
        return cls(case, folder / f"{case.case}.nii.gz", folder / f"{case.case}.json")

    @property
    def inputs(self) -> dict[str, Path]:
        """Returns role to path of every file that is read for the case."""
        optional = {"mask": self.case.mask, "target_mask": self.case.target_mask, "labels": self.case.labels}
        given = {role: path for role, path in optional.items() if path is not None}
        needed = {"source": self.case.source, "target": self.case.target}
        return {**needed, "synthetic": self.synthetic, "sidecar": self.sidecar, **given}

    def absent(self, *, needs_sidecar: bool) -> list[str]:
        """Returns the roles of the files that do not exist."""
        return [
            role for role, path in self.inputs.items() if not path.is_file() and (role != "sidecar" or needs_sidecar)
        ]


def load_case(files: CaseFiles, settings: Settings) -> LoadedCase:
    """Reads a case.

    Without a mask file, the mask is the intersection of the non-zero regions of source and target, holes filled; both
    images must then be skull-stripped.

    Args:
        files: of the case.
        settings: options of the run.

    Raises:
        InputRefused: as reading an image; `GRID_MISMATCH`, `EMPTY_MASK`, `CONSTANT`, `NOT_SKULL_STRIPPED`,
            `REFERENCE_LEVEL`, `SIDECAR`.
        NoInput: a file is missing.
    """
    case = files.case
    target = _in_ras(read_volume(case.target, shows="target"))
    source = _on_grid(read_volume(case.source, shows="source"), target, case.case, settings)
    synthetic = _on_grid(read_volume(files.synthetic, shows="synthetic"), target, case.case, settings)
    mask_of_source, mask_of_target = _masks(case, source, target, settings)
    mask = mask_of_source if case.mask is not None else mask_of_source & mask_of_target
    if not mask.any():
        raise InputRefused("EMPTY_MASK", f"{case.case}: source and target have no voxel in common; register them")
    sidecar = _read_sidecar(files.sidecar, case.case, settings)
    levels = _levels(source, target, mask_of_source, sidecar, settings)
    real = _scaled(target, levels.target)
    return LoadedCase(
        source=_scaled(source, levels.source),
        target=real,
        synthetic=_scaled(synthetic, levels.synthetic),
        mask=mask,
        union_mask=mask_of_source | mask_of_target,
        labels=_labels(case, target, settings),
        levels=levels,
        data_range=range_of(real, mask) if settings.data_range is None else settings.data_range,
        affine=target.affine,
        spacing_mm=target.spacing_mm,
        task=str(sidecar.get("Task", "")),
        share_of_range=_share_of_range(synthetic, sidecar),
        unusual_score=_unusual_score(sidecar),
    )


def _in_ras(volume: Volume) -> Volume:
    return ToRas(volume.grid).apply(volume)


def _on_grid(
    volume: Volume, like: Volume, case: str, settings: Settings, *, interpolation: Interpolation = "linear"
) -> Volume:
    ras = _in_ras(volume)
    if settings.is_resampled and not ras.grid.matches(like.grid):
        return resample(ras, like.grid, interpolation=interpolation)
    require_same_grid(ras, like, names=(f"{case}: {volume.shows}", "target"))
    return ras


def _masks(case: Case, source: Volume, target: Volume, settings: Settings) -> tuple[Mask, Mask]:
    if case.mask is None:
        return nonzero_mask(source.data), nonzero_mask(target.data)
    mask = _read_mask(case.mask, "mask", case.case, target, settings)
    if case.target_mask is None:
        return mask, mask
    return mask, _read_mask(case.target_mask, "target mask", case.case, target, settings)


def _read_mask(path: Path, shows: str, case: str, target: Volume, settings: Settings) -> Mask:
    volume = _on_grid(read_volume(path, shows=shows), target, case, settings, interpolation="nearest")
    mask: Mask = volume.data > 0.5
    if not mask.any():
        raise InputRefused("EMPTY_MASK", f"{case}: the {shows} is empty; give the mask of this scan")
    return mask


def _labels(case: Case, target: Volume, settings: Settings) -> NDArray[np.int32] | None:
    if case.labels is None:
        return None
    volume = _on_grid(read_volume(case.labels, shows="labels"), target, case.case, settings, interpolation="nearest")
    whole = np.rint(volume.data)
    apart = whole - volume.data
    if max(float(apart.max()), -float(apart.min())) > 1e-3 or whole.min() < 0:
        raise InputRefused(
            "LABELS", f"{case.case}: labels must be whole numbers from 0; resample them by nearest neighbour"
        )
    return whole.astype(np.int32)


def _read_sidecar(path: Path, case: str, settings: Settings) -> dict[str, object]:
    if not path.is_file() and not settings.is_relative:
        return {}
    if not path.is_file():
        raise NoInput("NO_INPUT", f"{case}: the synthetic image has no sidecar {path.name}; translate it again")
    try:
        content = read_json(path)
        synthetic = content["Synthetic"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputRefused("SIDECAR", f"{path.name} has no object `Synthetic`; translate it again") from error
    if not isinstance(synthetic, dict):
        raise InputRefused("SIDECAR", f"{path.name}: `Synthetic` is not an object; translate it again")
    return synthetic


def _levels(source: Volume, target: Volume, mask: Mask, sidecar: dict[str, object], settings: Settings) -> Levels:
    """Returns the reference levels: measured as in preparation, that of the synthetic image read from its sidecar."""
    if not settings.is_relative:
        return Levels(source=1.0, target=1.0, synthetic=1.0)
    stated = sidecar.get("ReferenceLevel")
    level = _number(stated)
    if not 0 < level < np.inf:
        raise InputRefused(
            "SIDECAR",
            f"the sidecar states ReferenceLevel {stated!r}, which must be a number above 0; translate it again",
        )
    return Levels(
        source=reference_level(source.data, mask),
        target=reference_level(target.data, mask & (target.data != 0)),
        synthetic=level,
    )


def _unusual_score(sidecar: dict[str, object]) -> float | None:
    """Returns the out-of-distribution score of a source that is not `known`; None without a flag or a check."""
    checks = sidecar.get("QC")
    gate = checks.get("Gate") if isinstance(checks, dict) else None
    if not isinstance(gate, dict) or gate.get("verdict", "known") == "known":
        return None
    score = _number(gate.get("score"))
    return score if np.isfinite(score) else None


def _share_of_range(synthetic: Volume, sidecar: dict[str, object]) -> Array | None:
    """Returns the answer of the network in its own unit, value / Level − Offset; None unless that is a whole range."""
    unit = sidecar.get("IntensityUnit")
    if not isinstance(unit, dict) or unit.get("Reference") != "min_max":
        return None
    level, offset = (_number(unit.get(key)) for key in ("Level", "Offset"))
    if not 0 < level < np.inf or not np.isfinite(offset):
        raise InputRefused(
            "SIDECAR", "the sidecar states an IntensityUnit without a Level above 0 and an Offset; translate it again"
        )
    return np.asarray(synthetic.data / np.float32(level) - np.float32(offset), dtype=np.float32)


def _number(value: object) -> float:
    """Returns a number of a sidecar; NaN for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")


def _scaled(volume: Volume, level: float) -> Array:
    return np.asarray(volume.data / np.float32(level), dtype=np.float32)
