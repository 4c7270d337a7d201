"""Scores the alignment of two scans of different contrast, without a reference.

*Edge agreement* measures whether edges inside the brain have the same direction in both scans, whichever side is
brighter (normalised gradient fields: Haber and Modersitzki, MICCAI 2006). It is the mean squared cosine between both
gradients at the stronger edges of the fixed scan. Two unrelated scans give 1/3, so the score is (mean - 1/3) / (2/3):
0 by chance, 1 if all edges agree. *NMI* is the normalised mutual information of Studholme (Pattern Recognit
1999;32:71): 1 for unrelated scans, 2 for scans that determine each other. *Overlap* is the Dice coefficient of the
two brain masks.

The thresholds lie between the scores of pairs of one head and those of the best registration of two different heads
(`docs/concepts/registration-score.md`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.mutual_information import normalised_information
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.steps.crop import Crop
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Affine, Array, Mask, Volume

Verdict = Literal["good", "doubtful", "bad"]

PAIR_EDGES, AVERAGE_EDGES = (0.28, 0.20), (0.12, 0.0)
"""Edge agreement above the first is good, below the second bad: for a pair, and for a template.

Source: 27 pairs of one head were never below 0.34, 9 pairs of two heads never above 0.16
(`docs/concepts/registration-score.md`).
"""

GOOD_OVERLAP, BAD_OVERLAP = 0.85, 0.60
"""Dice of the two brain masks: good from the first, bad below the second; chosen by hand."""

# Chosen by hand, not tuned: smoothing before the gradient, the share of voxels (those with the largest gradient) that
# count as edges, and the least depth of an edge below the surface of the mask.
_SMOOTHING_MM = 1.0
_STRONG_SHARE = 0.25
_DEPTH_MM = 3.0
_MARGIN_MM = 4.0  # voxels farther from the brain cost time and do not enter the score
_BINS = 64  # of the joint histogram; chosen by hand; not tuned


@dataclass(frozen=True)
class AlignmentScore:
    """The quality of a transform.

    Attributes:
        edge_agreement: 0 by chance, 1 if all edges agree.
        nmi: normalised mutual information, 1 to 2.
        overlap: Dice coefficient of the brain masks; None without a mask of the moving scan.
        coverage: fraction of the fixed brain inside the field of view of the moving scan.
        verdict: `good`, `doubtful` or `bad`.
        reasons: why the verdict is not `good`.
    """

    edge_agreement: float
    nmi: float
    overlap: float | None
    coverage: float
    verdict: Verdict
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns the score as plain values."""
        content = {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}
        return content | {"reasons": list(self.reasons)}


def alignment_score(
    fixed: Volume,
    moving: Volume,
    transform: Transform,
    *,
    fixed_mask: Mask,
    moving_mask: Mask | None = None,
    to_average: bool = False,
) -> AlignmentScore:
    """Scores how well `transform` aligns `moving` with `fixed` inside `fixed_mask`.

    Args:
        fixed: the fixed scan, (i, j, k).
        moving: the moving scan, (i, j, k) on its own grid.
        transform: millimetres of `fixed` to millimetres of `moving`, RAS+.
        fixed_mask: brain on the grid of `fixed`.
        moving_mask: brain on the grid of `moving`, for the overlap.
        to_average: `fixed` is an average of many heads, so a lower edge agreement is expected.
    """
    crop = Crop.around(fixed_mask, fixed.grid, margin_mm=_MARGIN_MM)
    box, mask = crop.apply(fixed), fixed_mask[crop.box]
    moved = resample(moving, box.grid, transform)
    seen = resample(moving.with_data(np.ones_like(moving.data)), box.grid, transform, interpolation="nearest").data > 0
    inside = mask & seen
    coverage = float(inside.sum() / mask.sum())
    overlap = None
    if moving_mask is not None:
        moved_mask = resample(moving.with_data(moving_mask), box.grid, transform, interpolation="nearest").data > 0.5
        scale = abs(float(np.linalg.det(transform.matrix[:3, :3])))
        whole = float(moving_mask.sum()) * moving.grid.voxel_volume_mm3 / (scale * box.grid.voxel_volume_mm3)
        overlap = float(2 * (mask & moved_mask).sum() / (mask.sum() + whole))
    edges, nmi = 0.0, 1.0
    if inside.sum() > 100:
        edges = edge_agreement(box, moved, inside)
        nmi = normalised_mutual_information(box.data[inside], moved.data[inside])
    verdict, reasons = _verdict(edges, overlap, coverage, AVERAGE_EDGES if to_average else PAIR_EDGES)
    return AlignmentScore(edges, nmi, overlap, coverage, verdict, reasons)


def require_aligned(score: AlignmentScore) -> None:
    """Refuses a pair with a bad registration.

    Raises:
        InputRefused: `MISREGISTERED`, with the scores.
    """
    if score.verdict == "bad":
        raise InputRefused(
            "MISREGISTERED",
            f"the two scans are not aligned: {'; '.join(score.reasons)}; do they show the same patient and region?",
        )


def edge_agreement(fixed: Volume, moved: Volume, mask: Mask) -> float:
    """Returns the edge agreement of two volumes, deep inside a mask; see the module.

    Args:
        fixed: the fixed scan, (i, j, k).
        moved: the moving scan, resampled to the grid of `fixed`.
        mask: (i, j, k), on the same grid.
    """
    depth = ndimage.distance_transform_edt(mask, sampling=fixed.spacing_mm)
    deep = depth > _DEPTH_MM
    deep = deep if deep.sum() > 100 else mask
    first, second = _gradient(fixed), _gradient(moved)
    first_size, second_size = np.linalg.norm(first, axis=-1), np.linalg.norm(second, axis=-1)
    strong = deep & (first_size > np.quantile(first_size[deep], 1 - _STRONG_SHARE))
    product = (first[strong] * second[strong]).sum(axis=-1)
    floor = 0.1 * float(np.median(second_size[strong])) + 1e-12
    cosine = product / (first_size[strong] * np.maximum(second_size[strong], floor))
    return float((np.mean(cosine**2) - 1 / 3) / (2 / 3))


def normalised_mutual_information(first: Array, second: Array) -> float:
    """Returns the normalised mutual information, (H(first) + H(second)) / H(both).

    Each histogram has 64 bins between the 1st and the 99th percentile.

    Args:
        first: (n,), values of one scan.
        second: (n,), values of the other scan at the same voxels.

    Returns:
        1 for unrelated values, up to 2; also 1 if either is constant.
    """
    indices = []
    for values in (first, second):
        low, high = np.percentile(values, [1, 99])
        if high <= low:
            return 1.0
        scaled = (values - low) / (high - low) * _BINS
        indices.append(np.clip(scaled, 0, _BINS - 1).astype(np.intp))
    joint = np.bincount(indices[0] * _BINS + indices[1], minlength=_BINS**2).reshape(_BINS, _BINS)
    return normalised_information(joint)


def _gradient(volume: Volume) -> Affine:
    """Returns the gradient of the smoothed image, (i, j, k, 3), per millimetre."""
    sigma = [_SMOOTHING_MM / mm for mm in volume.spacing_mm]
    smooth = ndimage.gaussian_filter(volume.data.astype(np.float32), sigma, mode="nearest")
    parts = np.gradient(smooth, *volume.spacing_mm)
    return np.stack(list(parts), axis=-1).astype(np.float64)


def _verdict(
    edges: float, overlap: float | None, coverage: float, expected: tuple[float, float]
) -> tuple[Verdict, tuple[str, ...]]:
    problems: list[tuple[Verdict, str]] = []
    good_edges, bad_edges = expected
    if edges < good_edges:
        verdict: Verdict = "bad" if edges < bad_edges else "doubtful"
        problems.append(
            (verdict, f"the edge agreement inside the brain is {edges:.2f}; at least {good_edges:.2f} is expected")
        )
    if overlap is not None and overlap < GOOD_OVERLAP:
        verdict = "bad" if overlap < BAD_OVERLAP else "doubtful"
        problems.append(
            (verdict, f"the brain masks overlap with a Dice of {overlap:.2f}; at least {GOOD_OVERLAP:.2f} is expected")
        )
    if coverage < 0.9:  # this limit and the next are chosen by hand
        verdict = "bad" if coverage < 0.5 else "doubtful"
        problems.append((verdict, f"the other scan covers only {coverage:.0%} of the brain"))
    verdicts = {verdict for verdict, _ in problems}
    worst: Verdict = "bad" if "bad" in verdicts else "doubtful" if verdicts else "good"
    return worst, tuple(reason for _, reason in problems)
