"""Local loss: mean absolute error where the contrast agent enhances (Chen et al., IEEE TBME 2023), or inside lesions.

    loss = sum over mask and region of |synthetic − target| / number of voxels of mask and region       from 0

Where paper and code differ, and the argument that chooses:

- The paper's region is T1ce − T1 > 0.1. The code leaves out differences above 0.6, the first 75 of 120 slices, and
  slices with more than 10,000 voxels of region: `PUBLISHED`. Lesions in those slices have no local supervision.
- The code divides by the number of all voxels of the slab, so that the error in a region of 0.5 % of the slab is
  weighted by 0.5 %: `normalise="all"`. By default the error is averaged over the region.
- Deviation: the difference of single voxels is mostly noise and misregistration, so by default it is smoothed first.
  The region still contains vessels and dura; if there are lesion labels, pass those as the region.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from voxlate.losses.masked_mean import masked_mean


@dataclass(frozen=True)
class Enhancement:
    """The rule for the region where the image after contrast agent is brighter than the one before.

    Attributes:
        low: smallest difference, in the unit of the images; 0.1 as the paper, for images scaled to [0, 1].
        high: largest difference.
        smoothing: side in voxels of the cube that the difference is averaged over; odd, 1 for no smoothing.
        largest_slice_voxels: axial slices with more voxels of region are left out; None for no limit.
        skipped_slices: slices at the beginning of the last axis that are left out; for whole volumes.
    """

    low: float = 0.1
    high: float = float("inf")
    smoothing: int = 3
    largest_slice_voxels: int | None = None
    skipped_slices: int = 0

    def region(self, before: Tensor, after: Tensor) -> Tensor:
        """Returns 1 where the contrast agent enhances and 0 elsewhere, (B, 1, D, H, W).

        Args:
            before: (B, 1, D, H, W), the image before contrast agent.
            after: the same shape, the image after contrast agent.
        """
        difference = F.avg_pool3d(
            (after - before).float(), self.smoothing, 1, self.smoothing // 2, count_include_pad=False
        )
        region = ((difference > self.low) & (difference <= self.high)).float()
        if self.largest_slice_voxels is not None:
            region = region * (region.sum(dim=(1, 2, 3), keepdim=True) <= self.largest_slice_voxels)
        return region * (torch.arange(region.shape[4], device=region.device) >= self.skipped_slices)


PUBLISHED = Enhancement(high=0.6, smoothing=1, largest_slice_voxels=10_000, skipped_slices=75)
"""The region of the released code of Chen et al."""


def local(
    synthetic: Tensor, target: Tensor, mask: Tensor, *, region: Tensor, normalise: Literal["area", "all"] = "area"
) -> Tensor:
    """Returns the absolute error within `region` and `mask`, a scalar; 0 where they do not overlap.

    Args:
        synthetic: (B, C, D, H, W).
        target: the same shape.
        mask: (B, 1, D, H, W), the weight of each voxel; 0 outside.
        region: the same shape as `mask`: from `Enhancement.region`, or 1 inside lesions.
        normalise: divide by the number of voxels of the `area`, or of `all` voxels of the tensor (as in the code).
    """
    error, weight = (synthetic - target).abs(), mask * region
    return masked_mean(error, weight) if normalise == "area" else (error * weight).mean()
