"""Is the local structure that of the target? SSIM (Wang 2004) and MS-SSIM (Wang 2003), in two or three dimensions.

Images have the shape (i, j) or (i, j, k), masks the same shape; SSIM has no unit and lies between −1 and 1. Around each
voxel, with weights w (Gaussian, sigma 1.5, 11 voxels wide; or uniform, 7 wide) that sum to 1:

    SSIM = (2 μx μy + C1)(2 σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2)),   C1 = (0.01 L)², C2 = (0.03 L)²

with population variances and reflection at the edge of the image (`moments`). L is the data range, given by the caller.
The mean is over the mask or, without a mask, over all voxels whose window lies within the image.

With `slice_axis` the window has no extent along that axis, which gives the SSIM of every slice at once. With a mask
only its box, grown by the radius of the window, is computed; the values in the mask are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from voxlate.errors import InputRefused, UsageError
from voxlate.evaluation.similarity.arrays import Image, require_comparable, require_range
from voxlate.evaluation.similarity.moments import (
    GAUSSIAN,
    GAUSSIAN_RADIUS,
    JointMoments,
    LocalMoments,
    Place,
    Window,
)
from voxlate.volume import Mask, box_of

WANG_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of MS-SSIM from the finest scale to the coarsest (Wang 2003)."""


def ssim_map(image: Image, target: Image, *, data_range: float, window: Window = GAUSSIAN) -> Image:
    """Returns the SSIM around every voxel, an array of the images' shape, values −1 to 1.

    Args:
        image: the compared image.
        target: of the same shape and unit.
        data_range: L, in that unit.
        window: of the local means.

    Raises:
        InputRefused: `GRID_MISMATCH`, `DIMENSIONS`, or `TOO_SMALL` when the window does not fit.
        UsageError: `DATA_RANGE`.
    """
    _require(image, target, None, data_range)
    window.require_fit(image.shape)
    return _joint(image, target, Place.everywhere(image.ndim, window)).ssim(data_range)


def ssim(
    image: Image, target: Image, *, data_range: float, mask: Mask | None = None, window: Window = GAUSSIAN
) -> float:
    """Returns the mean SSIM in the mask or, without a mask, where the whole window lies within the image.

    Without a mask it equals `skimage.metrics.structural_similarity(gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False)`; with a mask, the mean of the full map of that function in the mask.

    Args:
        image: the compared image.
        target: of the same shape and unit.
        data_range: L, in that unit.
        mask: compared voxels, of the same shape.
        window: of the local means.

    Raises:
        InputRefused: as `ssim_map`, and `EMPTY_MASK`.
        UsageError: `DATA_RANGE`.
    """
    _require(image, target, mask, data_range)
    window.require_fit(image.shape)
    joint = _joint(image, target, Place.of(mask, image.ndim, window))
    return float(joint.ssim(data_range).mean(dtype=np.float64))


def ms_ssim(
    image: Image,
    target: Image,
    *,
    data_range: float,
    mask: Mask | None = None,
    scales: int = len(WANG_WEIGHTS),
) -> float:
    """Returns the multi-scale SSIM: Π cs_k^w_k over the finer scales times SSIM^w at the coarsest scale.

    Each scale halves the one before by the mean of 2 voxels along every axis; an odd last voxel is left out. With fewer
    than five scales the first weights are used, scaled to a sum of 1. A voxel of a coarser scale is in the mask when at
    least half of it was. A negative mean of contrast times structure counts as 0.

    Args:
        image: the compared image.
        target: of the same shape and unit.
        data_range: L, in that unit.
        mask: compared voxels, of the same shape.
        scales: number of scales, 1 to 5.

    Raises:
        InputRefused: as `ssim`; `TOO_SMALL` when the window does not fit at a coarser scale.
        UsageError: `DATA_RANGE`, or `SCALES` for another number of scales.
    """
    _require(image, target, mask, data_range)
    places = Scales.of(mask, image.shape, scales)
    image, target = _of_one_type(image, target)
    return over_scales(map(JointMoments, places.moments(image), places.moments(target)), scales, data_range)


@dataclass(frozen=True)
class Scales:
    """Where MS-SSIM is measured at each scale.

    Attributes:
        box: part of the image that the scales are made from, one slice per axis.
        places: of the scales, from the finest to the coarsest; each is a place of the image of that scale.
    """

    box: tuple[slice, ...]
    places: tuple[Place, ...]

    @classmethod
    def of(cls, mask: Mask | None, shape: tuple[int, ...], count: int) -> Scales:
        """Returns the scales of images of a shape.

        Args:
            mask: compared voxels, of that shape, not empty; None for all whose window lies within the image.
            shape: of the images.
            count: number of scales, 1 to 5.

        Raises:
            UsageError: `SCALES` for another number of scales.
            InputRefused: `TOO_SMALL` when the window does not fit at a scale, `EMPTY_MASK` when the mask vanishes.
        """
        if not 1 <= count <= len(WANG_WEIGHTS):
            raise UsageError("SCALES", f"MS-SSIM has 1 to {len(WANG_WEIGHTS)} scales, not {count}")
        coarsest = 2 ** (count - 1)
        box = tuple(slice(0, size) for size in shape)
        if mask is not None:
            # The box starts at a multiple of the coarsest step, so that the same voxels are averaged as in the image.
            near = box_of(mask, GAUSSIAN_RADIUS * coarsest)
            starts = (part.start // coarsest * coarsest for part in near)
            ends = (min(part.stop + coarsest, size) for part, size in zip(near, shape, strict=True))
            box = tuple(map(slice, starts, ends))
            mask = mask[box]
        sides = tuple(part.stop - part.start for part in box)
        return cls(box, tuple(_places(mask, sides, count)))

    def moments(self, image: Image, *, first: int = 0, dtype: DTypeLike | None = None) -> Iterator[LocalMoments]:
        """Yields the local moments of an image at each scale.

        Args:
            image: of the shape of the images.
            first: the first of these scales; the finest is 0.
            dtype: type in which the moments are computed; None for that of the image.
        """
        part = image[self.box]
        for scale, place in enumerate(self.places):
            if scale >= first:
                yield place.moments(part, dtype=dtype)
            part = _halve(part)


def over_scales(joint: Iterable[JointMoments], scales: int, data_range: float) -> float:
    """Returns the MS-SSIM from the moments at each scale, the finest first; see `ms_ssim`.

    Args:
        joint: moments of image and target, one for each scale.
        scales: number of scales.
        data_range: L, in the unit of the images.
    """
    weights = np.array(WANG_WEIGHTS[:scales]) / sum(WANG_WEIGHTS[:scales])
    result = 1.0
    for scale, (moments, weight) in enumerate(zip(joint, weights, strict=True)):
        values = moments.ssim(data_range) if scale == scales - 1 else moments.structure(data_range)
        result *= max(float(values.mean(dtype=np.float64)), 0.0) ** float(weight)
    return result


def _places(mask: Mask | None, shape: tuple[int, ...], count: int) -> Iterator[Place]:
    for _ in range(count):
        GAUSSIAN.require_fit(shape)
        if mask is not None and not mask.any():
            raise InputRefused("EMPTY_MASK", "the mask vanishes at a coarser scale; ask for fewer scales")
        yield Place.of(mask, len(shape))
        shape = tuple(size // 2 for size in shape)
        mask = None if mask is None else _halve(mask.astype(np.float32)) >= 0.5


def _halve(array: Image) -> Image:
    """Returns the means of 2 voxels along every axis."""
    even = array[tuple(slice(0, size - size % 2) for size in array.shape)]
    for axis in range(array.ndim):
        first, second = (even[(slice(None),) * axis + (slice(start, None, 2),)] for start in (0, 1))
        even = (first + second) / 2
    return even


def _require(image: Image, target: Image, mask: Mask | None, data_range: float) -> None:
    require_comparable(image, target, mask)
    require_range(data_range)


def _joint(image: Image, target: Image, place: Place) -> JointMoments:
    image, target = _of_one_type(image, target)
    return JointMoments(place.moments(image), place.moments(target))


def _of_one_type(image: Image, target: Image) -> tuple[Image, Image]:
    """Returns both images in the more precise of their types, at least single precision."""
    dtype = np.promote_types(np.result_type(image, target), np.float32)
    return image.astype(dtype, copy=False), target.astype(dtype, copy=False)
