"""Regions of the mask that are measured separately: lesions, their rim, normal-appearing tissue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from voxlate.volume import Mask

RIM_MM = 5.0
"""Distance from a lesion within which tissue is its rim; beyond it, tissue is normal-appearing. Chosen by hand."""


def lesion_regions(
    labels: NDArray[np.int32] | None,
    mask: Mask,
    *,
    spacing_mm: tuple[float, float, float],
    enhancing_labels: tuple[int, ...],
) -> dict[str, Mask]:
    """Returns name to voxels (i, j, k) of the regions of a case; empty regions are left out.

    `lesion` is every label except 0, `enhancing` the enhancing labels, `lesion_rim` the tissue within 5 mm of a lesion,
    `normal_appearing` all tissue farther away. All are within the mask.

    Args:
        labels: (i, j, k), 0 outside lesions; None without labels.
        mask: (i, j, k), where images are compared.
        spacing_mm: of the grid, along the three axes.
        enhancing_labels: values of the enhancing part.
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
    """Returns the voxels (i, j, k) whose centre is at most `distance_mm` from the centre of a voxel of the mask.

    Args:
        mask: (i, j, k).
        distance_mm: largest distance.
        spacing_mm: of the grid, along the three axes.
    """
    near: Mask = ndimage.distance_transform_edt(~mask, sampling=spacing_mm) <= distance_mm
    return near
