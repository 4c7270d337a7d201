"""How well two scans of different contrast lie on each other, judged without knowing the truth.

*Edge agreement* asks whether the edges inside the brain run the same way in both scans, whichever side is brighter
(normalised gradient fields: Haber and Modersitzki, MICCAI 2006). At the stronger edges of the fixed scan the squared
cosine between both gradients is averaged; two unrelated scans give 1/3, so that (mean - 1/3) / (2/3) is 0 by chance
and 1 for scans whose edges all agree. *NMI* is that of Studholme (Pattern Recognit 1999;32:71): 1 for unrelated scans,
2 for scans that determine each other. *Overlap* is the Dice coefficient of the two brain masks.

The thresholds stand between what pairs of one head reach and what the best registration of two heads reaches.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.information import normalised_information
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.steps.crop import Crop
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Affine, Array, Mask, Volume

Verdict = Literal["good", "doubtful", "bad"]

PAIR_EDGES, AVERAGE_EDGES = (0.28, 0.20), (0.12, 0.0)
"""Edge agreement above the first is good, below the second bad, for a pair and for a template; what they rest on
stands in `docs/preparation.md`."""

GOOD_OVERLAP, BAD_OVERLAP = 0.85, 0.60
_SMOOTHING_MM = 1.0
_STRONG_SHARE = 0.25
_DEPTH_MM = 3.0
_MARGIN_MM = 4.0
"""What lies further from the brain costs time and says nothing."""

_BINS = 64


@dataclass(frozen=True)
class AlignmentScore:
    """How good a transform is.

    Attributes:
        edge_agreement: 0 by chance, 1 for the same edges.
        nmi: 1 to 2.
        overlap: Dice of the brain masks, or None without a mask of the moving scan.
        coverage: share of the fixed brain that lies in the field of view of the moving scan.
        verdict: `good`, `doubtful` or `bad`.
        reasons: what speaks against it.
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
    """Returns how well `transform` brings `moving` onto `fixed` inside `fixed_mask`.

    With `to_average` the fixed scan is an average of many heads: less is expected of the edges.
    """
    crop = Crop.around(fixed_mask, fixed.grid, margin_mm=_MARGIN_MM)
    box, mask = crop.apply(fixed), fixed_mask[crop.box]
    moved = resample(moving, box.grid, transform)
    seen = resample(moving.with_data(np.ones_like(moving.data)), box.grid, transform, interpolation="nearest").data > 0
    inside = mask & seen
    coverage = float(inside.sum() / mask.sum())
    overlap = None
    if moving_mask is not None:
        there = resample(moving.with_data(moving_mask), box.grid, transform, interpolation="nearest").data > 0.5
        scale = abs(float(np.linalg.det(transform.matrix[:3, :3])))
        whole = float(moving_mask.sum()) * moving.grid.voxel_volume_mm3 / (scale * box.grid.voxel_volume_mm3)
        overlap = float(2 * (mask & there).sum() / (mask.sum() + whole))
    edges, nmi = 0.0, 1.0
    if inside.sum() > 100:
        edges = edge_agreement(box, moved, inside)
        nmi = normalised_mutual_information(box.data[inside], moved.data[inside])
    verdict, reasons = _judge(edges, overlap, coverage, AVERAGE_EDGES if to_average else PAIR_EDGES)
    return AlignmentScore(edges, nmi, overlap, coverage, verdict, reasons)


def require_aligned(score: AlignmentScore) -> None:
    """Refuses a pair whose registration is bad.

    Raises:
        InputRefused: `MISREGISTERED`, with the figures.
    """
    if score.verdict == "bad":
        raise InputRefused(
            "MISREGISTERED",
            f"the two scans do not lie on each other: {'; '.join(score.reasons)}; are they of one patient and region?",
        )


def edge_agreement(fixed: Volume, moved: Volume, mask: Mask) -> float:
    """Returns the agreement of the edges of two volumes on one grid, deep inside `mask`; see the module."""
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
    """Returns (H(first) + H(second)) / H(both) of two lists of values.

    Each in 64 bins between its 1st and 99th percentile. One when either is constant.
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


def _judge(
    edges: float, overlap: float | None, coverage: float, expected: tuple[float, float]
) -> tuple[Verdict, tuple[str, ...]]:
    found: list[tuple[Verdict, str]] = []
    good_edges, bad_edges = expected
    if edges < good_edges:
        verdict: Verdict = "bad" if edges < bad_edges else "doubtful"
        found.append((verdict, f"the edges inside the brain agree by {edges:.2f}, {good_edges:.2f} is expected"))
    if overlap is not None and overlap < GOOD_OVERLAP:
        verdict = "bad" if overlap < BAD_OVERLAP else "doubtful"
        found.append((verdict, f"the two brains overlap by a Dice of {overlap:.2f}, {GOOD_OVERLAP:.2f} is expected"))
    if coverage < 0.9:
        verdict = "bad" if coverage < 0.5 else "doubtful"
        found.append((verdict, f"the other scan covers only {coverage:.0%} of the brain"))
    verdicts = {verdict for verdict, _ in found}
    worst: Verdict = "bad" if "bad" in verdicts else "doubtful" if verdicts else "good"
    return worst, tuple(reason for _, reason in found)
