"""Structures found without labels, from differences of images: what changed, what was invented, what was left over.

All on images after a robust linear fit to the target and averaged with a Gaussian of 1 mm in the mask. A
structure is a connected part of at least 27 mm³ in which a difference exceeds a threshold: three times the noise
of the target, and no less than 10 % of L. The threshold depends on the target alone, so that a worse model does
not raise its own bar.

- candidate: source and target differ; contrast agent or a lesion, but also vessels and misregistration.
- false structure: the synthetic image differs from the target and from the source; the model invented it.
- false enhancement: a false structure that is brighter than the target.
- leftover: the synthetic image still differs from the target where, and in the sense in which, the source does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from voxlate.evaluation.baselines import blur
from voxlate.evaluation.cases.intensity import robustly_fitted
from voxlate.evaluation.lesions.components import Component, components
from voxlate.evaluation.lesions.reference import noise_sd
from voxlate.evaluation.similarity.arrays import box_of
from voxlate.volume import Array, Mask

LEAST_MM3 = 27.0
SMOOTHING_MM = 1.0
NOISE_FACTOR = 3.0
LEAST_SHARE_OF_RANGE = 0.10
MOST_CANDIDATES = 20


def find_structures(
    images: dict[str, Array], mask: Mask, *, spacing_mm: tuple[float, float, float], data_range: float
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Returns counts and volumes of a case, and its largest candidates.

    Args:
        images: `source`, `synthetic` and `target` in one unit.
        mask: where to look.
        spacing_mm: of the grid.
        data_range: L, in the images' unit.

    Returns:
        A record with `threshold`, and for candidates, false_structures, false_enhancements and leftovers the number
        and the volume in mm³; and at most 20 candidates with size, place and the share of the change reached.
    """
    box = box_of(mask)
    inside = mask[box]
    target = images["target"][box]
    smooth = {"target": blur(target, inside, SMOOTHING_MM, spacing_mm)}
    for role in ("source", "synthetic"):
        smooth[role] = blur(robustly_fitted(images[role][box], target, inside), inside, SMOOTHING_MM, spacing_mm)
    threshold = max(NOISE_FACTOR * noise_sd(target, inside), LEAST_SHARE_OF_RANGE * data_range)
    found = _find(smooth, threshold, voxel_mm3=float(np.prod(spacing_mm)))
    record: dict[str, Any] = {"threshold": threshold}
    for kind, parts in found.items():
        record |= {f"{kind}_count": len(parts), f"{kind}_mm3": sum((part.volume_mm3 for part in parts), 0.0)}
    starts = tuple(part.start for part in box)
    return record, [_candidate(part, smooth, starts) for part in found["candidates"][:MOST_CANDIDATES]]


def _find(smooth: dict[str, Array], threshold: float, *, voxel_mm3: float) -> dict[str, list[Component]]:
    change = smooth["source"] - smooth["target"]
    error = smooth["synthetic"] - smooth["target"]
    invented = np.abs(smooth["synthetic"] - smooth["source"]) > threshold
    masks = {
        "candidates": np.abs(change) > threshold,
        "false_structures": (np.abs(error) > threshold) & invented,
        "false_enhancements": (error > threshold) & invented,
        "leftovers": (np.abs(error) > threshold) & (np.abs(change) > threshold) & (error * change > 0) & ~invented,
    }
    return {kind: list(components(mask, voxel_mm3=voxel_mm3, least_mm3=LEAST_MM3)) for kind, mask in masks.items()}


def _candidate(part: Component, smooth: dict[str, Array], starts: tuple[int, ...]) -> dict[str, Any]:
    means = {role: float(part.values(image).mean()) for role, image in smooth.items()}
    return {
        "candidate": part.number,
        "volume_mm3": part.volume_mm3,
        "diameter_mm": part.diameter_mm,
        "size": part.size_class,
        "voxel": [start + place for start, place in zip(starts, part.centre(), strict=True)],
        "change": means["target"] - means["source"],
        "share_reached": (means["source"] - means["synthetic"]) / (means["source"] - means["target"]),
    }
