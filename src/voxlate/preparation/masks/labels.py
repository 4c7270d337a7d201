"""Recognises a label map: whole numbers that are constant over regions, which no scan is."""

from __future__ import annotations

import numpy as np

from voxlate.volume import Array, Mask, Volume

_EQUAL_SHARE = 0.8
"""A label map has at least this share of equal neighbours along each axis; chosen by hand.

13 segmentations of tumours, spines and heads have 0.87 to 1.0, 64 real scans at most 0.13, an average of CT scans 0.38.
A scan that was enlarged by repeating each voxel n times has (n - 1) / n.
"""

_LEAST_PAIRS = 100  # fewer neighbours along an axis say nothing; chosen by hand


def looks_like_labels(volume: Volume) -> bool:
    """Returns whether a volume is a label map, or a mask of the value 1 or 255.

    Voxels of the value 0 and of the least value are background and are left out.

    Args:
        volume: (i, j, k).
    """
    data = volume.data
    shown = (data != 0) & (data != data.min())
    values = data[shown]
    if values.size == 0 or not np.array_equal(values, np.rint(values)):
        return False
    if values.min() == values.max() and values[0] not in (1, 255):
        return False  # constant, which is refused with a code of its own
    return all(_equal_share(data, shown, axis) >= _EQUAL_SHARE for axis in range(3) if data.shape[axis] > 1)


def _equal_share(data: Array, shown: Mask, axis: int) -> float:
    """Returns the share of neighbours along an axis, both inside `shown`, that have one value."""
    values, inside = np.moveaxis(data, axis, 0), np.moveaxis(shown, axis, 0)
    both = inside[:-1] & inside[1:]
    count = int(both.sum())
    return float((values[:-1][both] == values[1:][both]).mean()) if count >= _LEAST_PAIRS else 0.0
