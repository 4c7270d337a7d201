"""One minus the structural similarity over several scales, inside a mask (Wang et al., Asilomar 2003).

The reference takes five scales and so an image of at least 176 voxels along each axis. Here as many scales are taken
as fit, and the weights of those taken are scaled to sum to one: on a small image it becomes `ssim`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from voxlate.errors import UsageError
from voxlate.losses.precision import full_precision
from voxlate.losses.windows import VOLUME_AXES, WINDOW, core, similarity_maps

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_LEAST = 1e-4


def ms_ssim(synthetic: Tensor, target: Tensor, mask: Tensor, data_range: float = 1.5) -> Tensor:
    """Returns one minus the similarity over up to five scales, the mean over images; 0 for an empty mask.

    Args:
        synthetic: (B, C, D, H, W), every size at least 11; the scales are those at which it still is.
        target: the same shape.
        mask: (B, 1, D, H, W), 1 inside and 0 outside; images and scales in which it is empty do not count.
        data_range: L of the constants (0.01 L)^2 and (0.03 L)^2; 1.5 suits relative units.

    Raises:
        UsageError: `SIZE` when an axis is shorter than 11.
    """
    return _dissimilarity(synthetic, target, mask, data_range, axes=VOLUME_AXES)


def ms_ssim_slices(
    synthetic: Tensor, target: Tensor, mask: Tensor, data_range: float = 1.5, slice_axis: int = 2
) -> Tensor:
    """Returns the mean over slices of one minus the similarity within the slice, as Chen et al. 2023.

    Args:
        synthetic: (B, C, D, H, W); the size across slices may be anything.
        target: the same shape.
        mask: (B, 1, D, H, W), 1 inside and 0 outside.
        data_range: as in `ms_ssim`.
        slice_axis: spatial axis that runs across slices; the last one of a RAS+ array runs across axial slices.

    Raises:
        UsageError: `SIZE` when an axis within the slice is shorter than 11.
    """
    slices = [x.movedim(2 + slice_axis, 1).flatten(0, 1).unsqueeze(2) for x in (synthetic, target, mask)]
    return _dissimilarity(slices[0], slices[1], slices[2], data_range, axes=(3, 4))


def scales_that_fit(sizes: tuple[int, ...]) -> int:
    """Returns how often, plus one, an image can be halved so that a window of 11 voxels still fits; at most 5."""
    return sum(min(sizes) // 2**scale >= WINDOW for scale in range(len(WEIGHTS)))


def _dissimilarity(
    synthetic: Tensor, target: Tensor, mask: Tensor, data_range: float, *, axes: tuple[int, ...]
) -> Tensor:
    sizes = tuple(target.shape[axis] for axis in axes)
    scales = scales_that_fit(sizes)
    if scales == 0:
        raise UsageError("SIZE", f"ms_ssim needs at least 11 voxels along each axis, not {sizes}")
    kernel = tuple(2 if axis in axes else 1 for axis in VOLUME_AXES)
    with full_precision(synthetic):
        synthetic, target, mask = synthetic.float(), target.float(), mask.float()
        terms, weights = [], []
        for scale in range(scales):
            if scale:
                synthetic, target, mask = (F.avg_pool3d(x, kernel) for x in (synthetic, target, mask))
            luminance, structure = similarity_maps(synthetic, target, data_range, axes=axes)
            inner = core(mask, axes).expand_as(structure)
            terms.append(_mean(luminance * structure if scale == scales - 1 else structure, inner))
            weights.append(WEIGHTS[scale] * (inner.flatten(2).sum(dim=2) > 0))
        return _combine(torch.stack(terms), torch.stack(weights))


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Returns the weighted mean of each image and channel, (B, C)."""
    total = (values * weight).flatten(2).sum(dim=2)
    return total / weight.flatten(2).sum(dim=2).clamp(min=torch.finfo(torch.float32).tiny)


def _combine(terms: Tensor, weights: Tensor) -> Tensor:
    """Returns the mean over images of one minus the weighted geometric mean over scales, both (scales, B, C)."""
    counts = weights.sum(dim=0) > 0
    shares = weights / weights.sum(dim=0).clamp(min=min(WEIGHTS))
    similarity = (shares * torch.log(terms.clamp(min=_LEAST))).sum(dim=0).exp()
    return ((1 - similarity) * counts).sum() / counts.sum().clamp(min=1)
