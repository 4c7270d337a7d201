"""One minus the structural similarity inside a mask (Wang et al., IEEE TIP 2004; Gaussian of sigma 1.5)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from voxlate.errors import UsageError

_SIGMA, _RADIUS = 1.5, 5


def ssim(synthetic: Tensor, target: Tensor, mask: Tensor, data_range: float = 1.5) -> Tensor:
    """Returns one minus the mean structural similarity over the voxels of `mask`; 0 for an empty mask.

    Windows of 11 voxels; voxels nearer than 5 to the border of the tensor do not count.

    Args:
        synthetic: (B, C, D, H, W), every size at least 11.
        target: the same shape.
        mask: (B, 1, D, H, W), 0 outside; inside, the weight of each voxel.
        data_range: L of the constants (0.01 L)^2 and (0.03 L)^2; 1.5 suits relative units.

    Raises:
        UsageError: `SIZE` when an axis is shorter than 11.
    """
    if min(target.shape[2:]) < 2 * _RADIUS + 1:
        raise UsageError("SIZE", f"ssim needs at least 11 voxels along each axis, not {tuple(target.shape[2:])}")
    synthetic, target = synthetic.float(), target.float()
    stacked = torch.cat([synthetic, target, synthetic**2, target**2, synthetic * target], dim=1)
    mean_s, mean_t, square_s, square_t, product = _smooth(stacked).chunk(5, dim=1)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    covariance = product - mean_s * mean_t
    spread = square_s - mean_s**2 + square_t - mean_t**2
    similarity = (2 * mean_s * mean_t + c1) * (2 * covariance + c2)
    similarity = similarity / ((mean_s**2 + mean_t**2 + c1) * (spread + c2))
    core = slice(_RADIUS, -_RADIUS)
    inner = mask[:, :, core, core, core].expand_as(similarity)
    return ((1 - similarity) * inner).sum() / inner.sum().clamp(min=1)


def _smooth(x: Tensor) -> Tensor:
    distance = torch.arange(-_RADIUS, _RADIUS + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (distance / _SIGMA) ** 2)
    kernel = kernel / kernel.sum()
    b, c = x.shape[:2]
    x = x.reshape(b * c, 1, *x.shape[2:])
    for shape in ((-1, 1, 1), (1, -1, 1), (1, 1, -1)):
        x = F.conv3d(x, kernel.reshape(1, 1, *shape))
    return x.reshape(b, c, *x.shape[2:])
