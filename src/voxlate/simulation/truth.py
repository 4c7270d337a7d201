"""Truth about a simulated subject: tissue fractions, labels, masks, lesions and all random factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from voxlate.simulation.anatomy.partial_volume import PaintedAnatomy, PartialVolumeMap
from voxlate.simulation.factors import Factors, PaintedLesionRow, SubjectFactors, Visibility
from voxlate.simulation.lesions.lesions import Lesion
from voxlate.volume import Array, Volume

LABELS = {
    "outside": 0,
    "csf": 1,
    "gm": 2,
    "wm": 3,
    "vessel": 4,
    "lesion": 5,
    "oedema": 6,
    "bone": 7,
    "soft": 8,
    "disc": 9,
}
_GROUPS = {
    "csf": ("csf", "choroid"),
    "gm": ("gm",),
    "wm": ("wm", "cord"),
    "vessel": ("blood", "artery"),
    "oedema": ("oedema",),
    "bone": ("bone", "marrow", "vertebra"),
    "outside": ("air",),
}


@dataclass(frozen=True)
class Truth:
    """Truth about one session of a subject, at the place of the first image.

    Its grid is that of the anatomy, with isotropic voxels. The first image has the same grid unless it has thick slices
    or is cut (scanner F, improper images).

    Attributes:
        fractions: fraction of each voxel, 0 to 1, that is `csf`, `gm`, `wm`, `vessel`, `lesion`, `oedema`, `bone`,
            `soft`, `disc` and `outside`; the fractions of a voxel sum to one.
        labels: number of the largest fraction, as in `LABELS`.
        brain_mask: 1 where at least half of a voxel lies inside the dura, in a spine inside the vertebral column.
        lesion_mask: number of the lesion, from 1, that fills at least half of a voxel, else 0.
        lesions: one row per lesion.
        factors: all random factors and the errors of the oracle.
    """

    fractions: dict[str, Volume]
    labels: Volume
    brain_mask: Volume
    lesion_mask: Volume
    lesions: list[PaintedLesionRow]
    factors: Factors


def fractions_by_group(tissue_map: PartialVolumeMap) -> dict[str, Array]:
    """Returns the fraction of each voxel that each group of `LABELS` fills, float32 of the map's shape."""
    names = {part.tissue for part in tissue_map.parts}
    lesion = tuple(name for name in names if name.endswith(("-solid", "-core")))
    disc = tuple(name for name in names if name.endswith(("-nucleus", "-annulus")))
    grouped_names = {*lesion, *disc, *(name for group in _GROUPS.values() for name in group)}
    groups = {**_GROUPS, "lesion": lesion, "disc": disc, "soft": tuple(names - grouped_names)}
    return {group: tissue_map.total(*groups[group]) for group in LABELS}


def build_truth(
    painted: PaintedAnatomy, lesions: Sequence[Lesion], factors: SubjectFactors, rows: Sequence[Visibility]
) -> Truth:
    """Returns the truth about a painted anatomy.

    Args:
        painted: anatomy with its lesions.
        lesions: lesions that were painted.
        factors: random factors of the subject.
        rows: visibility of each lesion in the images.
    """
    affine, voxel_ml = painted.frame.affine, painted.frame.spacing_mm**3 / 1000
    groups = fractions_by_group(painted.tissue_map)
    labels = _largest(groups)
    mask = np.zeros(painted.tissue_map.free.shape, dtype=np.float32)
    table: list[PaintedLesionRow] = []
    for number, (lesion, row) in enumerate(zip(lesions, rows, strict=True), start=1):
        held = painted.tissue_map.total(*lesion.tissues)
        mask[held >= 0.5] = number
        table.append({**lesion.row(), "volume_ml": round(float(held.sum(dtype=np.float64)) * voxel_ml, 4), **row})
    volumes = {
        f"{name}_ml": round(float((part * painted.inside).sum(dtype=np.float64)) * voxel_ml, 2)
        for name, part in groups.items()
    }
    return Truth(
        fractions={name: Volume(np.clip(part, 0, 1), affine, name) for name, part in groups.items()},
        labels=Volume(labels, affine, "labels", "uint8"),
        brain_mask=Volume((painted.inside >= 0.5).astype(np.float32), affine, "mask", "uint8"),
        lesion_mask=Volume(mask, affine, "lesions", "uint8"),
        lesions=table,
        factors={**factors, "volumes_inside": volumes},
    )


def _largest(groups: Mapping[str, Array]) -> Array:
    """Returns the number of the largest fraction of each voxel, float32 of the fractions' shape; the first if equal."""
    names = iter(groups)
    first = next(names)
    labels, largest = np.full(groups[first].shape, LABELS[first], np.float32), groups[first].copy()
    for name in names:
        is_larger = groups[name] > largest
        labels[is_larger] = LABELS[name]
        np.maximum(largest, groups[name], out=largest)
    return labels
