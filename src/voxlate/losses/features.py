"""What losses on the tensors of a frozen network have in common: slices, masks, pairs of tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

FeatureNetwork = Callable[[Tensor], list[Tensor]]
"""From images (B, C, ...) to tensors (B, C', ...), finest first or as it likes; frozen."""

SLICE_COUNT = 4


@dataclass(frozen=True)
class FeaturePair:
    """One tensor of two images.

    Attributes:
        synthetic: (B, C, ...), float32.
        target: the same shape.
        mask: (B, 1, ...), of the same size, 1 where at least half of what the place stands for is inside.
    """

    synthetic: Tensor
    target: Tensor
    mask: Tensor


def feature_pairs(
    network: FeatureNetwork, synthetic: Tensor, target: Tensor, mask: Tensor, *, slice_count: int | None
) -> Iterator[FeaturePair]:
    """Yields the tensors of both images, computed and returned in float32 outside of autocast.

    Args:
        network: takes images of two dimensions, or volumes when `slice_count` is None.
        synthetic: (B, C, D, H, W).
        target: the same shape.
        mask: (B, 1, D, H, W), 1 inside and 0 outside; nothing is yielded when it is empty.
        slice_count: how many slices across the last axis to take, evenly spread over those that the mask touches.
    """
    if slice_count is not None:
        synthetic, target, mask = as_slices(synthetic, target, mask, count=slice_count)
    if not bool((mask > 0).any()):
        return
    with torch.autocast(device_type=synthetic.device.type, enabled=False):
        with torch.no_grad():
            of_target = network(target.float())
        for ours, theirs in zip(network(synthetic.float()), of_target, strict=True):
            yield FeaturePair(ours, theirs, _shrink(mask, theirs))


def as_slices(synthetic: Tensor, target: Tensor, mask: Tensor, *, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns at most `count` slices that the mask touches, evenly spread on the last axis, as a batch (n, C, H, W)."""
    chosen = _slices_inside(mask, count)
    return _as_batch(synthetic, chosen), _as_batch(target, chosen), _as_batch(mask, chosen)


def nothing_lost(synthetic: Tensor) -> Tensor:
    """Returns a zero of float32 whose gradient is zero too."""
    return (0 * synthetic.float()).sum()


def _slices_inside(mask: Tensor, count: int) -> Tensor:
    touched = torch.nonzero((mask > 0).flatten(0, 3).any(dim=0)).flatten()
    return touched[spread_evenly(len(touched), count, device=mask.device)]


def spread_evenly(length: int, count: int, *, device: torch.device) -> Tensor:
    """Returns at most `count` indices below `length`, evenly spread; the same every time."""
    taken = min(length, count)
    places = torch.arange(taken, device=device)
    return (2 * places + 1) * length // (2 * max(1, taken))


def _as_batch(x: Tensor, chosen: Tensor) -> Tensor:
    return x.index_select(4, chosen).movedim(4, 1).flatten(0, 1)


def _shrink(mask: Tensor, like: Tensor) -> Tensor:
    return (F.interpolate(mask.float(), size=tuple(like.shape[2:]), mode="area") >= 0.5).float()
