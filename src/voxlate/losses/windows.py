"""Gaussian means around each voxel, and what structural similarity makes of them (Wang et al., IEEE TIP 2004)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SIGMA, RADIUS = 1.5, 5
WINDOW = 2 * RADIUS + 1
VOLUME_AXES = (2, 3, 4)


def similarity_maps(
    synthetic: Tensor, target: Tensor, data_range: float, *, axes: tuple[int, ...] = VOLUME_AXES
) -> tuple[Tensor, Tensor]:
    """Returns the luminance term and the contrast-structure term, smaller by 10 along each of `axes`.

    Windows of 11 voxels with sigma 1.5, only where they fit. Structural similarity is the product of the two.

    Args:
        synthetic: (B, C, D, H, W), float32, at least 11 along each of `axes`.
        target: the same shape.
        data_range: L of the constants (0.01 L)^2 and (0.03 L)^2.
        axes: along which windows extend.
    """
    stacked = torch.cat([synthetic, target, synthetic**2, target**2, synthetic * target], dim=1)
    mean_s, mean_t, square_s, square_t, product = _smooth(stacked, axes).chunk(5, dim=1)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    covariance = product - mean_s * mean_t
    spread = square_s - mean_s**2 + square_t - mean_t**2
    luminance = (2 * mean_s * mean_t + c1) / (mean_s**2 + mean_t**2 + c1)
    return luminance, (2 * covariance + c2) / (spread + c2)


def core(x: Tensor, axes: tuple[int, ...] = VOLUME_AXES) -> Tensor:
    """Returns the voxels whose windows fit: without the 5 at either end of each of `axes`."""
    for axis in axes:
        x = x.narrow(axis, RADIUS, x.shape[axis] - 2 * RADIUS)
    return x


def _smooth(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    distance = torch.arange(-RADIUS, RADIUS + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (distance / SIGMA) ** 2)
    kernel = kernel / kernel.sum()
    b, c = x.shape[:2]
    x = x.reshape(b * c, 1, *x.shape[2:])
    for axis in axes:
        shape = [WINDOW if other == axis else 1 for other in VOLUME_AXES]
        x = F.conv3d(x, kernel.reshape(1, 1, *shape))
    return x.reshape(b, c, *x.shape[2:])
