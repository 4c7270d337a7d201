"""Converts volumes to SimpleITK images and back: RAS+ to LPS coordinates, and (i, j, k) to (k, j, i) arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from voxlate.preparation.libraries import library
from voxlate.volume import Volume

_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def to_image(volume: Volume) -> Any:
    """Returns a float32 `SimpleITK.Image` with the same voxels at the same position in the patient.

    Raises:
        MissingLibrary: `MISSING_LIBRARY`.
    """
    image = library("SimpleITK").GetImageFromArray(np.ascontiguousarray(volume.data.T))
    affine = _TO_LPS @ volume.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing([float(mm) for mm in spacing])
    image.SetOrigin([float(mm) for mm in affine[:3, 3]])
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    return image


def from_image(image: Any, like: Volume) -> Volume:
    """Returns the voxels of a `SimpleITK.Image` that was made from `like`, with the affine of `like`."""
    return like.with_data(library("SimpleITK").GetArrayFromImage(image).T)
