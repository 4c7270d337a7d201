"""Absolute error where contrast agent enhances (Chen et al., IEEE TBME 2023), or inside lesions.

Where paper and code differ, and what chooses:

- The paper's region is T1ce − T1 > 0.1. The code leaves out differences above 0.6, the first 75 of 120 slices and
  slices with more than 10,000 voxels of region: `PUBLISHED`. Lesions in those slices get no local supervision.
- The code divides by all voxels of the slab, so that a region of 0.5 % counts for 0.5 % of its error:
  `normalise="all"`. By default the error is averaged over the region.
- A difference of single voxels is mostly noise and misregistration: by default it is smoothed first. It still holds
  vessels and dura; with lesion labels hand those over as the region instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Enhancement:
    """Where an image after contrast agent is brighter than the one before it.

    Attributes:
        low: least difference, in the unit of the images; 0.1 of the paper is on images scaled to [0, 1].
        high: differences above it do not count.
        smoothing: voxels along each axis that the difference is averaged over; odd, 1 for none.
        largest_slice_voxels: slices with more voxels of region do not count; None for no limit.
        skipped_slices: slices at the beginning of the slice axis that do not count; for whole volumes.
        slice_axis: spatial axis that runs across slices; the last one of a RAS+ array runs across axial slices.
    """

    low: float = 0.1
    high: float = float("inf")
    smoothing: int = 3
    largest_slice_voxels: int | None = None
    skipped_slices: int = 0
    slice_axis: int = 2

    def region(self, before: Tensor, after: Tensor) -> Tensor:
        """Returns 1 where it enhances and 0 elsewhere, (B, 1, D, H, W), of two images of that shape."""
        difference = F.avg_pool3d(
            (after - before).float(), self.smoothing, 1, self.smoothing // 2, count_include_pad=False
        )
        found = ((difference > self.low) & (difference <= self.high)).float()
        axis = 2 + self.slice_axis
        if self.largest_slice_voxels is not None:
            within = tuple(other for other in (1, 2, 3, 4) if other != axis)
            found = found * (found.sum(dim=within, keepdim=True) <= self.largest_slice_voxels)
        place = torch.arange(found.shape[axis], device=found.device)
        return found * (place >= self.skipped_slices).reshape([-1 if other == axis else 1 for other in range(5)])


PUBLISHED = Enhancement(high=0.6, smoothing=1, largest_slice_voxels=10_000, skipped_slices=75)


def local(
    synthetic: Tensor, target: Tensor, mask: Tensor, *, region: Tensor, normalise: Literal["area", "all"] = "area"
) -> Tensor:
    """Returns the absolute error within `region` and `mask`; 0 where they do not meet.

    Args:
        synthetic: (B, C, D, H, W).
        target: the same shape.
        mask: (B, 1, D, H, W), 1 inside and 0 outside.
        region: the same shape as `mask`: of `Enhancement.region`, or lesion labels above 0.
        normalise: divide by the voxels of the region, or by `all` voxels of the tensor (as coded).
    """
    weight = (mask * region).expand_as(target)
    total = ((synthetic - target).abs() * weight).sum()
    return total / (weight.sum().clamp(min=1) if normalise == "area" else target.numel())
