"""Structural similarity as a loss: SSIM in 3D and within slices, its negative logarithm, and multi-scale SSIM.

SSIM (Wang et al., IEEE TIP 2004), with Gaussian windows of sigma 1.5 and 11 voxels, in each voxel:

    luminance = (2 m_s m_t + c1) / (m_s^2 + m_t^2 + c1)
    contrast_structure = (2 cov_st + c2) / (var_s + var_t + c2)
    SSIM = luminance * contrast_structure,    c1 = (0.01 L)^2, c2 = (0.03 L)^2

with L the `data_range`. SSIM lies in [-1, 1], so that the losses 1 − SSIM lie in [0, 2]; equal images give 0.

Multi-scale SSIM (Wang et al., Asilomar 2003) is the weighted geometric mean of the mean contrast-structure over up to
five scales, each half the resolution of the one before; the coarsest scale includes the luminance. The reference uses
five scales and therefore needs at least 176 voxels along each axis. Deviation: these functions use as many scales as
fit, and rescale the weights of those scales to sum to one. On a small image multi-scale SSIM is SSIM.

Mask: only windows that fit into the tensor count, so voxels within 5 of its border are left out; of the others, those
inside the mask are averaged. An empty mask gives 0 with a gradient of 0.

All sums are computed in float32 outside of autocast: variances are differences of large numbers, which lose their
digits in half precision.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from voxlate.errors import UsageError
from voxlate.losses.masked_mean import masked_mean

SIGMA, RADIUS = 1.5, 5
"""Standard deviation and radius of the Gaussian window in voxels; 11 voxels and 1.5 as Wang et al. 2004."""

WINDOW = 2 * RADIUS + 1
VOLUME_AXES = (2, 3, 4)

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, finest first, as Wang et al. 2003."""

_MIN_TERM = 1e-4
"""Lower limit of a scale's mean before its logarithm, which does not exist for the negative means of opposite images.
Chosen by hand; not tuned."""

_MIN_SIMILARITY = 0.01
"""Below this similarity the negative logarithm is continued by its tangent, so that the gradient stays at most 100.
Chosen by hand; not tuned."""


def ssim(synthetic: Tensor, target: Tensor, mask: Tensor, data_range: float = 1.5) -> Tensor:
    """Returns one minus the mean SSIM over the voxels of `mask`, a scalar; 0 for an empty mask.

    Args:
        synthetic: (B, C, D, H, W), every size at least 11.
        target: the same shape.
        mask: (B, 1, D, H, W), 1 inside and 0 outside.
        data_range: L of the constants c1 and c2, in the unit of the images; 1.5 suits relative units.

    Raises:
        UsageError: `SIZE` when an axis is shorter than 11.
    """
    return _mean_dissimilarity(synthetic, target, mask, data_range, axes=VOLUME_AXES)


def ssim_slices(synthetic: Tensor, target: Tensor, mask: Tensor, data_range: float = 1.5) -> Tensor:
    """Returns one minus the mean SSIM with windows of 11 x 11 voxels within each axial slice, as Chen et al. 2023.

    Args:
        synthetic: (B, C, D, H, W); any size along the last axis, which runs across slices, and at least 11 within them.
        target: the same shape.
        mask: (B, 1, D, H, W), 1 inside and 0 outside.
        data_range: as in `ssim`.

    Raises:
        UsageError: `SIZE` when an axis within the slice is shorter than 11.
    """
    return _mean_dissimilarity(synthetic, target, mask, data_range, axes=(2, 3))


def negative_log_ssim(synthetic: Tensor, target: Tensor, mask: Tensor, data_range: float = 1.5) -> Tensor:
    """Returns −log of the mean SSIM, a scalar from 0; 0 for an empty mask.

    Below a similarity of 0.01 the logarithm is replaced by its tangent, so that the gradient of a very poor image is
    neither infinite nor undefined. SpineC2M weights this loss by 0.05. Arguments and errors as in `ssim`.
    """
    similarity = 1 - ssim(synthetic, target, mask, data_range)
    floored = similarity.clamp(min=_MIN_SIMILARITY)
    return (floored - similarity) / _MIN_SIMILARITY - torch.log(floored)


def ms_ssim(synthetic: Tensor, target: Tensor, mask: Tensor, data_range: float = 1.5) -> Tensor:
    """Returns one minus the multi-scale SSIM, the mean over images, a scalar in [0, 1]; 0 for an empty mask.

    Args:
        synthetic: (B, C, D, H, W), every size at least 11; scales with fewer than 11 voxels along an axis are left out.
        target: the same shape.
        mask: (B, 1, D, H, W), 1 inside and 0 outside; images and scales with an empty mask do not count.
        data_range: as in `ssim`.

    Raises:
        UsageError: `SIZE` when an axis is shorter than 11.
    """
    return _multi_scale_dissimilarity(synthetic, target, mask, data_range, axes=VOLUME_AXES)


def ms_ssim_slices(synthetic: Tensor, target: Tensor, mask: Tensor, data_range: float = 1.5) -> Tensor:
    """Returns the mean over axial slices of one minus the multi-scale SSIM within the slice, as Chen et al. 2023.

    Args:
        synthetic: (B, C, D, H, W), as in `ssim_slices`.
        target: the same shape.
        mask: (B, 1, D, H, W), 1 inside and 0 outside; slices with an empty mask do not count.
        data_range: as in `ssim`.

    Raises:
        UsageError: `SIZE` when an axis within the slice is shorter than 11.
    """
    slices = [x.movedim(4, 1).flatten(0, 1).unsqueeze(2) for x in (synthetic, target, mask)]
    return _multi_scale_dissimilarity(slices[0], slices[1], slices[2], data_range, axes=(3, 4))


def scales_that_fit(sizes: tuple[int, ...]) -> int:
    """Returns the number of scales, 0 to 5, at which every axis of an image of `sizes` has at least 11 voxels.

    Example:
        >>> scales_that_fit((44, 100, 100))
        3
    """
    return sum(min(sizes) // 2**scale >= WINDOW for scale in range(len(SCALE_WEIGHTS)))


def similarity_maps(
    synthetic: Tensor, target: Tensor, data_range: float, *, axes: tuple[int, ...] = VOLUME_AXES
) -> tuple[Tensor, Tensor]:
    """Returns the maps of luminance and contrast-structure, where windows fit: 10 voxels less along each of `axes`.

    Args:
        synthetic: (B, C, D, H, W), float32, at least 11 voxels along each of `axes`.
        target: the same shape.
        data_range: L of the constants c1 and c2.
        axes: axes of the tensor that the window extends along.
    """
    stacked = torch.cat([synthetic, target, synthetic**2, target**2, synthetic * target], dim=1)
    mean_s, mean_t, square_s, square_t, product = _smooth(stacked, axes).chunk(5, dim=1)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    covariance = product - mean_s * mean_t
    variances = square_s - mean_s**2 + square_t - mean_t**2
    luminance = (2 * mean_s * mean_t + c1) / (mean_s**2 + mean_t**2 + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)


def crop_border(x: Tensor, axes: tuple[int, ...] = VOLUME_AXES) -> Tensor:
    """Returns the voxels whose windows fit into the tensor: 5 voxels less at either end of each of `axes`."""
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


def _mean_dissimilarity(
    synthetic: Tensor, target: Tensor, mask: Tensor, data_range: float, *, axes: tuple[int, ...]
) -> Tensor:
    if min(target.shape[axis] for axis in axes) < WINDOW:
        raise UsageError("SIZE", f"ssim needs at least 11 voxels along each axis, not {tuple(target.shape[2:])}")
    with torch.autocast(device_type=synthetic.device.type, enabled=False):
        luminance, structure = similarity_maps(synthetic.float(), target.float(), data_range, axes=axes)
        return masked_mean(1 - luminance * structure, crop_border(mask, axes))


def _multi_scale_dissimilarity(
    synthetic: Tensor, target: Tensor, mask: Tensor, data_range: float, *, axes: tuple[int, ...]
) -> Tensor:
    sizes = tuple(target.shape[axis] for axis in axes)
    scales = scales_that_fit(sizes)
    if scales == 0:
        raise UsageError("SIZE", f"ms_ssim needs at least 11 voxels along each axis, not {sizes}")
    kernel = tuple(2 if axis in axes else 1 for axis in VOLUME_AXES)
    with torch.autocast(device_type=synthetic.device.type, enabled=False):
        synthetic, target, mask = synthetic.float(), target.float(), mask.float()
        terms, weights = [], []
        for scale in range(scales):
            if scale:
                synthetic, target, mask = (F.avg_pool3d(x, kernel) for x in (synthetic, target, mask))
            luminance, structure = similarity_maps(synthetic, target, data_range, axes=axes)
            inner = crop_border(mask, axes).expand_as(structure)
            terms.append(_mean_per_channel(luminance * structure if scale == scales - 1 else structure, inner))
            weights.append(SCALE_WEIGHTS[scale] * (inner.flatten(2).sum(dim=2) > 0))
        return _combine_scales(torch.stack(terms), torch.stack(weights))


def _mean_per_channel(values: Tensor, weight: Tensor) -> Tensor:
    """Returns the weighted mean of each image and channel, (B, C)."""
    total = (values * weight).flatten(2).sum(dim=2)
    return total / weight.flatten(2).sum(dim=2).clamp(min=torch.finfo(torch.float32).tiny)


def _combine_scales(terms: Tensor, weights: Tensor) -> Tensor:
    """Returns the mean over images of one minus the weighted geometric mean over scales, both (scales, B, C)."""
    counts = weights.sum(dim=0) > 0
    shares = weights / weights.sum(dim=0).clamp(min=min(SCALE_WEIGHTS))
    similarity = (shares * torch.log(terms.clamp(min=_MIN_TERM))).sum(dim=0).exp()
    return ((1 - similarity) * counts).sum() / counts.sum().clamp(min=1)
