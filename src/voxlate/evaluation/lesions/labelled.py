"""Lesions whose place is known: error and contrast inside, enhancement kept or removed, by size.

The index of a region is its mean divided by the mean of white-matter-like tissue of the same image (see
`reference`): 1 is as bright as white matter, whatever the scanner's gain. The share reached is
(source − synthetic) / (source − target) of the indices: 0 the lesion looks as in the source, 1 as in the target.
Of a lesion with an enhancing part, the index is that part's: averaged with its oedema, a bright rim is as grey as
white matter. An image whose white matter has a mean of 0 has no index.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxlate.evaluation.lesions.components import Component, components
from voxlate.evaluation.lesions.reference import white_matter_like
from voxlate.volume import Array, Mask

LEAST_CHANGE = 0.05
"""Below this difference of indices between source and target there is no change whose share could be told."""

BRIGHT_INDEX, DARK_INDEX = 1.15, 0.85
"""From these indices on a lesion stands out in the target: bright (enhancement; without agent blood, fat, melanin,
calcium) or dark (oedema, cyst, old infarct). 15 % of white matter is some five times the noise of a clinical scan."""

_ROLES = ("source", "synthetic", "target")


def enhancement(images: dict[str, Array], region: Mask, normal: Mask) -> dict[str, Any]:
    """Returns the index of a region in each image, `index_source` and so on, and `share_reached`.

    Args:
        images: `source`, `synthetic` and `target`, each in its relative units or any other.
        region: the enhancing label, or a lesion.
        normal: normal-appearing brain.

    Raises:
        InputRefused: `NO_REFERENCE`.
    """
    reference = white_matter_like(images["source"], images["target"], normal)
    levels = {role: float(images[role][reference].mean(dtype=np.float64)) for role in _ROLES}
    return _indices({role: images[role][region].astype(np.float64) for role in _ROLES}, levels)


def measure_lesions(
    images: dict[str, Array],
    lesion: Mask,
    normal: Mask,
    *,
    voxel_mm3: float,
    data_range: float,
    enhancing: Mask | None = None,
) -> list[dict[str, Any]]:
    """Returns one record per connected lesion, the largest first.

    Each has its size, place (voxel of the RAS+ grid), the mean absolute error of source and synthetic image inside
    in % of L, the indices of its enhancing part (`index_of` says whether it has one), the share reached, and whether
    a lesion that stands out in the target still does: `is_bright_in_target`, `is_dark_in_target` and, for those,
    `is_kept` (at least half of the target's difference from white matter is left).

    Raises:
        InputRefused: `NO_REFERENCE`.
    """
    reference = white_matter_like(images["source"], images["target"], normal)
    levels = {role: float(images[role][reference].mean(dtype=np.float64)) for role in _ROLES}
    records = []
    for part in components(lesion, voxel_mm3=voxel_mm3):
        values = {role: part.values(images[role]) for role in _ROLES}
        record = {
            "lesion": part.number,
            "volume_mm3": part.volume_mm3,
            "diameter_mm": part.diameter_mm,
            "size": part.size_class,
            "voxel": list(part.centre()),
            **{f"mae_{role}": _percent_error(values[role], values["target"], data_range) for role in _ROLES[:2]},
            **_index_of_part(part, values, levels, enhancing),
        }
        records.append({**record, **_survival(record)})
    return records


def _index_of_part(
    part: Component,
    values: dict[str, NDArray[np.float64]],
    levels: dict[str, float],
    enhancing: Mask | None,
) -> dict[str, Any]:
    is_enhancing = None if enhancing is None else part.values(enhancing.astype(np.float32)) > 0
    if is_enhancing is None or not is_enhancing.any():
        return {"index_of": "lesion", **_indices(values, levels)}
    return {"index_of": "enhancing", **_indices({role: values[role][is_enhancing] for role in _ROLES}, levels)}


def _percent_error(values: NDArray[np.float64], target: NDArray[np.float64], data_range: float) -> float:
    return float(100 * np.abs(values - target).mean() / data_range)


def _indices(values: dict[str, NDArray[np.float64]], levels: dict[str, float]) -> dict[str, Any]:
    index = {role: float(values[role].mean()) / levels[role] if levels[role] else None for role in _ROLES}
    source, synthetic, target = (index[role] for role in ("source", "synthetic", "target"))
    share = None
    if source is not None and synthetic is not None and target is not None and abs(source - target) >= LEAST_CHANGE:
        share = (source - synthetic) / (source - target)
    return {**{f"index_{role}": index[role] for role in _ROLES}, "share_reached": share}


def _survival(record: dict[str, Any]) -> dict[str, Any]:
    target, synthetic = record["index_target"], record["index_synthetic"]
    is_bright = target is not None and target >= BRIGHT_INDEX
    is_dark = target is not None and target <= DARK_INDEX
    is_kept = None
    if is_bright or is_dark:
        # A synthetic image without any signal in white matter shows no lesion either.
        is_kept = synthetic is not None and (synthetic - 1) / (target - 1) >= 0.5
    return {"is_bright_in_target": is_bright, "is_dark_in_target": is_dark, "is_kept": is_kept}
