"""Types of a protocol: the compared pair of images, the scores, and the definition that turns one into the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from voxlate.errors import InputRefused, VoxlateError
from voxlate.evaluation.similarity import Target, highest_psnr
from voxlate.volume import Array, Mask

_LEAST_HEAD = 0.2
"""Non-zero voxels outside the brain, of those inside, that a whole head has at least. The scalp, marrow and face of a
head hold more than half of the brain's volume; a mask that is a voxel too narrow leaves a tenth. Chosen by hand."""

AS_WRITTEN = "as_written"
LINEAR_FIT = "linear_fit"

SLICE_COUNT, SLICE_SD = "slice_count", "slice_sd"
"""Regions of a score that is the number of slices in the mean of the same metric over `slices`, and their standard
deviation (divisor: that number); for tests over slices, see `voxlate.evaluation.statistics.independent`."""

_TOLERANCE_DB = 1e-6
"""Rounding error that a PSNR may exceed its bound by."""

NOT_COMPUTABLE = frozenset({"TOO_SMALL", "EMPTY_MASK", "CONSTANT", "SKULL_STRIPPED"})
"""Codes with which a metric refuses an image that other metrics accept, for example with too few slices."""


class Score(NamedTuple):
    """Value of one metric of one image.

    Attributes:
        region: name of the measured voxels; `mask` for the whole mask.
        metric: name of the metric, see `voxlate.evaluation.metrics`.
        value: in `unit`; may be infinite, or NaN where it is not defined.
        unit: `%`, `dB`, `HU` ..., or empty.
        intensity: `as_written`, or `linear_fit` after the best gain and offset.
        left_out: why the value could not be computed and is NaN; empty otherwise.
    """

    region: str
    metric: str
    value: float
    unit: str
    intensity: str = AS_WRITTEN
    left_out: str = ""


@dataclass(frozen=True)
class Pair:
    """An image and its target, on one RAS+ grid of shape (i, j, k) and in one unit.

    Attributes:
        image: (i, j, k), the compared image: source, baseline or synthetic image.
        target: (i, j, k), the real image.
        mask: (i, j, k), voxels of both source and target, where the images are compared.
        union_mask: (i, j, k), voxels of source or target; equal to `mask` when only the mask of the source was given.
        regions: name to voxels (i, j, k) of further regions, such as lesions, each within the mask.
        data_range: L, in the unit of the images.
        is_scan: whether the image is a real scan, which has a range of intensities of its own.
        share: (i, j, k), the image as its network answered, where the unit of the network is the whole range of a scan,
            0 its minimum and 1 its maximum; None for any other.
        masked_target: the target, 0 outside the mask (`masked`), if the pairs of a case share what metrics need of it;
            None for a pair that is scored alone.
    """

    image: Array
    target: Array
    mask: Mask
    union_mask: Mask
    regions: dict[str, Mask]
    data_range: float
    is_scan: bool = False
    share: Array | None = None
    masked_target: Target | None = None


@dataclass(frozen=True)
class Protocol:
    """A named definition.

    Attributes:
        name: as on the command line.
        definition: mask, range, window and aggregation, as reports print it.
        score: function of a pair that returns its scores.
        unit: unit that the images must have (`HU`); None for any.
        mae_range: data range in the unit of the MAE, if MAE and PSNR are over the same voxels and values; each PSNR is
            then checked against its MAE. None otherwise.
        needs_skull: whether intensities are scaled by the whole head, so that skull-stripped scans have no score.
    """

    name: str
    definition: str
    score: Callable[[Pair], Iterable[Score]]
    unit: str | None = None
    mae_range: float | None = None
    needs_skull: bool = False

    def measure(self, pair: Pair) -> list[Score]:
        """Returns the scores of a pair.

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
    """Returns the score, or NaN with the reason if the metric refuses this image with a code of `NOT_COMPUTABLE`.

    A scan of 24 thick slices has no multi-scale SSIM, but it has an MAE: the metric is left out, not the case.

    Args:
        compute: returns the value.
        region: name of the measured voxels.
        metric: name of the metric.
        unit: of the value.
        intensity: `as_written` or `linear_fit`.

    Raises:
        InputRefused: with any other code; the pair cannot be compared at all.
    """
    try:
        return Score(region, metric, compute(), unit, intensity)
    except InputRefused as error:
        if error.code not in NOT_COMPUTABLE:
            raise
        return Score(region, metric, math.nan, unit, intensity, error.message)


def require_possible(mean_absolute_error: float, psnr: float, data_range: float) -> None:
    """Refuses a PSNR above the largest one that the MAE over the same voxels allows, 20 log10(L / MAE).

    Args:
        mean_absolute_error: MAE, in the unit of the range.
        psnr: in decibel.
        data_range: L.

    Raises:
        VoxlateError: `IMPOSSIBLE_SCORE`; the code that computed the score is wrong.
    """
    bound = highest_psnr(mean_absolute_error, data_range)
    if psnr > bound + _TOLERANCE_DB:
        detail = f"PSNR {psnr:.2f} dB with MAE {mean_absolute_error:g} of {data_range:g}"
        raise VoxlateError(
            "IMPOSSIBLE_SCORE", f"{detail} is impossible: this MAE allows at most {bound:.2f} dB; report this defect"
        )


def require_skull(scan: Array, mask: Mask) -> None:
    """Refuses a scan whose head was removed, because its whole range of intensities is gone with it.

    Args:
        scan: (i, j, k), a real scan.
        mask: (i, j, k), the brain.

    Raises:
        InputRefused: `SKULL_STRIPPED`.
    """
    outside = int(np.count_nonzero(scan[~mask]))
    if outside < _LEAST_HEAD * np.count_nonzero(mask):
        share = 100 * outside / max(int(np.count_nonzero(mask)), 1)
        raise InputRefused(
            "SKULL_STRIPPED",
            f"outside the brain the scan has only {share:.0f} % as many non-zero voxels as inside: its skull was "
            "removed, and with it the range of the whole head by which this protocol scales; give the scans with skull "
            "and a mask, as voxlate prepare writes them",
        )


def masked(image: Array, mask: Mask) -> Array:
    """Returns an image (i, j, k), 0 outside a mask of its shape."""
    return np.where(mask, image, np.float32(0))


def to_unit_range(image: Array, low: float, high: float) -> Array:
    """Returns (image − low) / (high − low); 0 everywhere when low equals high.

    Args:
        image: of any shape.
        low: value that becomes 0.
        high: value that becomes 1.
    """
    if high == low:
        return np.zeros_like(image)
    return np.asarray((image - np.float32(low)) / np.float32(high - low), dtype=np.float32)
