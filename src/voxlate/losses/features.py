"""Shared code of feature losses: choice of slices, feature maps of a frozen network, and their masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Function of synthetic (B, C, D, H, W), target (same shape) and mask (B, 1, D, H, W); returns a scalar."""

FeatureNetwork = Callable[[Tensor], list[Tensor]]
"""Maps images (B, C, ...) to a list of feature maps (B, C', ...); frozen."""

SLICE_COUNT = 4
"""Slices per volume that a 2D feature network compares. Chosen by hand; not tuned."""


@dataclass(frozen=True)
class FeaturePair:
    """The same feature map of the synthetic and the real image.

    Attributes:
        synthetic: (B, C, ...), float32.
        target: the same shape.
        mask: (B, 1, ...), of the same size; 1 where at least half of the voxels that the position covers are inside.
    """

    synthetic: Tensor
    target: Tensor
    mask: Tensor


def feature_pairs(
    network: FeatureNetwork, synthetic: Tensor, target: Tensor, mask: Tensor, *, slice_count: int | None
) -> Iterator[FeaturePair]:
    """Yields the feature maps of both images, computed and returned in float32 outside of autocast.

    Args:
        network: takes slices, or volumes when `slice_count` is None.
        synthetic: (B, C, D, H, W).
        target: the same shape.
        mask: (B, 1, D, H, W), 1 inside and 0 outside; an empty mask yields nothing.
        slice_count: number of slices across the last axis, evenly spread over those that the mask touches.
    """
    if slice_count is not None:
        synthetic, target, mask = as_slices(synthetic, target, mask, count=slice_count)
    if not bool((mask > 0).any()):
        return
    with torch.autocast(device_type=synthetic.device.type, enabled=False):
        with torch.no_grad():
            target_maps = network(target.float())
        for synthetic_map, target_map in zip(network(synthetic.float()), target_maps, strict=True):
            yield FeaturePair(synthetic_map, target_map, _shrink(mask, target_map))


def as_slices(synthetic: Tensor, target: Tensor, mask: Tensor, *, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns slices of the last axis as a batch, (n, C, H, W) each: at most `count` for each item.

    Args:
        synthetic: (B, C, D, H, W).
        target: the same shape.
        mask: (B, 1, D, H, W); slices are evenly spread over those that it touches.
        count: largest number of slices.
    """
    chosen = _slices_inside(mask, count)
    return _as_batch(synthetic, chosen), _as_batch(target, chosen), _as_batch(mask, chosen)


def zero_loss(synthetic: Tensor) -> Tensor:
    """Returns a float32 zero with a gradient of zero to every voxel of `synthetic`."""
    return (0 * synthetic.float()).sum()


def _slices_inside(mask: Tensor, count: int) -> Tensor:
    touched = torch.nonzero((mask > 0).flatten(0, 3).any(dim=0)).flatten()
    return touched[spread_evenly(len(touched), count, device=mask.device)]


def spread_evenly(length: int, count: int, *, device: torch.device) -> Tensor:
    """Returns at most `count` indices below `length`, evenly spread and without random numbers.

    Args:
        length: number of elements to choose from.
        count: largest number of indices.
        device: device of the indices.

    Example:
        >>> spread_evenly(100, 4, device=torch.device("cpu")).tolist()
        [12, 37, 62, 87]
    """
    taken = min(length, count)
    ranks = torch.arange(taken, device=device)
    return (2 * ranks + 1) * length // (2 * max(1, taken))


def _as_batch(x: Tensor, chosen: Tensor) -> Tensor:
    return x.index_select(4, chosen).movedim(4, 1).flatten(0, 1)


def _shrink(mask: Tensor, like: Tensor) -> Tensor:
    return (F.interpolate(mask.float(), size=tuple(like.shape[2:]), mode="area") >= 0.5).float()
