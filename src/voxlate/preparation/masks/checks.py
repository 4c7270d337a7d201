"""Whether a mask can be that of a brain: its volume, its extent, its pieces, its contact with the border.

Volumes of the adult brain with its fluid lie between about 1.0 and 1.9 litres (mean 1.45, standard deviation 0.13);
children and severe atrophy lie below, which is doubtful, not wrong.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.volume import Mask, Volume

USUAL_CM3, POSSIBLE_CM3 = (950.0, 1950.0), (350.0, 2600.0)
_CUT_CM2 = 15.0
"""More area of the brain than this on one face of the field of view means that the brain is cut."""


@dataclass(frozen=True)
class MaskReport:
    """What is known of a mask.

    Attributes:
        volume_cm3: of the mask.
        largest_share: of its largest connected piece.
        extent_mm: along right, anterior, superior.
        cut_cm2: area of the mask on the faces of the field of view, the largest of six.
        verdict: `good`, `doubtful` or `bad`.
        reasons: what speaks against it.
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
    """Returns what speaks for and against a brain mask on the grid of `volume`."""
    if not mask.any():
        return MaskReport(0.0, 0.0, (0.0, 0.0, 0.0), 0.0, "bad", ("the mask is empty",))
    volume_cm3 = float(mask.sum()) * volume.grid.voxel_volume_mm3 / 1000
    labels, count = ndimage.label(mask)
    largest = float(np.bincount(labels.ravel())[1:].max() / mask.sum()) if count > 1 else 1.0
    extent, cut = _extent_mm(mask, volume), _cut_cm2(mask, volume)
    bad, doubtful = [], []
    if not POSSIBLE_CM3[0] <= volume_cm3 <= POSSIBLE_CM3[1]:
        bad.append(f"the brain has {volume_cm3:.0f} cm³; {POSSIBLE_CM3[0]:.0f} to {POSSIBLE_CM3[1]:.0f} are possible")
    elif not USUAL_CM3[0] <= volume_cm3 <= USUAL_CM3[1]:
        doubtful.append(f"the brain has {volume_cm3:.0f} cm³; {USUAL_CM3[0]:.0f} to {USUAL_CM3[1]:.0f} are usual")
    if largest < 0.9:
        doubtful.append(f"the largest piece of the mask has only {largest:.0%} of it")
    if min(extent) < 60 or max(extent) > 230:
        doubtful.append("the brain measures " + " x ".join(f"{mm:.0f}" for mm in extent) + " mm")
    if cut > _CUT_CM2:
        doubtful.append(f"the field of view cuts the brain over {cut:.0f} cm²")
    verdict: Literal["good", "doubtful", "bad"] = "bad" if bad else "doubtful" if doubtful else "good"
    return MaskReport(volume_cm3, largest, extent, cut, verdict, (*bad, *doubtful))


def require_plausible(report: MaskReport) -> None:
    """Refuses a mask that cannot be that of a brain.

    Raises:
        InputRefused: `MASK_IMPLAUSIBLE`, with the figures.
    """
    if report.verdict == "bad":
        raise InputRefused(
            "MASK_IMPLAUSIBLE", f"{'; '.join(report.reasons)}; is this a head? give a brain mask if it is"
        )


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
