"""Is the local structure that of the target? SSIM (Wang 2004) and MS-SSIM (Wang 2003), in two or three dimensions.

Images have the shape (i, j) or (i, j, k), masks the same shape; SSIM has no unit and lies between −1 and 1. Around each
voxel, with weights w (Gaussian, sigma 1.5, 11 voxels wide; or uniform, 7 wide) that sum to 1:

    SSIM = (2 μx μy + C1)(2 σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2)),   C1 = (0.01 L)², C2 = (0.03 L)²

with population variances and reflection at the edge of the image. L is the data range, given by the caller. The mean is
over the mask or, without a mask, over all voxels whose window lies within the image.

With `slice_axis` the window has no extent along that axis, which gives the SSIM of every slice at once. With a mask
only its box, grown by the radius of the window, is computed; the values in the mask are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused, UsageError
from voxlate.evaluation.similarity.arrays import Image, box_of, require_comparable, require_range
from voxlate.volume import Mask

SIGMA, GAUSSIAN_RADIUS = 1.5, 5
"""Wang 2004: a Gaussian of sigma 1.5 in a window of 11."""

UNIFORM_RADIUS = 3
"""A window of 7, the default of scikit-image, which SynthRAD uses."""

WANG_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of MS-SSIM from the finest scale to the coarsest (Wang 2003)."""


@dataclass(frozen=True)
class Window:
    """Neighbourhood over which SSIM takes its local means.

    Attributes:
        shape: `gaussian` (sigma 1.5, 11 voxels wide) or `uniform` (7 wide).
        slice_axis: axis along which the window has no extent; None for a window in all dimensions.
        is_sample: whether variances are divided by N−1, as in scikit-image by default, and not by N.
    """

    shape: Literal["gaussian", "uniform"] = "gaussian"
    slice_axis: int | None = None
    is_sample: bool = False

    @property
    def radius(self) -> int:
        """Returns the number of voxels from the centre of the window to its edge."""
        return GAUSSIAN_RADIUS if self.shape == "gaussian" else UNIFORM_RADIUS

    def axes(self, ndim: int) -> tuple[int, ...]:
        """Returns the axes along which the window has an extent."""
        skipped = None if self.slice_axis is None else self.slice_axis % ndim
        return tuple(axis for axis in range(ndim) if axis != skipped)

    def mean(self, array: Image) -> Image:
        """Returns the weighted mean around each voxel, an array of the same shape and type."""
        axes = self.axes(array.ndim)
        if self.shape == "gaussian":
            return np.asarray(ndimage.gaussian_filter(array, SIGMA, radius=self.radius, axes=axes))
        return np.asarray(ndimage.uniform_filter(array, 2 * self.radius + 1, axes=axes))

    def covariance_factor(self, ndim: int) -> float:
        """Returns N/(N−1) for sample variances, else 1."""
        count = (2 * self.radius + 1) ** len(self.axes(ndim))
        return count / (count - 1) if self.is_sample else 1.0

    def interior(self, ndim: int) -> tuple[slice, ...]:
        """Returns the part of an image, as slices, in which the whole window lies within the image."""
        axes = self.axes(ndim)
        return tuple(slice(self.radius, -self.radius) if axis in axes else slice(None) for axis in range(ndim))

    def require_fit(self, shape: tuple[int, ...]) -> None:
        """Refuses an image of a shape that is narrower than the window.

        Raises:
            InputRefused: `TOO_SMALL`.
        """
        width = 2 * self.radius + 1
        if min(shape[axis] for axis in self.axes(len(shape))) < width:
            raise InputRefused("TOO_SMALL", f"an image of {shape} is narrower than the {width} voxels of the window")


GAUSSIAN = Window()


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
    luminance, structure = _components(image, target, data_range, window, level=_level(target, None))
    return luminance * structure


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
    if mask is None:
        values = ssim_map(image, target, data_range=data_range, window=window)[window.interior(image.ndim)]
    else:
        box = box_of(mask, window.radius)
        luminance, structure = _components(image[box], target[box], data_range, window, level=_level(target, mask))
        values = (luminance * structure)[mask[box]]
    return float(values.mean(dtype=np.float64))


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
    if not 1 <= scales <= len(WANG_WEIGHTS):
        raise UsageError("SCALES", f"MS-SSIM has 1 to {len(WANG_WEIGHTS)} scales, not {scales}")
    if mask is not None:
        coarsest = 2 ** (scales - 1)
        near = box_of(mask, GAUSSIAN_RADIUS * coarsest)
        # The box starts at a multiple of the coarsest step, so that the same voxels are averaged as in the whole image.
        box = tuple(slice(part.start // coarsest * coarsest, part.stop + coarsest) for part in near)
        image, target, mask = image[box], target[box], mask[box]
    weights = np.array(WANG_WEIGHTS[:scales]) / sum(WANG_WEIGHTS[:scales])
    result = 1.0
    for scale, weight in enumerate(weights):
        GAUSSIAN.require_fit(image.shape)
        value = _mean_at_scale(image, target, mask, data_range, is_coarsest=scale == scales - 1)
        result *= max(value, 0.0) ** float(weight)
        image, target = _halve(image), _halve(target)
        mask = None if mask is None else _halve(mask.astype(np.float32)) >= 0.5
    return result


def _mean_at_scale(image: Image, target: Image, mask: Mask | None, data_range: float, *, is_coarsest: bool) -> float:
    luminance, structure = _components(image, target, data_range, GAUSSIAN, level=_level(target, mask))
    values = luminance * structure if is_coarsest else structure
    chosen = values[GAUSSIAN.interior(values.ndim) if mask is None else mask]
    if chosen.size == 0:
        raise InputRefused("EMPTY_MASK", "the mask vanishes at a coarser scale; ask for fewer scales")
    return float(chosen.mean(dtype=np.float64))


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


def _level(target: Image, mask: Mask | None) -> float:
    return float((target if mask is None else target[mask]).mean(dtype=np.float64))


def _components(image: Image, target: Image, data_range: float, window: Window, *, level: float) -> tuple[Image, Image]:
    """Returns luminance and contrast-structure, two arrays of the images' shape; their product is the SSIM.

    Both images are shifted by `level` first, so that small variances around a high level are not lost in single
    precision. Four filterings are enough, because only the sum of both variances is needed.
    """
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    dtype = np.promote_types(np.result_type(image, target), np.float32)
    shift = dtype.type(level)
    x, y = image.astype(dtype) - shift, target.astype(dtype) - shift
    mean_x, mean_y = window.mean(x), window.mean(y)
    product, squares = window.mean(x * y), window.mean(x * x + y * y)
    factor = dtype.type(window.covariance_factor(x.ndim))
    structure = 2 * factor * (product - mean_x * mean_y) + dtype.type(c2)
    structure /= factor * (squares - mean_x * mean_x - mean_y * mean_y) + dtype.type(c2)
    mean_x += shift
    mean_y += shift
    luminance = (2 * mean_x * mean_y + dtype.type(c1)) / (mean_x * mean_x + mean_y * mean_y + dtype.type(c1))
    return luminance, structure
