"""Numbers of a scan brought to a scale that a network can take, and back; each fitted on one scan alone.

`Scaled` is a straight line, so that going there and back is exact up to rounding. `HistogramStandard` bends: it is
fitted on a cohort and brings the landmarks of each scan to the same values (Nyúl et al., IEEE TMI 2000;19:143).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from voxlate.errors import InputRefused, UsageError
from voxlate.reference_level import reference_level
from voxlate.volume import Array, Mask

Floats = NDArray[np.float64]

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Scaled:
    """(value - offset) / scale.

    Attributes:
        scale: above zero, in the units of the scan.
        offset: in the units of the scan.
        limits: what is cut off, in the units of the scan, or None; what was cut does not come back.
    """

    scale: float
    offset: float = 0.0
    limits: tuple[float, float] | None = None

    def apply(self, data: Array) -> Array:
        """Returns the data on the new scale."""
        kept = data if self.limits is None else np.clip(data, *self.limits)
        return np.asarray((kept - np.float32(self.offset)) / np.float32(self.scale), dtype=np.float32)

    def invert(self, data: Array, *, gain: float = 1.0) -> Array:
        """Returns the data on the scale of the scan, or of one that is `gain` times as bright."""
        return np.asarray(
            (data * np.float32(self.scale) + np.float32(self.offset)) * np.float32(gain), dtype=np.float32
        )


def by_median(data: Array, mask: Mask) -> Scaled:
    """Returns the scale whose 1 is the median inside the mask: what contrast agent hardly moves; the default."""
    return Scaled(reference_level(data, mask))


def by_range(data: Array, mask: Mask) -> Scaled:
    """Returns the scale from the least value, 0, to the largest, 1, of the whole image, as Bottani et al. published.

    One bright vessel decides the scale of everything else, which is why it is not the default.
    """
    del mask
    return _between(float(data.min()), float(data.max()))


def by_percentiles(data: Array, mask: Mask, *, percentiles: tuple[float, float] = (1.0, 99.0)) -> Scaled:
    """Returns the scale from one percentile inside the mask, 0, to another, 1; nothing is cut off."""
    low, high = np.percentile(_inside(data, mask), percentiles)
    return _between(float(low), float(high))


def by_z_score(data: Array, mask: Mask) -> Scaled:
    """Returns the scale on which the mask has mean 0 and standard deviation 1."""
    inside = _inside(data, mask).astype(np.float64)
    return _with_scale(float(inside.std()), float(inside.mean()))


def by_white_matter(data: Array, mask: Mask) -> Scaled:
    """Returns the scale whose 1 is the peak of white matter in a T1-weighted scan.

    The peak is the highest one of the smoothed histogram above the median; without one (a scan of grey matter
    only, other contrasts) the median of the upper half is taken.
    """
    inside = _inside(data, mask)
    low, middle, high = np.percentile(inside, [0.5, 50, 99.5])
    if high <= low:
        raise InputRefused("CONSTANT", f"the image has the one value {low:g} inside its mask")
    counts, edges = np.histogram(inside, bins=256, range=(float(low), float(high)))
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), 4.0)
    centres = (edges[:-1] + edges[1:]) / 2
    is_peak = (smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:]) & (centres[1:-1] > middle)
    peaks = np.flatnonzero(is_peak) + 1
    level = float(centres[peaks[smooth[peaks].argmax()]]) if peaks.size else float(np.median(inside[inside > middle]))
    if level <= 0:
        raise InputRefused("REFERENCE_LEVEL", f"the white matter peak is at {level:g}, it must be above 0")
    return Scaled(level)


def by_range_hu(low_hu: float, high_hu: float) -> Scaled:
    """Returns the scale of a CT window: `low_hu` is 0, `high_hu` is 1, what lies outside is cut off.

    Raises:
        UsageError: `RANGE_HU` when the window has no width.
    """
    if not high_hu > low_hu:
        raise UsageError("RANGE_HU", f"a window from {low_hu:g} to {high_hu:g} HU has no width")
    return Scaled(high_hu - low_hu, low_hu, (low_hu, high_hu))


SCALES: Mapping[str, Callable[[Array, Mask], Scaled]] = {
    "median_in_mask": by_median,
    "min_max": by_range,
    "percentile": by_percentiles,
    "white_matter_peak": by_white_matter,
    "z_score": by_z_score,
}
"""Scales by name that are fitted on a scan inside its mask."""


def to_imagenet(data: Array) -> Array:
    """Returns three channels in units of their deviation over ImageNet, (3, ...), from values 0 to 1."""
    shape = (3, *([1] * data.ndim))
    mean, deviation = (np.reshape(np.array(v, np.float32), shape) for v in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    return np.asarray((data[None] - mean) / deviation, dtype=np.float32)


def from_imagenet(channels: Array) -> Array:
    """Returns the mean of the three channels on the scale 0 to 1; the inverse of `to_imagenet`.

    Raises:
        UsageError: `CHANNELS` when there are not three.
    """
    if len(channels) != 3:
        raise UsageError("CHANNELS", f"{len(channels)} channels are not red, green and blue")
    shape = (3, *([1] * (channels.ndim - 1)))
    mean, deviation = (np.reshape(np.array(v, np.float32), shape) for v in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    return np.asarray((channels * deviation + mean).mean(axis=0), dtype=np.float32)


@dataclass(frozen=True)
class HistogramStandard:
    """The scale of a cohort: percentiles inside the mask go to the same values in each scan.

    Attributes:
        percentiles: rising, from above 0 to below 100.
        landmarks: what each goes to, rising.
    """

    percentiles: tuple[float, ...]
    landmarks: tuple[float, ...]

    @classmethod
    def fit(
        cls,
        cohort: Sequence[tuple[Array, Mask]],
        *,
        percentiles: Sequence[float] = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99),
    ) -> HistogramStandard:
        """Returns the standard of a cohort: its mean landmarks, after each scan runs from 0 to 1 at the outer two.

        Raises:
            UsageError: `COHORT` without a scan, `PERCENTILES` when they do not rise.
            InputRefused: `EMPTY_MASK`, `CONSTANT`.
        """
        if not cohort:
            raise UsageError("COHORT", "a standard needs at least one scan")
        if len(percentiles) < 2 or list(percentiles) != sorted(set(percentiles)):
            raise UsageError("PERCENTILES", f"percentiles must rise, these are {list(percentiles)}")
        marks = [_landmarks(data, mask, percentiles) for data, mask in cohort]
        mean = np.mean([(mark - mark[0]) / (mark[-1] - mark[0]) for mark in marks], axis=0)
        return cls(tuple(map(float, percentiles)), tuple(float(m) for m in np.maximum.accumulate(mean)))

    def apply(self, data: Array, mask: Mask) -> Array:
        """Returns a scan on the scale of the cohort; lines go on at their slope beyond the outer landmarks."""
        return _bent(data, _landmarks(data, mask, self.percentiles), np.array(self.landmarks))

    def invert(self, data: Array, like: Array, mask: Mask) -> Array:
        """Returns data of the cohort's scale on that of the scan `like`."""
        return _bent(data, np.array(self.landmarks), _landmarks(like, mask, self.percentiles))


def _landmarks(data: Array, mask: Mask, percentiles: Sequence[float]) -> Floats:
    marks = np.percentile(_inside(data, mask).astype(np.float64), percentiles)
    if marks[-1] <= marks[0]:
        raise InputRefused("CONSTANT", f"the image has the one value {marks[0]:g} inside its mask")
    return np.asarray(marks)


def _bent(data: Array, given: Floats, wanted: Floats) -> Array:
    keep = np.concatenate([[True], np.diff(given) > 0])
    given, wanted = given[keep], wanted[keep]
    middle = np.interp(data, given, wanted)
    below = wanted[0] + (data - given[0]) * (wanted[1] - wanted[0]) / (given[1] - given[0])
    above = wanted[-1] + (data - given[-1]) * (wanted[-1] - wanted[-2]) / (given[-1] - given[-2])
    return np.asarray(np.where(data < given[0], below, np.where(data > given[-1], above, middle)), dtype=np.float32)


def _inside(data: Array, mask: Mask) -> Array:
    inside = data[mask]
    if inside.size == 0:
        raise InputRefused("EMPTY_MASK", "the mask has no voxel; give the mask of this scan")
    return inside


def _between(low: float, high: float) -> Scaled:
    return _with_scale(high - low, low)


def _with_scale(scale: float, offset: float) -> Scaled:
    if not scale > 0:
        raise InputRefused("CONSTANT", f"the image has the one value {offset:g}")
    return Scaled(scale, offset)
