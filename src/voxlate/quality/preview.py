"""Draws a small picture of a scan for a person who grades it: three planes, two more slices, and the air around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxlate.preparation.steps.resample import resample
from voxlate.quality.head_mask import Head, find_head
from voxlate.volume import Affine, Array, Grid, Volume

_SIZE = 200  # pixels of one panel
_AIR_GAIN = 8.0  # makes noise and ghosts of some per cent of bright tissue visible; chosen by hand
# The letter R, 3 pixels a dot.
_R = np.kron(np.array([[1, 1, 1, 0], [1, 0, 0, 1], [1, 1, 1, 0], [1, 0, 1, 0], [1, 0, 0, 1]]), np.ones((3, 3)))
_MM = 1.2  # of a pixel: 200 of them are 240 mm, which holds a head


def preview(volume: Volume, head: Head | None = None) -> NDArray[np.uint8]:
    """Returns a picture of six slices, a uint8 array (400, 600) of grey levels.

    Top row: axial, coronal and sagittal at 55, 50 and 50 per cent of the head. Bottom row: axial at 35 and 75 per cent,
    and the first axial slice eight times as bright, which shows ghosts and noise in the air. The patient's right is at
    the left and marked by R (radiological convention); in the sagittal slice, anterior is at the right.

    Args:
        volume: the scan, of any orientation.
        head: of the scan, when it was found before.

    Raises:
        InputRefused: see `find_head`.
    """
    head = head or find_head(volume)
    lowest, highest = head.corners_mm()
    bright = max(float(np.percentile(head.coarse.data[head.mask], 99)) if head.mask.any() else 1.0, 1e-6)

    def plane(axis: int, share: float, gain: float = 1.0) -> Array:
        shown = np.clip(_plane(head.volume, axis, lowest, highest, share) / bright * gain, 0, 1)
        if axis != 0:
            shown[8 : 8 + len(_R), 6 : 6 + len(_R[0])] = _R
        return np.asarray(shown)

    rows = [[plane(2, 0.55), plane(1, 0.5), plane(0, 0.5)], [plane(2, 0.35), plane(2, 0.75), plane(2, 0.55, _AIR_GAIN)]]
    return np.asarray(np.block(rows) * 255, dtype=np.uint8)


def _plane(volume: Volume, axis: int, lowest: Affine, highest: Affine, share: float) -> Array:
    """Returns one slice, a float array (200, 200), in the orientation of `preview`.

    Args:
        volume: in RAS+ order.
        axis: normal of the slice: 0 sagittal, 1 coronal, 2 axial.
        lowest: corner of the head, float array (3,) in mm.
        highest: opposite corner.
        share: position along the axis, from 0 to 1.
    """
    middle = (lowest + highest) / 2
    middle[axis] = lowest[axis] + share * (highest[axis] - lowest[axis])
    if axis != 2:  # the head starts 8 pixels below the upper border
        middle[2] = highest[2] - (_SIZE / 2 - 8) * _MM
    shape = [_SIZE] * 3
    shape[axis] = 1
    affine = np.diag([_MM, _MM, _MM, 1.0])
    affine[:3, 3] = middle - (np.array(shape) - 1) / 2 * _MM
    slab = resample(volume, Grid((shape[0], shape[1], shape[2]), affine), is_smoothed=False).data
    picture = np.flipud(np.take(slab, 0, axis=axis).T)
    return picture if axis == 0 else np.fliplr(picture)
