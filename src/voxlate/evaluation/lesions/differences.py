"""Structures found without labels from differences of images: changed, invented or left over.

Source and synthetic image are first brought to the target by a robust linear fit; all three are then smoothed by a
Gaussian of 1 mm in the mask. A structure is a connected part of at least 27 mm³ in which a difference exceeds a
threshold: three times the noise of the target, and at least 10 % of L. The threshold depends on the target alone, so
that a worse model does not raise it.

- Candidate: source and target differ. The cause is contrast agent or a lesion, but also a vessel or misregistration.
- False structure: the synthetic image differs from both target and source.
- False enhancement: a false structure that is brighter than the target.
- Leftover: the synthetic image differs from the target where the source does, and in the same direction.
"""

from __future__ import annotations

import numpy as np

from voxlate.evaluation.baselines import Blur
from voxlate.evaluation.cases.intensity import robustly_fitted
from voxlate.evaluation.lesions.components import Component, components
from voxlate.evaluation.lesions.reference import noise_sd
from voxlate.evaluation.schema.rows import CandidateRow, StructuresRow
from voxlate.volume import Array, Mask, box_of

LEAST_MM3 = 27.0
"""A cube of 3 mm; chosen by hand, not tuned."""

SMOOTHING_MM = 1.0
"""One voxel of a usual T1-weighted scan, as for the enhancement measure."""

NOISE_FACTOR = 3.0
"""In standard deviations: 0.3 % of normal noise is beyond it; smoothing and `LEAST_MM3` remove most of that."""

LEAST_SHARE_OF_RANGE = 0.10
"""Of L; in a nearly noise-free image smaller differences are shading. Chosen by hand, not tuned."""

MOST_CANDIDATES = 20
"""Rows of candidates per case, so that a misregistered case does not fill the table; the counts include all."""


def find_structures(
    images: dict[str, Array], mask: Mask, *, spacing_mm: tuple[float, float, float], data_range: float
) -> tuple[StructuresRow, list[CandidateRow]]:
    """Returns numbers and volumes of the structures of a case, and its largest candidates.

    Args:
        images: `source`, `synthetic` and `target`, each of shape (i, j, k) on one grid and in one unit.
        mask: (i, j, k), the voxels that are searched.
        spacing_mm: of the grid, along the three axes.
        data_range: L, in the unit of the images.

    Returns:
        A row with the threshold and, for each kind of structure, the number and the volume in mm³; and at most 20
        rows of candidates with size, position and the share of the change that was reached, the largest first.
    """
    box = box_of(mask)
    inside = mask[box]
    target = images["target"][box]
    blur = Blur(inside, SMOOTHING_MM, spacing_mm)
    smooth = {"target": blur.of(target)}
    for role in ("source", "synthetic"):
        smooth[role] = blur.of(robustly_fitted(images[role][box], target, inside))
    threshold = max(NOISE_FACTOR * noise_sd(target, inside), LEAST_SHARE_OF_RANGE * data_range)
    parts = _structures(smooth, threshold, voxel_mm3=float(np.prod(spacing_mm)))
    volumes = {kind: sum((part.volume_mm3 for part in own), 0.0) for kind, own in parts.items()}
    row: StructuresRow = {
        "kind": "structures",
        "threshold": threshold,
        "candidates_count": len(parts["candidates"]),
        "candidates_mm3": volumes["candidates"],
        "false_structures_count": len(parts["false_structures"]),
        "false_structures_mm3": volumes["false_structures"],
        "false_enhancements_count": len(parts["false_enhancements"]),
        "false_enhancements_mm3": volumes["false_enhancements"],
        "leftovers_count": len(parts["leftovers"]),
        "leftovers_mm3": volumes["leftovers"],
    }
    starts = tuple(part.start for part in box)
    return row, [_candidate(part, smooth, starts) for part in parts["candidates"][:MOST_CANDIDATES]]


def _structures(smooth: dict[str, Array], threshold: float, *, voxel_mm3: float) -> dict[str, list[Component]]:
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


def _candidate(part: Component, smooth: dict[str, Array], starts: tuple[int, ...]) -> CandidateRow:
    means = {role: float(part.values(image).mean()) for role, image in smooth.items()}
    return {
        "kind": "candidate",
        "candidate": part.number,
        "volume_mm3": part.volume_mm3,
        "diameter_mm": part.diameter_mm,
        "size": part.size_class,
        "voxel": [start + index for start, index in zip(starts, part.centre(), strict=True)],
        "change": means["target"] - means["source"],
        "share_reached": (means["source"] - means["synthetic"]) / (means["source"] - means["target"]),
    }
