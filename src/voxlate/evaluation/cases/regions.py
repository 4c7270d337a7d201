"""Regions of the mask that are measured separately: lesions, their rim, normal-appearing tissue."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from voxlate.volume import Mask, box_of

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

    It is `distance_transform_edt(~mask, sampling=spacing_mm) <= distance_mm`, but a ball of a few millimetres has few
    voxels: the mask is widened along the last axis, and copies of it are joined along the other two, in its box alone.

    Args:
        mask: (i, j, k).
        distance_mm: largest distance, 0 or more.
        spacing_mm: of the grid, along the three axes.
    """
    near = np.zeros_like(mask)
    if not mask.any():
        return near
    reach = [math.ceil(distance_mm / spacing) for spacing in spacing_mm]
    box = box_of(mask, max(reach))
    row, part = mask[box], near[box]
    widths = _widths(reach, distance_mm, spacing_mm)
    for width in range(reach[2] + 1):
        if width:
            row = row | _moved(mask[box], (0, 0, width)) | _moved(mask[box], (0, 0, -width))
        for i, j in np.argwhere(widths == width):
            part |= _moved(row, (int(i) - reach[0], int(j) - reach[1], 0))
    return near


def _widths(reach: list[int], distance_mm: float, spacing_mm: tuple[float, float, float]) -> NDArray[np.intp]:
    """Returns how far a ball reaches along the last axis, in voxels, at each step along the first two; −1: nowhere."""
    steps = np.meshgrid(*(np.arange(-most, most + 1) for most in reach[:2]), np.arange(reach[2] + 1), indexing="ij")
    squares = sum(np.square(step * spacing) for step, spacing in zip(steps, spacing_mm, strict=True))
    return np.asarray((np.sqrt(squares) <= distance_mm).sum(axis=-1) - 1)


def _moved(mask: Mask, steps: tuple[int, int, int]) -> Mask:
    """Returns a mask moved by some voxels along each axis; what leaves the array is lost."""
    moved = np.zeros_like(mask)
    to, of = (
        tuple(
            slice(max(sign * step, 0), max(size + min(sign * step, 0), 0))
            for step, size in zip(steps, mask.shape, strict=True)
        )
        for sign in (1, -1)
    )
    moved[to] = mask[of]
    return moved
