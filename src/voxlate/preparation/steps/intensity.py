"""Normalises the intensities of a scan for a network, and back; each normalisation is fitted on one scan alone.

All are linear, so that the inverse is exact up to rounding, except where a CT window clips values or grey levels are
rounded. Arrays are (i, j, k), in the units of the scan; masks are boolean arrays of the same shape.
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
    """(value - offset) / scale, rounded to grey levels if there are `levels`.

    Attributes:
        scale: above zero, in the units of the scan.
        offset: in the units of the scan.
        limits: values are clipped to this range, in the units of the scan, or None; clipping is not undone.
        levels: number of grey levels, evenly spaced from 0 to 1, that results are clipped and rounded to; None for no
            rounding, which is not undone: a value comes back within half a level, a level itself exactly.

    Example:
        >>> LinearNormalisation(scale=50, offset=10).apply(np.float32([10, 60, 110])).tolist()
        [0.0, 1.0, 2.0]
        >>> LinearNormalisation(scale=10, levels=3).apply(np.float32([1, 4, 12])).tolist()
        [0.0, 0.5, 1.0]
    """

    scale: float
    offset: float = 0.0
    limits: tuple[float, float] | None = None
    levels: int | None = None

    def apply(self, data: Array) -> Array:
        """Returns the normalised data, float32."""
        kept = data if self.limits is None else np.clip(data, *self.limits)
        normalised = np.asarray((kept - np.float32(self.offset)) / np.float32(self.scale), dtype=np.float32)
        if self.levels is None:
            return normalised
        steps = np.float32(self.levels - 1)
        return np.asarray(np.rint(np.clip(normalised, 0, 1) * steps) / steps, dtype=np.float32)

    def invert(self, data: Array) -> Array:
        """Returns normalised data in the units of the scan."""
        return np.asarray(data * np.float32(self.scale) + np.float32(self.offset), dtype=np.float32)


def by_median(data: Array, mask: Mask) -> LinearNormalisation:
    """Divides by the median inside the mask, which contrast agent hardly changes; the default.

    Args:
        data: (i, j, k), a scan in its own units.
        mask: (i, j, k), voxels of tissue.

    Raises:
        InputRefused: what `voxlate.reference_level.reference_level` refuses.
    """
    return LinearNormalisation(reference_level(data, mask))


def by_range(data: Array, mask: Mask) -> LinearNormalisation:
    """Maps the smallest value of the whole image to 0 and the largest to 1, as Bottani et al. published.

    One bright vessel changes the scale of all other voxels, so this is not the default.

    Args:
        data: (i, j, k), a scan in its own units.
        mask: not used.

    Raises:
        InputRefused: `CONSTANT`.
    """
    del mask
    return _between(float(data.min()), float(data.max()))


def by_percentiles(data: Array, mask: Mask) -> LinearNormalisation:
    """Maps the 1st and the 99th percentile inside the mask to 0 and 1; values outside are not clipped.

    Args:
        data: (i, j, k), a scan in its own units.
        mask: (i, j, k), voxels of tissue.

    Raises:
        InputRefused: `EMPTY_MASK`, `CONSTANT`.
    """
    low, high = np.percentile(_inside(data, mask), (1, 99))
    return _between(float(low), float(high))


def by_z_score(data: Array, mask: Mask) -> LinearNormalisation:
    """Maps the voxels inside the mask to mean 0 and standard deviation 1.

    Args:
        data: (i, j, k), a scan in its own units.
        mask: (i, j, k), voxels of tissue.

    Raises:
        InputRefused: `EMPTY_MASK`, `CONSTANT`.
    """
    inside = _inside(data, mask).astype(np.float64)
    return _with_scale(float(inside.std()), float(inside.mean()))


def by_white_matter(data: Array, mask: Mask) -> LinearNormalisation:
    """Divides by the white matter peak of a T1-weighted scan.

    The peak is the highest maximum of the smoothed histogram above the median. Without one (grey matter only, other
    contrasts) it is the median of the upper half. Percentiles, 256 bins and a smoothing of 4 bins are chosen by hand.

    Args:
        data: (i, j, k), a scan in its own units.
        mask: (i, j, k), voxels of tissue.

    Raises:
        InputRefused: `EMPTY_MASK`, `CONSTANT`, or `REFERENCE_LEVEL` when the peak is not above 0.
    """
    inside = _inside(data, mask)
    low, middle, high = np.percentile(inside, [0.5, 50, 99.5])
    if high <= low:
        raise InputRefused("CONSTANT", f"the image is constant inside its mask: every value is {low:g}")
    counts, edges = np.histogram(inside, bins=256, range=(float(low), float(high)))
    smooth = ndimage.gaussian_filter1d(counts.astype(np.float64), 4.0)
    centres = (edges[:-1] + edges[1:]) / 2
    is_peak = (smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:]) & (centres[1:-1] > middle)
    peaks = np.flatnonzero(is_peak) + 1
    level = float(centres[peaks[smooth[peaks].argmax()]]) if peaks.size else float(np.median(inside[inside > middle]))
    if level <= 0:
        raise InputRefused("REFERENCE_LEVEL", f"the white matter peak is {level:g}; it must be above 0")
    return LinearNormalisation(level)


def by_range_hu(low_hu: float, high_hu: float) -> LinearNormalisation:
    """Maps a CT window to 0 and 1 and clips values outside.

    Args:
        low_hu: lower limit, Hounsfield units.
        high_hu: upper limit, Hounsfield units.

    Raises:
        UsageError: `RANGE_HU` when `high_hu` is not above `low_hu`.
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
"""Normalisations by name, as recipes call them; each is fitted on a scan inside its mask."""


def _inside(data: Array, mask: Mask) -> Array:
    inside = data[mask]
    if inside.size == 0:
        raise InputRefused("EMPTY_MASK", "the mask is empty; give the mask of this scan")
    return inside


def _between(low: float, high: float) -> LinearNormalisation:
    return _with_scale(high - low, low)


def _with_scale(scale: float, offset: float) -> LinearNormalisation:
    if not scale > 0:
        raise InputRefused("CONSTANT", f"the image is constant: every value is {offset:g}")
    return LinearNormalisation(scale, offset)
