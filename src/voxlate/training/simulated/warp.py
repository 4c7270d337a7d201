"""A random deformation of a window: an affine map and a smooth displacement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from voxlate.volume import Shape

SHEAR = 0.04
"""Standard deviation of each element of the random affine map; heads differ by some 5 % along an axis."""
BEND_MM, BEND_STEP = 1.0, 16
"""Standard deviation of the displacement at the control points, and voxels between two of them: the determinant of the
deformation stays above 0.4, so that no tissue folds over."""
_LARGEST_SHEAR = 2.5  # in standard deviations, so that the box of a window is bounded


@dataclass(frozen=True)
class Warp:
    """Where the voxels of a window lie in a head: a random affine map and a smooth displacement.

    Attributes:
        nodes: (1, 3, a, b, c), voxels of the head at the nodes of a coarse grid that spans the window; between them the
            map is trilinear.
        window: voxels along each axis.
        box: voxels of the head that the window needs; it may reach beyond the head.
    """

    nodes: Tensor
    window: Shape
    box: tuple[slice, slice, slice]

    def normalised(self) -> Tensor:
        """Returns the points of the window in the coordinates of `grid_sample` in the box, (1, i, j, k, 3)."""
        nodes = in_box(self.nodes, self.box)
        return self.upsampled(nodes).permute(0, 2, 3, 4, 1)

    def upsampled(self, nodes: Tensor) -> Tensor:
        """Returns values at the nodes, (1, channels, a, b, c), at all voxels of the window."""
        return F.interpolate(nodes, size=self.window, mode="trilinear", align_corners=True)


def random_warp(centre: NDArray[np.int64], window: Shape, spacing_mm: float, rng: np.random.Generator) -> Warp:
    """Returns a random deformation of a window.

    Args:
        centre: voxel at the centre of the window, (3,).
        window: voxels along each axis.
        spacing_mm: isotropic voxel size.
        rng: generator of the deformation.
    """
    shear = np.clip(rng.standard_normal((3, 3)), -_LARGEST_SHEAR, _LARGEST_SHEAR) * SHEAR
    axes = [np.linspace(-(size - 1) / 2, (size - 1) / 2, max(size // BEND_STEP, 1) + 1) for size in window]
    places = np.stack(np.meshgrid(*axes, indexing="ij"))
    bend = np.clip(rng.standard_normal(places.shape), -_LARGEST_SHEAR, _LARGEST_SHEAR) * BEND_MM / spacing_mm
    points = np.einsum("ab,bijk->aijk", np.eye(3) + shear, places) + bend + centre.reshape(3, 1, 1, 1)
    # The map is trilinear between the nodes, so that no voxel lies beyond the outermost ones.
    low, high = np.floor(points.min(axis=(1, 2, 3))).astype(int), np.ceil(points.max(axis=(1, 2, 3))).astype(int)
    i, j, k = (slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    return Warp(torch.from_numpy(points.astype(np.float32))[None], window, (i, j, k))


def in_box(points: Tensor, box: Sequence[slice]) -> Tensor:
    """Returns points (1, 3, …) in voxels in the coordinates of `grid_sample`: last axis first, -1 to 1 in the box."""
    start = torch.tensor([float(axis.start) for axis in box]).reshape(1, 3, 1, 1, 1)
    last = torch.tensor([float(axis.stop - axis.start - 1) for axis in box]).reshape(1, 3, 1, 1, 1)
    return ((points - start) * (2 / last) - 1).flip(1)
