"""Volumes as SimpleITK images and back; only the direction of two axes differs."""

from __future__ import annotations

from typing import Any

import numpy as np

from voxlate.preparation.libraries import library
from voxlate.volume import Volume

_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def to_image(volume: Volume) -> Any:
    """Returns a float32 `SimpleITK.Image` of the same voxels at the same place.

    Raises:
        UsageError: `MISSING_LIBRARY`.
    """
    image = library("SimpleITK").GetImageFromArray(np.ascontiguousarray(volume.data.T))
    affine = _TO_LPS @ volume.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing([float(mm) for mm in spacing])
    image.SetOrigin([float(mm) for mm in affine[:3, 3]])
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    return image


def from_image(image: Any, like: Volume) -> Volume:
    """Returns the voxels of an image that was made from `like`, on the very grid of `like`."""
    return like.with_data(library("SimpleITK").GetArrayFromImage(image).T)
