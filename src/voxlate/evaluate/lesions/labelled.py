"""Lesions whose place is known: error and contrast inside, enhancement kept or removed, by size.

The index of a region is its mean divided by the mean of white-matter-like tissue of the same image (see
`reference`): 1 is as bright as white matter, whatever the scanner's gain. The share reached is
(source − synthetic) / (source − target) of the indices: 0 the lesion looks as in the source, 1 as in the target.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxlate.evaluate.lesions.components import components
from voxlate.evaluate.lesions.reference import white_matter_like
from voxlate.volume import Array, Mask

LEAST_CHANGE = 0.05
"""Below this difference of indices between source and target there is no change whose share could be told."""

BRIGHT_INDEX = 1.15
"""From this index on in the target a lesion is bright without contrast agent (blood, fat, melanin, calcium)."""

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
    images: dict[str, Array], lesion: Mask, normal: Mask, *, voxel_mm3: float, data_range: float
) -> list[dict[str, Any]]:
    """Returns one record per connected lesion, the largest first.

    Each has its size, place (voxel of the RAS+ grid), the mean absolute error of source and synthetic image inside
    in % of L, the indices, the share reached, and whether a lesion that is bright in the target stayed bright:
    `is_bright_in_target` and, for those, `is_kept` (at least half of the target's excess over white matter is left).

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
            **_indices(values, levels),
        }
        records.append({**record, **_survival(record)})
    return records


def _percent_error(values: NDArray[np.float64], target: NDArray[np.float64], data_range: float) -> float:
    return float(100 * np.abs(values - target).mean() / data_range)


def _indices(values: dict[str, NDArray[np.float64]], levels: dict[str, float]) -> dict[str, Any]:
    index = {role: float(values[role].mean()) / levels[role] for role in _ROLES}
    change = index["source"] - index["target"]
    share = (index["source"] - index["synthetic"]) / change if abs(change) >= LEAST_CHANGE else None
    return {**{f"index_{role}": index[role] for role in _ROLES}, "share_reached": share}


def _survival(record: dict[str, Any]) -> dict[str, Any]:
    is_bright = record["index_target"] >= BRIGHT_INDEX
    halfway = 1 + (record["index_target"] - 1) / 2
    return {"is_bright_in_target": is_bright, "is_kept": record["index_synthetic"] >= halfway if is_bright else None}
