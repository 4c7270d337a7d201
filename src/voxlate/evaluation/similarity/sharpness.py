"""Is the image as sharp as the target, smoother or noisier?

Errors averaged over voxels reward blur: the mean of all plausible images has the smallest squared error. These metrics
show it. |G| is the length of the gradient in intensity per voxel, by Sobel's filter scaled to a response of 1 on a ramp
of slope 1. Images have the shape (i, j) or (i, j, k), a mask the same shape; lengths are in voxels, not in mm.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.evaluation.similarity.arrays import Image, box_of, require_comparable
from voxlate.volume import Mask

HIGH_FREQUENCY = (0.25, 0.5)
"""The band of `sharpness_ratio`, in cycles per voxel; 0.5 is the Nyquist frequency."""

_TAPER_SIGMA = 2.0
"""Voxels; at 0.25 cycles per voxel the transform of this taper is below 1 %, so the mask's edge adds no detail."""

_LEAST_POWER = 1e-12
"""Relative to the power of the mean: less than this is rounding error of a constant image."""


def gradient_magnitude(image: Image) -> Image:
    """Returns |G|, the length of the gradient in intensity per voxel, an array of the image's shape."""
    squares = np.zeros(image.shape, dtype=np.promote_types(image.dtype, np.float32))
    smoothing = 2.0 * 4.0 ** (image.ndim - 1)
    for axis in range(image.ndim):
        squares += np.square(ndimage.sobel(image.astype(squares.dtype), axis=axis, mode="nearest") / smoothing)
    return np.sqrt(squares)


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
    box = (slice(None),) * image.ndim if mask is None else box_of(mask, 1)
    magnitude = gradient_magnitude(image[box])
    chosen = magnitude.ravel() if mask is None else magnitude[mask[box]]
    return float(chosen[chosen > threshold].sum(dtype=np.float64) / chosen.size)


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
    box = (slice(None),) * image.ndim if mask is None else box_of(mask, 1)
    difference = np.abs(gradient_magnitude(image[box]) - gradient_magnitude(target[box]))
    chosen = difference if mask is None else difference[mask[box]]
    return float(chosen.mean(dtype=np.float64))


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
    inside = np.ones(image.shape, dtype=np.bool_) if mask is None else mask
    box = box_of(inside)
    taper = _taper(inside[box])
    of_target = _high_share(target[box], taper)
    if of_target is None:
        raise InputRefused("CONSTANT", "the target is constant in the mask; its sharpness is not defined")
    return (_high_share(image[box], taper) or 0.0) / of_target


def _taper(mask: Mask) -> Image:
    """Returns weights of the mask's shape that fall to 0 at its edge; the border of the image counts as an edge."""
    padded = np.pad(mask, 1)
    core = ndimage.binary_erosion(padded, iterations=round(_TAPER_SIGMA)) if mask.any() else padded
    smooth = ndimage.gaussian_filter(core.astype(np.float32), _TAPER_SIGMA, mode="constant")
    inner = tuple(slice(1, -1) for _ in mask.shape)
    return np.where(mask, smooth[inner], np.float32(0))


def _high_share(image: Image, taper: Image) -> float | None:
    """Returns the amplitude in `HIGH_FREQUENCY` divided by the total amplitude; None for a constant image."""
    weight = float(taper.sum(dtype=np.float64))
    if weight == 0:
        raise InputRefused("TOO_SMALL", "the mask is too thin for its sharpness to be measured")
    level = float((image * taper).sum(dtype=np.float64)) / weight
    power = np.square(np.abs(np.fft.rfftn((image - image.dtype.type(level)) * taper)))
    power[..., 1 : (image.shape[-1] + 1) // 2] *= 2  # a real transform leaves out the conjugate half
    power.flat[0] = 0
    total = float(power.sum(dtype=np.float64))
    if total <= _LEAST_POWER * max(level**2, 1e-300) * weight:
        return None
    low, high = HIGH_FREQUENCY
    radius = _frequency(image.shape)
    return float(np.sqrt(power[(radius >= low) & (radius <= high)].sum(dtype=np.float64) / total))


def _frequency(shape: tuple[int, ...]) -> Image:
    """Returns the distance from zero frequency in cycles per voxel, in the layout of a real transform of this shape."""
    axes = [np.fft.fftfreq(size) for size in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    grids = np.meshgrid(*axes, indexing="ij", sparse=True)
    return np.asarray(np.sqrt(np.asarray(sum(np.square(grid) for grid in grids))))
