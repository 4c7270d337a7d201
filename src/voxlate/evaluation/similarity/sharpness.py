"""Is the image as sharp as the target, smoother or noisier?

Errors averaged over voxels reward blur: the mean of all plausible images has the smallest squared error. These metrics
show it. |G| is the length of the gradient in intensity per voxel, by Sobel's filter scaled to a response of 1 on a ramp
of slope 1. Images have the shape (i, j) or (i, j, k), a mask the same shape; lengths are in voxels, not in mm.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from voxlate.errors import InputRefused
from voxlate.evaluation.similarity.arrays import Image, require_comparable
from voxlate.evaluation.similarity.gaussian import gaussian_mean
from voxlate.volume import Mask, box_of

HIGH_FREQUENCY = (0.25, 0.5)
"""The band of `sharpness_ratio`, in cycles per voxel; 0.5 is the Nyquist frequency."""

_TAPER_SIGMA = 2.0
"""Voxels; at 0.25 cycles per voxel the transform of this taper is below 1 %, so the mask's edge adds no detail."""

_LEAST_POWER = 1e-12
"""Relative to the power of the mean: less than this is rounding error of a constant image."""


def gradient_magnitude(image: Image) -> Image:
    """Returns |G|, the length of the gradient in intensity per voxel, an array of the image's shape."""
    image = image.astype(np.promote_types(image.dtype, np.float32), copy=False)
    squares = np.zeros_like(image)
    for axis in range(image.ndim):
        slope = _difference(image, axis)
        for other in range(image.ndim):
            if other != axis:
                slope = _smoothed(slope, other)
        squares += slope * slope
    return np.sqrt(squares, out=squares)


def _difference(image: Image, axis: int) -> Image:
    """Returns half of next minus previous voxel along an axis; the voxel at the edge stands for the one beyond it."""
    result = np.empty_like(image)
    values, slope = image.swapaxes(0, axis), result.swapaxes(0, axis)
    slope[:-1] = values[1:]
    slope[-1] = values[-1]
    slope[1:] -= values[:-1]
    slope[0] -= values[0]
    result *= 0.5
    return result


def _smoothed(image: Image, axis: int) -> Image:
    """Returns the means of 3 voxels along an axis, weights 1, 2 and 1; the edge is repeated beyond it."""
    result = 2 * image
    values, mean = image.swapaxes(0, axis), result.swapaxes(0, axis)
    mean[:-1] += values[1:]
    mean[-1] += values[-1]
    mean[1:] += values[:-1]
    mean[0] += values[0]
    result *= 0.25
    return result


def tenengrad(image: Image, *, threshold: float = 0.0, mask: Mask | None = None) -> float:
    """Returns the sum of |G| over voxels where |G| exceeds the threshold, divided by the number of voxels.

    This is the sharpness measure of Li 2022, which states neither threshold nor divisor. It increases with noise and
    artefacts as with detail, and Sobel's filter does not respond to a checkerboard of one voxel; therefore only its
    ratio to the target's value is meaningful.

    Args:
        image: (i, j) or (i, j, k).
        threshold: of |G|, in intensity per voxel.
        mask: of the same shape, measured voxels; None for all.

    Raises:
        InputRefused: as `mae`.
    """
    require_comparable(image, image, mask)
    chosen = gradients(image, mask)
    return float(chosen[chosen > threshold].sum(dtype=np.float64) / chosen.size)


def gradients(image: Image, mask: Mask | None) -> Image:
    """Returns |G| of the measured voxels, a vector.

    Args:
        image: (i, j) or (i, j, k).
        mask: of the same shape, not empty; None for all.
    """
    if mask is None:
        return gradient_magnitude(image).ravel()
    box = box_of(mask, 1)
    return gradient_magnitude(image[box])[mask[box]]


def gradient_error(image: Image, target: Image, *, mask: Mask | None = None) -> float:
    """Returns the mean absolute difference of |G|, in the images' unit per voxel.

    Args:
        image: the compared image.
        target: of the same shape and unit.
        mask: compared voxels; None for all.

    Raises:
        InputRefused: as `mae`.
    """
    require_comparable(image, target, mask)
    return mean_difference(gradients(image, mask), gradients(target, mask))


def mean_difference(first: Image, second: Image) -> float:
    """Returns the mean absolute difference of two vectors."""
    return float(np.abs(first - second).mean(dtype=np.float64))


def sharpness_ratio(image: Image, target: Image, *, mask: Mask | None = None) -> float:
    """Returns the fine detail relative to the target: 1 is equal, below 1 smoother, above 1 noisier or sharper.

    It is the ratio of the amplitudes (square roots of the power) between 0.25 and 0.5 cycles per voxel, each divided by
    the amplitude of the same image at all frequencies except zero. A gain or an offset does not change it. Outside the
    mask both images are set to their mean, and the edge of the mask is tapered (Gaussian, sigma 2 voxels), so that this
    edge does not count as detail. The ratio of a constant image is 0.

    Args:
        image: the compared image.
        target: of the same shape.
        mask: compared voxels; None for all.

    Raises:
        InputRefused: as `mae`; `TOO_SMALL` when the mask is too thin for the taper, `CONSTANT` when the target is
            constant.
    """
    require_comparable(image, target, mask)
    detail = Detail(np.ones(image.shape, dtype=np.bool_) if mask is None else mask)
    return ratio_of(detail.share(image), detail.share(target))


def ratio_of(image: float | None, target: float | None) -> float:
    """Returns the ratio of two shares of `Detail.share`; 0 for a constant image.

    Raises:
        InputRefused: `CONSTANT` when the target is constant.
    """
    if target is None:
        raise InputRefused("CONSTANT", "the target is constant in the mask; its sharpness is not defined")
    return (image or 0.0) / target


class Detail:
    """Measures the fine detail of images in one mask.

    Args:
        mask: (i, j) or (i, j, k), not empty.
    """

    def __init__(self, mask: Mask) -> None:
        self._box = box_of(mask)
        self._taper = _taper(mask[self._box])
        self._weight = float(self._taper.sum(dtype=np.float64))
        low, high = HIGH_FREQUENCY
        radius = _frequency(self._taper.shape)
        self._is_high = (radius >= low) & (radius <= high)

    def share(self, image: Image) -> float | None:
        """Returns the amplitude in `HIGH_FREQUENCY` divided by the total amplitude; None for a constant image.

        Args:
            image: of the shape of the mask.

        Raises:
            InputRefused: `TOO_SMALL` when the mask is too thin for the taper.
        """
        if self._weight == 0:
            raise InputRefused("TOO_SMALL", "the mask is too thin for its sharpness to be measured")
        part = image[self._box]
        level = float((part * self._taper).sum(dtype=np.float64)) / self._weight
        waves = fft.rfftn((part - image.dtype.type(level)) * self._taper)
        power = np.square(waves.real) + np.square(waves.imag)
        power[..., 1 : (part.shape[-1] + 1) // 2] *= 2  # a real transform leaves out the conjugate half
        power.flat[0] = 0
        total = float(power.sum(dtype=np.float64))
        if total <= _LEAST_POWER * max(level**2, 1e-300) * self._weight:
            return None
        return float(np.sqrt(power[self._is_high].sum(dtype=np.float64) / total))


def _taper(mask: Mask) -> Image:
    """Returns weights of the mask's shape that fall to 0 at its edge; the border of the image counts as an edge."""
    core = np.pad(mask, 1)
    for _ in range(round(_TAPER_SIGMA)):
        core = _eroded(core)
    smooth = gaussian_mean(core.astype(np.float32), _TAPER_SIGMA, beyond="zero")
    inner = tuple(slice(1, -1) for _ in mask.shape)
    return np.where(mask, smooth[inner], np.float32(0))


def _eroded(mask: Mask) -> Mask:
    """Returns the voxels whose neighbours along every axis are in the mask, which does not reach the array's edge."""
    result = mask.copy()
    for axis in range(mask.ndim):
        here, there = result.swapaxes(0, axis), mask.swapaxes(0, axis)
        here[1:] &= there[:-1]
        here[:-1] &= there[1:]
    return result


def _frequency(shape: tuple[int, ...]) -> Image:
    """Returns the distance from zero frequency in cycles per voxel, in the layout of a real transform of this shape."""
    axes = [np.fft.fftfreq(size) for size in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    grids = np.meshgrid(*axes, indexing="ij", sparse=True)
    return np.asarray(np.sqrt(np.asarray(sum(np.square(grid) for grid in grids))))
