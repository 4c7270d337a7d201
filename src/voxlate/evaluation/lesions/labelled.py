"""Measures of labelled lesions: error and contrast inside them, enhancement kept or removed, by size.

The index of a region is its mean divided by the mean of white-matter-like tissue of the same image (see `reference`):
1 is as bright as white matter, whatever the gain of the scanner. The share reached is
(source − synthetic) / (source − target) of the indices: 0 when the lesion looks as in the source, 1 as in the target.
For a lesion with an enhancing part, the index is that of this part: averaged with its oedema, a bright rim is as grey
as white matter. An image whose white matter has a mean of 0 has no index.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxlate.evaluation.lesions.components import Component, components
from voxlate.evaluation.lesions.reference import white_matter_like
from voxlate.evaluation.schema.rows import Indices, LesionRow
from voxlate.volume import Array, Mask

LEAST_CHANGE = 0.05
"""Least difference of the indices of source and target for which a share is computed: below it the share divides noise
by noise. A third of what stands out in the target (`BRIGHT_INDEX`); chosen by hand, not tuned."""

BRIGHT_INDEX, DARK_INDEX = 1.15, 0.85
"""From these indices on a lesion stands out in the target: bright (enhancement; without agent blood, fat, melanin,
calcium) or dark (oedema, cyst, old infarct). 15 % of white matter is some five times the noise of a clinical scan."""

KEPT_SHARE = 0.5
"""A lesion is kept when at least this share of the target's difference from white matter is left. Chosen by hand."""

_ROLES = ("source", "synthetic", "target")


def enhancement(images: dict[str, Array], region: Mask, normal: Mask) -> Indices:
    """Returns the index of a region in each image and the share reached.

    Args:
        images: `source`, `synthetic` and `target`, each of shape (i, j, k); each may have a gain of its own.
        region: (i, j, k), voxels of the enhancing label, or of lesions.
        normal: (i, j, k), voxels of normal-appearing brain.

    Raises:
        InputRefused: `NO_REFERENCE` when too few voxels look like white matter.
    """
    levels = _white_matter_levels(images, normal)
    return _indices({role: images[role][region].astype(np.float64) for role in _ROLES}, levels)


def measure_lesions(
    images: dict[str, Array],
    lesion: Mask,
    normal: Mask,
    *,
    voxel_mm3: float,
    data_range: float,
    enhancing: Mask | None = None,
) -> list[LesionRow]:
    """Returns one row per connected lesion, the largest first.

    A row holds size, position (RAS+ index), the mean absolute error of source and synthetic image in % of L, the
    indices, the share reached, and whether a lesion that stands out in the target is kept in the synthetic image:
    at least half of the target's difference from white matter is left.

    Args:
        images: `source`, `synthetic` and `target`, each of shape (i, j, k) on one grid and in one unit.
        lesion: (i, j, k), voxels of all lesions.
        normal: (i, j, k), voxels of normal-appearing brain.
        voxel_mm3: volume of a voxel.
        data_range: L, in the unit of the images.
        enhancing: (i, j, k), voxels of the enhancing part; None when no label was named as enhancing.

    Raises:
        InputRefused: `NO_REFERENCE` when too few voxels look like white matter.
    """
    levels = _white_matter_levels(images, normal)
    return [
        _lesion_row(part, images, levels, data_range=data_range, enhancing=enhancing)
        for part in components(lesion, voxel_mm3=voxel_mm3)
    ]


def _white_matter_levels(images: dict[str, Array], normal: Mask) -> dict[str, float]:
    reference = white_matter_like(images["source"], images["target"], normal)
    return {role: float(images[role][reference].mean(dtype=np.float64)) for role in _ROLES}


def _lesion_row(
    part: Component, images: dict[str, Array], levels: dict[str, float], *, data_range: float, enhancing: Mask | None
) -> LesionRow:
    values = {role: part.values(images[role]) for role in _ROLES}
    index_of, indices = _index_of_part(part, values, levels, enhancing)
    is_bright, is_dark, is_kept = _survival(indices)
    return {
        "kind": "lesion",
        "lesion": part.number,
        "volume_mm3": part.volume_mm3,
        "diameter_mm": part.diameter_mm,
        "size": part.size_class,
        "voxel": list(part.centre()),
        "mae_source": _percent_error(values["source"], values["target"], data_range),
        "mae_synthetic": _percent_error(values["synthetic"], values["target"], data_range),
        "index_of": index_of,
        "index_source": indices["index_source"],
        "index_synthetic": indices["index_synthetic"],
        "index_target": indices["index_target"],
        "share_reached": indices["share_reached"],
        "is_bright_in_target": is_bright,
        "is_dark_in_target": is_dark,
        "is_kept": is_kept,
    }


def _index_of_part(
    part: Component,
    values: dict[str, NDArray[np.float64]],
    levels: dict[str, float],
    enhancing: Mask | None,
) -> tuple[str, Indices]:
    is_enhancing = None if enhancing is None else enhancing[part.box][part.inside]
    if is_enhancing is None or not is_enhancing.any():
        return "lesion", _indices(values, levels)
    return "enhancing", _indices({role: values[role][is_enhancing] for role in _ROLES}, levels)


def _percent_error(values: NDArray[np.float64], target: NDArray[np.float64], data_range: float) -> float:
    return float(100 * np.abs(values - target).mean() / data_range)


def _indices(values: dict[str, NDArray[np.float64]], levels: dict[str, float]) -> Indices:
    index = {role: float(values[role].mean()) / levels[role] if levels[role] else None for role in _ROLES}
    source, synthetic, target = (index[role] for role in ("source", "synthetic", "target"))
    share = None
    if source is not None and synthetic is not None and target is not None and abs(source - target) >= LEAST_CHANGE:
        share = (source - synthetic) / (source - target)
    return {"index_source": source, "index_synthetic": synthetic, "index_target": target, "share_reached": share}


def _survival(indices: Indices) -> tuple[bool, bool, bool | None]:
    """Returns whether the lesion is bright, is dark, and is kept; the last is None when it does not stand out."""
    target, synthetic = indices["index_target"], indices["index_synthetic"]
    is_bright = target is not None and target >= BRIGHT_INDEX
    is_dark = target is not None and target <= DARK_INDEX
    if target is None or not (is_bright or is_dark):
        return is_bright, is_dark, None
    # A synthetic image without any signal in white matter shows no lesion either.
    return is_bright, is_dark, synthetic is not None and (synthetic - 1) / (target - 1) >= KEPT_SHARE
