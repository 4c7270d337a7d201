"""Another grid: used only when it is asked for, as interpolation blurs and so flatters."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage

from voxlate.volume import Volume

Order = Literal[0, 1]
"""0 takes the nearest voxel (masks, labels), 1 interpolates between the eight nearest (images)."""


def resample(volume: Volume, like: Volume, *, order: Order = 1) -> Volume:
    """Returns a volume on the grid of another, 0 outside of its own."""
    to_index = np.linalg.inv(volume.affine) @ like.affine
    data = ndimage.affine_transform(
        volume.data, to_index[:3, :3], to_index[:3, 3], output_shape=like.data.shape, order=order
    )
    return Volume(np.asarray(data, dtype=np.float32), like.affine, volume.shows, volume.stored_dtype)
