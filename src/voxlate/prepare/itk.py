"""Volumes as SimpleITK images and back; only the direction of two axes differs."""

from __future__ import annotations

from typing import Any

import numpy as np

from voxlate.prepare.libraries import library
from voxlate.volume import Affine, Grid, Volume

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


def grid_affine(image: Any) -> Affine:
    """Returns voxel index to RAS+ millimetres of an image."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return np.asarray(_TO_LPS @ affine, dtype=np.float64)


def orthogonal(grid: Grid, *, tolerance: float = 1e-4) -> bool:
    """Tells whether the axes of a grid stand at right angles, as ITK demands."""
    axes = grid.affine[:3, :3] / np.array(grid.spacing_mm)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() <= tolerance)
