"""Parts of the mask that are measured on their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from voxlate.volume import Mask

RIM_MM = 5.0
"""How far from a lesion tissue still counts as its rim, and from where on it is normal-appearing."""


def lesion_regions(
    labels: NDArray[np.int32] | None,
    mask: Mask,
    *,
    spacing_mm: tuple[float, float, float],
    enhancing_labels: tuple[int, ...],
) -> dict[str, Mask]:
    """Returns name to voxels: lesion, enhancing, lesion_rim, normal_appearing; empty ones are left out.

    `lesion` is every label but 0; `lesion_rim` what lies within 5 mm of it, `normal_appearing` all beyond.
    """
    if labels is None:
        return {}
    lesion = (labels > 0) & mask
    if not lesion.any():
        return {}
    near = within(lesion, RIM_MM, spacing_mm)
    regions = {"lesion": lesion, "lesion_rim": near & ~lesion & mask, "normal_appearing": mask & ~near}
    if enhancing_labels:
        regions["enhancing"] = np.isin(labels, enhancing_labels) & mask
    return {name: region for name, region in regions.items() if region.any()}


def within(mask: Mask, distance_mm: float, spacing_mm: tuple[float, float, float]) -> Mask:
    """Returns the voxels whose centre is at most `distance_mm` from the centre of a voxel of the mask."""
    near: Mask = ndimage.distance_transform_edt(~mask, sampling=spacing_mm) <= distance_mm
    return near
