"""Images of a case for figures: read, turned to RAS+ order, and on the grid of one of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxlate.io.nifti import read_volume
from voxlate.preparation.steps.orientation import ToRas
from voxlate.preparation.steps.resample import Interpolation, resample
from voxlate.volume import Mask, Volume

Image = Path | Volume
"""A NIfTI file, or a volume in memory."""


def in_ras(image: Image) -> Volume:
    """Returns an image in RAS+ order; voxels without a value become 0.

    Args:
        image: a file or a volume.

    Raises:
        VoxlateError: the file cannot be read, see `read_volume`.
    """
    volume = image if isinstance(image, Volume) else read_volume(image)
    return ToRas(volume.grid).apply(volume)


def on_grid(image: Image, like: Volume, *, interpolation: Interpolation = "linear") -> Volume:
    """Returns an image on the grid of another one; it is resampled only where the grids differ.

    Args:
        image: a file or a volume.
        like: a volume in RAS+ order.
        interpolation: `nearest` for masks and labels.

    Raises:
        VoxlateError: the file cannot be read.
    """
    ras = in_ras(image)
    return ras if ras.grid.matches(like.grid) else resample(ras, like.grid, interpolation=interpolation)


def mask_on_grid(image: Image, like: Volume) -> Mask:
    """Returns a mask (x, y, z) on the grid of `like`: true above 0.5, so that each label counts.

    Args:
        image: a file or a volume.
        like: a volume in RAS+ order.
    """
    inside: Mask = np.asarray(on_grid(image, like, interpolation="nearest").data > 0.5)
    return inside


def mask_or_filled(mask: Image | None, like: Volume) -> Mask:
    """Returns a mask on the grid of `like`, see `mask_on_grid`; without one, the voxels of `like` that are not 0."""
    return like.data != 0 if mask is None else mask_on_grid(mask, like)
