"""A protocol is a frozen, named way to turn images into figures: mask, range, window, aggregation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from voxlate.errors import InputRefused, VoxlateError
from voxlate.evaluation.similarity import highest_psnr
from voxlate.volume import Array, Mask

AS_WRITTEN = "as_written"
LINEAR_FIT = "linear_fit"

_TOLERANCE_DB = 1e-6

NOT_COMPUTABLE = frozenset({"TOO_SMALL", "EMPTY_MASK", "CONSTANT"})
"""Refusals of a metric that concern the metric alone: too few slices for its window or its scales, say."""


class Score(NamedTuple):
    """One figure of one image.

    Attributes:
        region: where it was measured; `mask` for the whole mask.
        metric: what.
        value: in `unit`; may be infinite, or NaN when not defined.
        unit: `%`, `dB`, `HU` ..., or empty.
        intensity: `as_written`, or `linear_fit` after the best gain and offset.
        left_out: why the figure could not be computed, its value then NaN; empty otherwise.
    """

    region: str
    metric: str
    value: float
    unit: str
    intensity: str = AS_WRITTEN
    left_out: str = ""


@dataclass(frozen=True)
class Pair:
    """An image and the target it is compared with, on one RAS+ grid and in one unit.

    Attributes:
        image: the compared image: the source, a baseline or the synthetic image.
        target: the real image.
        mask: where they are compared.
        union_mask: voxels that belong to either scan; the mask itself when one was given.
        regions: name to voxels of further regions (lesion, tissue), each within the mask.
        data_range: L in the images' unit.
    """

    image: Array
    target: Array
    mask: Mask
    union_mask: Mask
    regions: dict[str, Mask]
    data_range: float


@dataclass(frozen=True)
class Protocol:
    """A named definition.

    Attributes:
        name: as on the command line.
        definition: mask, range, window and aggregation in one sentence.
        score: from a pair to its figures.
        unit: the unit it asks for: `HU`, or None when any will do.
        mae_range: the data range in the unit of its MAE, where MAE and PSNR are over the same voxels and values; it
            lets every row be checked. None where they are not.
    """

    name: str
    definition: str
    score: Callable[[Pair], Iterable[Score]]
    unit: str | None = None
    mae_range: float | None = None

    def measure(self, pair: Pair) -> list[Score]:
        """Returns the figures of a pair.

        Raises:
            InputRefused: when the pair cannot be compared.
            VoxlateError: `IMPOSSIBLE_SCORE`, see `require_possible`.
        """
        scores = list(self.score(pair))
        if self.mae_range is not None:
            of = {(score.region, score.intensity, score.metric): score.value for score in scores}
            for (region, intensity, metric), value in of.items():
                if metric == "psnr" and (region, intensity, "mae") in of:
                    require_possible(of[region, intensity, "mae"], value, self.mae_range)
        return scores


def computed(compute: Callable[[], float], region: str, metric: str, unit: str, intensity: str = AS_WRITTEN) -> Score:
    """Returns the figure, or NaN with the reason where this image does not allow this metric (see `NOT_COMPUTABLE`).

    A scan of 24 thick slices has no multi-scale SSIM, but it has an MAE: a metric is left out, not the case.

    Raises:
        InputRefused: for any other reason, as the pair cannot be compared at all then.
    """
    try:
        return Score(region, metric, compute(), unit, intensity)
    except InputRefused as error:
        if error.code not in NOT_COMPUTABLE:
            raise
        return Score(region, metric, math.nan, unit, intensity, error.message)


def require_possible(mean_absolute_error: float, psnr: float, data_range: float) -> None:
    """Refuses a PSNR that is higher than the MAE over the same voxels allows: 20 log10(L / MAE).

    Raises:
        VoxlateError: `IMPOSSIBLE_SCORE`; a defect of the code that computed the row.
    """
    bound = highest_psnr(mean_absolute_error, data_range)
    if psnr > bound + _TOLERANCE_DB:
        detail = f"PSNR {psnr:.2f} dB with MAE {mean_absolute_error:g} of {data_range:g}"
        raise VoxlateError("IMPOSSIBLE_SCORE", f"{detail} cannot be: such an error allows {bound:.2f} dB at most")


def to_unit_range(image: Array, low: float, high: float) -> Array:
    """Returns (image − low) / (high − low); 0 everywhere for an image without a range."""
    if high == low:
        return np.zeros_like(image)
    return np.asarray((image - np.float32(low)) / np.float32(high - low), dtype=np.float32)
