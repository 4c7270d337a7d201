"""A small picture of a scan for a person who grades it: three planes through the head, more slices, its air."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxlate.preparation.steps.resample import resample
from voxlate.quality.head_mask import Head, find_head
from voxlate.volume import Affine, Array, Grid, Volume

_SIZE = 200
_AIR_GAIN = 8.0
_R = np.kron(np.array([[1, 1, 1, 0], [1, 0, 0, 1], [1, 1, 1, 0], [1, 0, 1, 0], [1, 0, 0, 1]]), np.ones((3, 3)))
_MM = 1.2


def preview(volume: Volume, head: Head | None = None) -> NDArray[np.uint8]:
    """Returns (400, 600) grey levels: axial, coronal, sagittal; below two axial slices, and the first one brighter.

    The brighter one, eight times so, shows ghosts and noise in the air. Slices are at 55, 50, 50 and at 35 and 75 per
    cent of the head. An R marks the patient's right, at the left as radiologists read; sagittal, the nose points right.
    The head is looked for unless it was found before.
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
    """Returns one slice, (200, 200): the front or the top at its top, the patient's right at its left.

    A sagittal one has the front at its right.
    """
    middle = (lowest + highest) / 2
    middle[axis] = lowest[axis] + share * (highest[axis] - lowest[axis])
    if axis != 2:  # from the top of the head downwards
        middle[2] = highest[2] - (_SIZE / 2 - 8) * _MM
    shape = [_SIZE] * 3
    shape[axis] = 1
    affine = np.diag([_MM, _MM, _MM, 1.0])
    affine[:3, 3] = middle - (np.array(shape) - 1) / 2 * _MM
    slab = resample(volume, Grid((shape[0], shape[1], shape[2]), affine), is_smoothed=False).data
    picture = np.flipud(np.take(slab, 0, axis=axis).T)
    return picture if axis == 0 else np.fliplr(picture)
