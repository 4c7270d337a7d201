"""How much of a contrast agent's enhancement did a model remove (or add)?

MAE, PSNR and SSIM of the brain do not show it: an agent changes some 2 % of the voxels of a brain, so that an image
with all of its enhancement in place has nearly the MAE of an image without it. Here the enhanced voxels are found
first, from source and target alone, and measured separately.

1. All images are smoothed by a Gaussian of 1 mm within the mask, so that single noisy voxels do not count.
2. The source is brought to the target by a line (gain and offset) fitted by trimmed least squares, because a difference
   of scale or contrast between the two sequences is not enhancement.
3. Enhanced voxels: the source exceeds the target by more than 4 robust standard deviations of the difference and by
   more than 0.2 of the target's median, 3 mm or more inside the mask, in connected parts of 30 mm³ or more.
4. The compared image and the source get a second line, fitted farther than 2 mm from enhanced voxels, so that residual
   enhancement does not influence it.

With e = image − target and s = source − target:

- Residual enhancement: mean(e) / mean(s) over the enhanced voxels, in %. 100 is the untouched source, 0 the target; a
  negative value means that too much was removed.
- Less than half removed: share of the enhanced voxels where e is more than half of s, in %.
- Disturbance: mean |e| farther than 2 mm from enhanced voxels, in % of mean |s| there; the error made elsewhere.
- Reverse share: voxels that the same rule finds where the scan after the agent is *darker*, in % of the enhanced ones.
  Contrast agents do not darken T1, so this estimates how many of the enhanced voxels are noise or misregistration.

For a model that adds enhancement, step 3 looks for voxels in which the target exceeds the source, after the same line
and with the same thresholds; the values mean the same: 100 is the untouched source, 0 the target.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from voxlate.evaluation.baselines import Blur
from voxlate.evaluation.cases.intensity import MAD_TO_SD, line_through, median
from voxlate.evaluation.cases.regions import within
from voxlate.evaluation.lesions.components import components
from voxlate.evaluation.protocols import Score
from voxlate.evaluation.schema.results import ProtocolDefinition
from voxlate.volume import Array, Mask, box_of

PROTOCOL = "enhancement"
ENHANCED, PLAIN = "T1ce", frozenset({"T1", "T1w", "T1nce"})
RESIDUAL, HALF, DISTURBANCE, REVERSE = (
    "residual_enhancement",
    "less_than_half_removed",
    "disturbance",
    "reverse_share",
)

SMOOTHING_MM = 1.0
"""One voxel of a usual T1-weighted scan."""

LEAST_DEVIATIONS = 4.0
"""Normal noise exceeds it on one side in 3 of 100,000 voxels, too few for a connected part of `LEAST_PART_MM3`."""

LEAST_SHARE_OF_MEDIAN = 0.2
"""Of the target's median: smaller changes of T1-weighted images are differences of sequence, flow or shading."""

BORDER_MM = 3.0
"""Distance from the border of the mask, where errors of the mask, scalp and misregistration cause differences."""

LEAST_PART_MM3 = 30.0
"""About a sphere of 4 mm diameter."""

AWAY_MM = 2.0
"""Twice the smoothing: beyond this distance an enhanced voxel adds less than 2 % to another voxel."""

ROUNDS, TRIMMED_AT = 6, 2.5
"""Of the trimmed line: voxels beyond 2.5 robust standard deviations (1 % of normal values) are left out of the next
round; after six rounds the line does not change."""

LEAST_PER_MILLE = 0.05
"""Of the mask: if fewer voxels enhance, a ratio of means is noise, and the case has no scores."""


@dataclass(frozen=True)
class AgentDirection:
    """Whether a task removes or adds the enhancement by a contrast agent.

    Attributes:
        sign: 1 when the source is enhanced and the target is not, -1 when the target is.
    """

    sign: int

    @classmethod
    def of(cls, task: str) -> AgentDirection | None:
        """Returns the direction of a task as sidecars state it (`T1ce to T1nce`).

        None unless one side is `T1ce` and the other a T1 without agent: between other contrasts a brighter voxel is
        not enhancement.
        """
        source, _, target = task.partition(" to ")
        if source == ENHANCED and target in PLAIN:
            return cls(1)
        return cls(-1) if source in PLAIN and target == ENHANCED else None


@dataclass(frozen=True)
class Enhancement:
    """Enhanced voxels of a case.

    Attributes:
        voxels: enhanced voxels, of the shape of the box.
        away: voxels of the mask farther than 2 mm from enhanced ones, of the same shape.
        reverse_share: see the module, in %.
        box: position of both in the images of the case, one slice per axis.
    """

    voxels: Mask
    away: Mask
    reverse_share: float
    box: tuple[slice, ...]


class EnhancementMeasure:
    """Measures the enhancement of the images of one case.

    Args:
        source: (i, j, k), in the unit of comparison.
        target: (i, j, k), likewise.
        mask: (i, j, k), the brain, where images are compared.
        spacing_mm: of the grid, along the three axes.
        direction: whether the agent is removed or added.
        regions: name to voxels (i, j, k), see `voxlate.evaluation.cases.regions.lesion_regions`. With a `lesion`,
            enhanced voxels in lesions are also measured separately, as are those beyond their rim (vessels, dura,
            choroid plexus).
    """

    def __init__(
        self,
        source: Array,
        target: Array,
        mask: Mask,
        *,
        spacing_mm: tuple[float, float, float],
        direction: AgentDirection,
        regions: Mapping[str, Mask] | None = None,
    ) -> None:
        box = box_of(mask)
        self._spacing = spacing_mm
        self._inside = mask[box]
        self._blur = Blur(self._inside, SMOOTHING_MM, spacing_mm)
        self._target, self._source = (self._blur.of(image[box]) for image in (target, source))
        self.enhancement = self._find(direction, box)
        self._regions = self._split({name: region[box] for name, region in (regions or {}).items()})
        self._change = self._error_of(self._source)

    @property
    def left_out(self) -> str:
        """Returns why the case has no scores; empty when it has."""
        if self.is_measurable:
            return ""
        return f"fewer than {LEAST_PER_MILLE / 10:g} % of the mask enhance, which is too little for a ratio"

    @property
    def is_measurable(self) -> bool:
        """Returns whether enough voxels enhance for a ratio of means."""
        voxels = int(self.enhancement.voxels.sum())
        return voxels > 0 and voxels >= LEAST_PER_MILLE / 1000 * int(self._inside.sum())

    def scores(self, image: Array) -> Iterator[Score]:
        """Yields the scores of an image (i, j, k); NaN with the reason when too few voxels of the case enhance."""
        if not self.is_measurable:
            yield from (Score("enhanced", metric, math.nan, "%", left_out=self.left_out) for metric in (RESIDUAL, HALF))
            yield Score("mask", DISTURBANCE, math.nan, "%", left_out=self.left_out)
            return
        error = self._error_of(self._blur.of(image[self.enhancement.box]))
        for region, voxels in self._regions.items():
            change = self._change[voxels]
            left = error[voxels]
            yield Score(region, RESIDUAL, 100 * float(left.mean() / change.mean()), "%")
            yield Score(region, HALF, 100 * float((left * change > 0.5 * np.square(change)).mean()), "%")
        elsewhere = float(np.abs(self._change[self.enhancement.away]).mean())
        if elsewhere > 0:
            share = 100 * float(np.abs(error[self.enhancement.away]).mean()) / elsewhere
            yield Score("mask", DISTURBANCE, share, "%")

    def reverse_share(self) -> Score:
        """Returns the reverse share, a score of the case and not of an image."""
        return Score("mask", REVERSE, self.enhancement.reverse_share, "%")

    def _find(self, direction: AgentDirection, box: tuple[slice, ...]) -> Enhancement:
        gain, offset = trimmed_line(self._source, self._target, self._inside)
        difference = direction.sign * (gain * self._source + offset - self._target)
        values = difference[self._inside]
        centre = median(values)
        spread = MAD_TO_SD * median(np.abs(values - centre))
        least = max(LEAST_DEVIATIONS * spread, LEAST_SHARE_OF_MEDIAN * median(self._target[self._inside]))
        deep = self._inside & ~self._near_border()
        voxels, opposite = (self._parts((side > least) & deep) for side in (difference, -difference))
        away = self._inside & ~within(voxels, AWAY_MM, self._spacing)
        count = int(voxels.sum())
        return Enhancement(voxels, away, 100 * int(opposite.sum()) / count if count else 0.0, box)

    def _near_border(self) -> Mask:
        """Returns the voxels that are less than `BORDER_MM` from one outside the mask; the box's edge is outside."""
        outside = np.pad(~self._inside, 1, constant_values=True)
        return within(outside, float(np.nextafter(BORDER_MM, 0)), self._spacing)[1:-1, 1:-1, 1:-1]

    def _parts(self, mask: Mask) -> Mask:
        """Returns the connected parts of a mask that are large enough."""
        kept = np.zeros_like(mask)
        for part in components(mask, voxel_mm3=float(np.prod(self._spacing)), least_mm3=LEAST_PART_MM3):
            kept[part.box] |= part.inside
        return kept

    def _split(self, regions: Mapping[str, Mask]) -> dict[str, Mask]:
        """Returns name to enhanced voxels: all, those in lesions and those beyond; too small ones are left out."""
        parts = {"enhanced": self.enhancement.voxels}
        if "lesion" in regions:
            normal = regions.get("normal_appearing", np.zeros_like(self.enhancement.voxels))
            parts |= {
                "enhanced_lesion": self.enhancement.voxels & regions["lesion"],
                "enhanced_elsewhere": self.enhancement.voxels & normal,
            }
        least = LEAST_PART_MM3 / float(np.prod(self._spacing))
        return {name: voxels for name, voxels in parts.items() if voxels.sum() >= least}

    def _error_of(self, smooth: Array) -> Array:
        """Returns smoothed image − target after a line fitted away from enhancement."""
        gain, offset = trimmed_line(smooth, self._target, self.enhancement.away)
        return np.asarray(gain * smooth + offset - self._target, dtype=np.float32)


def trimmed_line(image: Array, target: Array, mask: Mask) -> tuple[float, float]:
    """Returns gain and offset of the trimmed least squares fit gain · image + offset ≈ target in the mask.

    Each of six rounds uses the voxels within 2.5 robust standard deviations of the previous line. A constant image has
    gain 0 and the trimmed mean of the target as its offset; an empty mask gives (1, 0).

    Args:
        image: (i, j, k).
        target: (i, j, k).
        mask: (i, j, k), fitted voxels.
    """
    x, y = image[mask].astype(np.float64), target[mask].astype(np.float64)
    if x.size == 0:
        return 1.0, 0.0
    chosen = np.ones(x.size, dtype=np.bool_)
    gain, offset = 0.0, 0.0
    for _ in range(ROUNDS):
        gain, offset = line_through(x[chosen], y[chosen])
        distance = gain * x
        np.subtract(y, distance, out=distance)
        distance -= offset
        distance -= median(distance)
        np.abs(distance, out=distance)
        spread = MAD_TO_SD * median(distance)
        if spread == 0:  # more than half of the voxels lie on the line
            break
        chosen = distance <= TRIMMED_AT * spread
    return gain, offset


def best_curve(source: Array, target: Array, mask: Mask, *, bins: int = 64) -> Array:
    """Returns the source (i, j, k) after the intensity curve that brings it closest to its own target.

    The curve is the mean of the target in each of `bins` equally filled bins of the source. It needs the target, so it
    is a reference and not a method. A model that is not better has learned a contrast curve and does not distinguish
    enhancement from tissue of the same intensity.

    Args:
        source: (i, j, k).
        target: (i, j, k).
        mask: (i, j, k); outside it the source is unchanged.
        bins: 64 is enough for any smooth curve, and a bin of a brain then holds 10,000 voxels.
    """
    inside = source[mask].astype(np.float64)
    edges = np.unique(np.quantile(inside, np.linspace(0, 1, bins + 1)[1:-1]))
    bin_of = np.searchsorted(edges, inside)
    total = np.bincount(bin_of, target[mask].astype(np.float64), minlength=edges.size + 1)
    count = np.bincount(bin_of, minlength=edges.size + 1)
    means = total / np.maximum(count, 1)
    result = source.copy()
    result[mask] = means[bin_of]
    return result


def enhancement_protocol() -> ProtocolDefinition:
    """Returns the definition of these scores, as `evaluation.json` lists it beside the protocols."""
    return ProtocolDefinition(
        name=PROTOCOL,
        definition=(
            "Enhanced voxels: source minus target (target minus source for a model that adds enhancement), both "
            f"smoothed by a Gaussian of {SMOOTHING_MM:g} mm in the mask, the source brought to the target by a trimmed "
            f"line, above {LEAST_DEVIATIONS:g} robust deviations and {LEAST_SHARE_OF_MEDIAN:g} of the target's median, "
            f"at least {BORDER_MM:g} mm inside the mask, in parts of {LEAST_PART_MM3:g} mm³ or more. Residual "
            "enhancement: mean difference to the target there, in % of the source's (100 untouched, 0 as the target, "
            "negative overdone). Less than half removed: share of these voxels with more than half of the source's "
            f"difference. Disturbance: mean absolute difference farther than {AWAY_MM:g} mm from them, in % of the "
            "source's. Reverse share: voxels that the rule finds where the scan after the agent is darker, in % of "
            "the enhanced ones; noise of the measure. A case of which less than 0.005 % of the mask enhances has no "
            "figures. Curve: the best intensity curve of each scan, which knows the target."
        ),
    )
