"""One minus the structural similarity inside a mask (Wang et al., IEEE TIP 2004; Gaussian of sigma 1.5)."""

from __future__ import annotations

import torch
from torch import Tensor

from voxlate.errors import UsageError
from voxlate.losses.precision import full_precision
from voxlate.losses.windows import VOLUME_AXES, WINDOW, core, similarity_maps

_LEAST_SIMILARITY = 0.01


def ssim(synthetic: Tensor, target: Tensor, mask: Tensor, data_range: float = 1.5) -> Tensor:
    """Returns one minus the mean structural similarity over the voxels of `mask`; 0 for an empty mask.

    Windows of 11 voxels; voxels nearer than 5 to the border of the tensor do not count.

    Args:
        synthetic: (B, C, D, H, W), every size at least 11.
        target: the same shape.
        mask: (B, 1, D, H, W), 1 inside and 0 outside.
        data_range: L of the constants (0.01 L)^2 and (0.03 L)^2; 1.5 suits relative units.

    Raises:
        UsageError: `SIZE` when an axis is shorter than 11.
    """
    return _mean_dissimilarity(synthetic, target, mask, data_range, axes=VOLUME_AXES)


def ssim_slices(
    synthetic: Tensor, target: Tensor, mask: Tensor, data_range: float = 1.5, slice_axis: int = 2
) -> Tensor:
    """Returns the same with windows of 11 x 11 voxels within each slice, as Chen et al. 2023.

    Args:
        synthetic: (B, C, D, H, W); the size across slices may be anything.
        target: the same shape.
        mask: (B, 1, D, H, W), 1 inside and 0 outside.
        data_range: as in `ssim`.
        slice_axis: spatial axis that runs across slices; the last one of a RAS+ array runs across axial slices.

    Raises:
        UsageError: `SIZE` when an axis within the slice is shorter than 11.
    """
    axes = tuple(axis for axis in VOLUME_AXES if axis != 2 + slice_axis)
    return _mean_dissimilarity(synthetic, target, mask, data_range, axes=axes)


def negative_log_ssim(synthetic: Tensor, target: Tensor, mask: Tensor, data_range: float = 1.5) -> Tensor:
    """Returns minus the logarithm of the mean structural similarity; 0 for an empty mask.

    Below a similarity of 0.01, where the logarithm would run away or not exist, its tangent goes on, so that the
    worst image still has a gradient. Arguments and errors as in `ssim`; SpineC2M weighs it by 0.05.
    """
    similarity = 1 - ssim(synthetic, target, mask, data_range)
    floored = similarity.clamp(min=_LEAST_SIMILARITY)
    return (floored - similarity) / _LEAST_SIMILARITY - torch.log(floored)


def _mean_dissimilarity(
    synthetic: Tensor, target: Tensor, mask: Tensor, data_range: float, *, axes: tuple[int, ...]
) -> Tensor:
    if min(target.shape[axis] for axis in axes) < WINDOW:
        raise UsageError("SIZE", f"ssim needs at least 11 voxels along each axis, not {tuple(target.shape[2:])}")
    with full_precision(synthetic):
        luminance, structure = similarity_maps(synthetic.float(), target.float(), data_range, axes=axes)
        inner = core(mask, axes).expand_as(structure)
        return ((1 - luminance * structure) * inner).sum() / inner.sum().clamp(min=1)
