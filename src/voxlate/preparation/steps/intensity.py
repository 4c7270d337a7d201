"""Numbers of a scan brought to a scale that a network can take, and back; each fitted on one scan alone.

`LinearNormalisation` is a straight line, so that going there and back is exact up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused, UsageError
from voxlate.reference_level import reference_level
from voxlate.volume import Array, Mask


@dataclass(frozen=True)
class LinearNormalisation:
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


def by_median(data: Array, mask: Mask) -> LinearNormalisation:
    """Returns the scale whose 1 is the median inside the mask: what contrast agent hardly moves; the default."""
    return LinearNormalisation(reference_level(data, mask))


def by_range(data: Array, mask: Mask) -> LinearNormalisation:
    """Returns the scale from the least value, 0, to the largest, 1, of the whole image, as Bottani et al. published.

    One bright vessel decides the scale of everything else, which is why it is not the default.
    """
    del mask
    return _between(float(data.min()), float(data.max()))


def by_percentiles(data: Array, mask: Mask, *, percentiles: tuple[float, float] = (1.0, 99.0)) -> LinearNormalisation:
    """Returns the scale from one percentile inside the mask, 0, to another, 1; nothing is cut off."""
    low, high = np.percentile(_inside(data, mask), percentiles)
    return _between(float(low), float(high))


def by_z_score(data: Array, mask: Mask) -> LinearNormalisation:
    """Returns the scale on which the mask has mean 0 and standard deviation 1."""
    inside = _inside(data, mask).astype(np.float64)
    return _with_scale(float(inside.std()), float(inside.mean()))


def by_white_matter(data: Array, mask: Mask) -> LinearNormalisation:
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
    return LinearNormalisation(level)


def by_range_hu(low_hu: float, high_hu: float) -> LinearNormalisation:
    """Returns the scale of a CT window: `low_hu` is 0, `high_hu` is 1, what lies outside is cut off.

    Raises:
        UsageError: `RANGE_HU` when the window has no width.
    """
    if not high_hu > low_hu:
        raise UsageError("RANGE_HU", f"a window from {low_hu:g} to {high_hu:g} HU has no width")
    return LinearNormalisation(high_hu - low_hu, low_hu, (low_hu, high_hu))


SCALES: Mapping[str, Callable[[Array, Mask], LinearNormalisation]] = {
    "median_in_mask": by_median,
    "min_max": by_range,
    "percentile": by_percentiles,
    "white_matter_peak": by_white_matter,
    "z_score": by_z_score,
}
"""Scales by name that are fitted on a scan inside its mask."""


def _inside(data: Array, mask: Mask) -> Array:
    inside = data[mask]
    if inside.size == 0:
        raise InputRefused("EMPTY_MASK", "the mask has no voxel; give the mask of this scan")
    return inside


def _between(low: float, high: float) -> LinearNormalisation:
    return _with_scale(high - low, low)


def _with_scale(scale: float, offset: float) -> LinearNormalisation:
    if not scale > 0:
        raise InputRefused("CONSTANT", f"the image has the one value {offset:g}")
    return LinearNormalisation(scale, offset)
