"""Checks whether a mask is plausible for a brain: its volume, extent, connected components and contact with the border.

The adult brain with its fluid has about 1.0 to 1.9 litres (mean 1.45, standard deviation 0.13); children and severe
atrophy are below, so a smaller volume is doubtful but not wrong.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.volume import Mask, Volume

USUAL_CM3, POSSIBLE_CM3 = (950.0, 1950.0), (350.0, 2600.0)
"""A volume outside the first range is doubtful, outside the second bad; the second is chosen by hand."""

_CUT_CM2 = 15.0
"""A larger area of the mask on one face of the field of view means that the brain is cut; chosen by hand."""

_USUAL_EXTENT_MM = (60, 230)  # of a brain along each axis; chosen by hand
LEAST_LARGEST_SHARE = 0.9
"""Share of a brain mask in its largest connected component, at least; chosen by hand."""

GIVE_MASK = "if the scan shows a whole head, give its brain mask (--mask, or the column mask)"
"""What to do where no brain is found; ends a message."""


@dataclass(frozen=True)
class MaskReport:
    """Measurements of a brain mask and a verdict.

    Attributes:
        volume_cm3: volume of the mask.
        largest_share: fraction of its largest connected component.
        extent_mm: extent along right, anterior, superior.
        cut_cm2: area of the mask on a face of the field of view, the largest of the six.
        verdict: `good`, `doubtful` or `bad`.
        reasons: why the verdict is not `good`.
    """

    volume_cm3: float
    largest_share: float
    extent_mm: tuple[float, float, float]
    cut_cm2: float
    verdict: Literal["good", "doubtful", "bad"]
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns the report as plain values."""
        content = {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(self).items()}
        return content | {"extent_mm": [round(mm, 1) for mm in self.extent_mm], "reasons": list(self.reasons)}


def check_mask(mask: Mask, volume: Volume) -> MaskReport:
    """Measures a brain mask and returns a verdict with reasons.

    Args:
        mask: (i, j, k), on the grid of `volume`.
        volume: the scan; only its affine is used.
    """
    if not mask.any():
        return MaskReport(0.0, 0.0, (0.0, 0.0, 0.0), 0.0, "bad", ("the mask is empty",))
    volume_cm3 = volume.grid.volume_cm3(mask)
    labels, count = ndimage.label(mask)
    largest = float(np.bincount(labels.ravel())[1:].max() / mask.sum()) if count > 1 else 1.0
    extent, cut = _extent_mm(mask, volume), _cut_cm2(mask, volume)
    bad, doubtful = [], []
    if not POSSIBLE_CM3[0] <= volume_cm3 <= POSSIBLE_CM3[1]:
        bad.append(f"the brain has {volume_cm3:.0f} cm³; {POSSIBLE_CM3[0]:.0f} to {POSSIBLE_CM3[1]:.0f} are possible")
    elif not USUAL_CM3[0] <= volume_cm3 <= USUAL_CM3[1]:
        doubtful.append(f"the brain has {volume_cm3:.0f} cm³; {USUAL_CM3[0]:.0f} to {USUAL_CM3[1]:.0f} are usual")
    if largest < LEAST_LARGEST_SHARE:
        doubtful.append(f"the largest connected component is only {largest:.0%} of the mask")
    if min(extent) < _USUAL_EXTENT_MM[0] or max(extent) > _USUAL_EXTENT_MM[1]:
        doubtful.append("the brain measures " + " x ".join(f"{mm:.0f}" for mm in extent) + " mm")
    if cut > _CUT_CM2:
        doubtful.append(f"the field of view cuts the brain over {cut:.0f} cm²")
    verdict: Literal["good", "doubtful", "bad"] = "bad" if bad else "doubtful" if doubtful else "good"
    return MaskReport(volume_cm3, largest, extent, cut, verdict, (*bad, *doubtful))


def require_plausible(report: MaskReport) -> None:
    """Refuses a mask that is not plausible for a brain.

    Raises:
        InputRefused: `MASK_IMPLAUSIBLE`, with the measurements.
    """
    if report.verdict == "bad":
        raise InputRefused("MASK_IMPLAUSIBLE", f"{'; '.join(report.reasons)}; {GIVE_MASK}")


def _extent_mm(mask: Mask, volume: Volume) -> tuple[float, float, float]:
    index = np.argwhere(mask)[:: max(1, int(mask.sum()) // 50_000)]
    points = index @ volume.affine[:3, :3].T
    low, high = points.min(axis=0), points.max(axis=0)
    return float(high[0] - low[0]), float(high[1] - low[1]), float(high[2] - low[2])


def _cut_cm2(mask: Mask, volume: Volume) -> float:
    spacing = volume.spacing_mm
    areas = []
    for axis in range(3):
        pixel_cm2 = float(np.prod([mm for other, mm in enumerate(spacing) if other != axis])) / 100
        faces = np.take(mask, 0, axis=axis), np.take(mask, -1, axis=axis)
        areas += [float(face.sum()) * pixel_cm2 for face in faces]
    return max(areas)
