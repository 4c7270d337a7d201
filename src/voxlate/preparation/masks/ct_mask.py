"""Finds the brain in computed tomography (CT) by the skull that encloses it.

All thresholds are in Hounsfield units (HU): air -1000, water 0, brain 20 to 45, dense bone above 300.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.preparation.libraries import library
from voxlate.preparation.masks.checks import GIVE_MASK
from voxlate.preparation.masks.components import fill_holes, largest_component
from voxlate.preparation.sitk import to_image
from voxlate.preparation.steps.grid import coarser
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Mask, Volume

# AIR_HU lies between air (-1000) and water (0), BONE_HU below dense bone; only metal reaches METAL_HU. Chosen by hand.
AIR_HU, AIR_OUTSIDE_HU, BONE_HU, METAL_HU = -300.0, -1000.0, 250.0, 2800.0
BRAIN_HU = (-15.0, 110.0)  # wider than brain (20 to 45), for noise; chosen by hand
_WORKING_MM = 1.5  # voxel size of the morphology; chosen by hand
_SEALS_MM, _GROWTH = (4.0, 8.0, 12.0, 16.0), 1.03
"""Radii by which bone is closed, in turn, until the enclosed volume grows by less than 3 %; chosen by hand."""

_RIM_MM = 2.0
"""Width of brain next to bone that smoothing hides; it is added again at the end."""

_NECK_MM = 11.0
"""A passage narrower than twice this does not belong to the brain: the spinal canal, the opening of the orbit."""


def require_hounsfield(volume: Volume) -> None:
    """Refuses a scan that is not in Hounsfield units.

    Raises:
        InputRefused: `NOT_HOUNSFIELD` when less than 1 % of the voxels are air or less than 2 % are near 0 HU; both
            limits are chosen by hand.
    """
    air, tissue = float((volume.data < -500).mean()), float((np.abs(volume.data) < 150).mean())
    if air < 0.01 or tissue < 0.02:
        raise InputRefused(
            "NOT_HOUNSFIELD",
            f"{air:.1%} of the voxels are below -500 and {tissue:.1%} within 150 of 0: this is not a CT in Hounsfield "
            "units with air around the head; for MR choose another model or method, for a skull-stripped scan take the "
            "brain mask auto, and give a CT uncropped in Hounsfield units",
        )


def looks_like_ct(volume: Volume) -> bool:
    """Returns whether more than 5 % of the voxels are below -500, as air around the head in CT; chosen by hand."""
    return float((volume.data < -500).mean()) > 0.05


def metal_cm3(volume: Volume) -> float:
    """Returns the volume above 2800 HU, which is metal; its streaks impair masks and registration."""
    return volume.grid.volume_cm3(volume.data > METAL_HU)


def brain_mask_ct(volume: Volume) -> Mask:
    """Returns the brain mask, (i, j, k): what the skull encloses above the foramen magnum, with fluid and membranes.

    Bone is closed morphologically over sutures and foramina. The mask is the soft tissue that cannot be reached from
    outside without passing a gap narrower than 22 mm.

    Raises:
        InputRefused: `NOT_HOUNSFIELD`, `EMPTY_MASK`, `BRAIN_NOT_FOUND`.
    """
    require_hounsfield(volume)
    small = _working(volume)
    inner = _inside_skull(small)
    soft = (small.data > 2 * BRAIN_HU[0]) & (small.data < BONE_HU)
    brain = _largest(ndimage.binary_opening(inner, _ball(2.0, small)))
    brain |= ndimage.binary_dilation(brain, _ball(_RIM_MM, small)) & soft
    return _back(_filled(brain, small), small, volume)


def watershed_mask_ct(volume: Volume) -> Mask:
    """Returns the brain mask, (i, j, k), of a watershed on the gradient, with markers deep inside, in bone and in air.

    Li et al. name this method without its settings; the markers are chosen by hand.

    Raises:
        InputRefused: `NOT_HOUNSFIELD`, `EMPTY_MASK`, `BRAIN_NOT_FOUND`.
        MissingLibrary: `MISSING_LIBRARY`.
    """
    require_hounsfield(volume)
    small = _working(volume)
    inner = _inside_skull(small)
    depth = ndimage.distance_transform_edt(inner, sampling=small.spacing_mm)
    markers = np.zeros(small.data.shape, dtype=np.float32)
    markers[depth > 10] = 1
    markers[(small.data > BONE_HU) | (small.data < AIR_HU)] = 2
    markers[ndimage.binary_dilation(inner, _ball(6.0, small)) == 0] = 2
    itk = library("SimpleITK")
    edges = itk.GradientMagnitudeRecursiveGaussian(to_image(small.with_data(np.clip(small.data, -100, 300))), 1.0)
    flooded = itk.MorphologicalWatershedFromMarkers(
        edges, itk.Cast(to_image(small.with_data(markers)), itk.sitkUInt8), markWatershedLine=False
    )
    brain = itk.GetArrayFromImage(flooded).T == 1
    return _back(_filled(_largest(brain), small), small, volume)


def _inside_skull(small: Volume) -> Mask:
    """Returns the space that bone encloses, without narrow passages.

    Bone is closed over larger and larger gaps while the space grows by at least 3 %, because a craniotomy can leave a
    gap of some centimetres.
    """
    spaces = [_enclosed(small, seal_mm=_SEALS_MM[0])]
    for seal_mm in _SEALS_MM[1:]:
        spaces.append(_enclosed(small, seal_mm=seal_mm))
        if spaces[-1].any() and spaces[-1].sum() < _GROWTH * spaces[-2].sum():
            break
    largest = max(spaces, key=np.count_nonzero)
    if not largest.any():
        raise InputRefused(
            "BRAIN_NOT_FOUND",
            f"bone encloses no space of 22 mm; {GIVE_MASK}",
        )
    return largest


def _enclosed(small: Volume, *, seal_mm: float) -> Mask:
    """Returns the largest space that bone encloses in slices along any axis, after closing gaps of 2 x `seal_mm`."""
    bone = small.data > BONE_HU
    sealed = _closed(bone, seal_mm, small)
    soft = ndimage.gaussian_filter(small.data, [1.0 / mm for mm in small.spacing_mm])
    space = _filled_in_slices(_filled_in_slices(sealed)) & ~bone
    space &= (soft > BRAIN_HU[0]) & (soft < BRAIN_HU[1])
    wide = ndimage.distance_transform_edt(space, sampling=small.spacing_mm) > _NECK_MM
    if not wide.any():
        return wide
    near = ndimage.distance_transform_edt(~_largest(wide), sampling=small.spacing_mm) <= _NECK_MM + 1
    return _largest(space & near)


def _filled_in_slices(wall: Mask) -> Mask:
    """Returns a wall with all that it encloses in any slice along any axis."""
    filled = wall.copy()
    for axis in range(3):
        for index in range(wall.shape[axis]):
            index_of_slice = tuple(slice(None) if other != axis else index for other in range(3))
            filled[index_of_slice] |= ndimage.binary_fill_holes(wall[index_of_slice])
    return filled


def _filled(brain: Mask, small: Volume) -> Mask:
    """Returns the mask with holes, and dents narrower than 24 mm, filled, except where there is bone."""
    return fill_holes(brain | (_closed(brain, 12.0, small) & (small.data < BONE_HU)))


def _working(volume: Volume) -> Volume:
    return resample(volume, coarser(volume.grid, _WORKING_MM))


def _back(mask: Mask, small: Volume, volume: Volume) -> Mask:
    """Returns a mask on the working grid resampled to the grid of the scan, with a smooth border."""
    resampled: Mask = resample(small.with_data(mask), volume.grid).data > 0.5
    if not resampled.any():
        raise InputRefused("EMPTY_MASK", "no head was found in this CT")
    return resampled


def _closed(mask: Mask, radius_mm: float, volume: Volume) -> Mask:
    """Returns the morphological closing by a ball, computed with distances, on an extended field of view."""
    pads = [(int(np.ceil(radius_mm / mm)) + 1,) * 2 for mm in volume.spacing_mm]
    wide = np.pad(mask, pads)
    grown = ndimage.distance_transform_edt(~wide, sampling=volume.spacing_mm) <= radius_mm
    closed = ndimage.distance_transform_edt(grown, sampling=volume.spacing_mm) > radius_mm
    inside = tuple(slice(before, -after) for before, after in pads)
    return np.asarray(closed[inside] | mask, dtype=np.bool_)


def _ball(radius_mm: float, volume: Volume) -> Mask:
    reach = [int(np.ceil(radius_mm / mm)) for mm in volume.spacing_mm]
    axes = [np.arange(-n, n + 1) * mm for n, mm in zip(reach, volume.spacing_mm, strict=True)]
    distance = np.sqrt(sum(part**2 for part in np.meshgrid(*axes, indexing="ij")))
    return np.asarray(distance <= radius_mm, dtype=np.bool_)


def _largest(mask: Mask) -> Mask:
    if not mask.any():
        raise InputRefused("EMPTY_MASK", "no head was found in this CT")
    return largest_component(mask)
