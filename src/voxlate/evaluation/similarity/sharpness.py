"""Is the image as sharp as the target, or smoother, or noisier?

Averages over voxels reward blur: the mean of all plausible images has the least squared error. These
figures show it. `|G|` is the length of the gradient in intensity per voxel, by Sobel's filter scaled to
have unit response on a ramp of slope 1.
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
_LEAST_POWER = 1e-12


def gradient_magnitude(image: Image) -> Image:
    """Returns the length of the gradient in intensity per voxel, an array of the image's shape."""
    squares = np.zeros(image.shape, dtype=np.promote_types(image.dtype, np.float32))
    smoothing = 2.0 * 4.0 ** (image.ndim - 1)
    for axis in range(image.ndim):
        squares += np.square(ndimage.sobel(image.astype(squares.dtype), axis=axis, mode="nearest") / smoothing)
    return np.sqrt(squares)


def tenengrad(image: Image, *, threshold: float = 0.0, mask: Mask | None = None) -> float:
    """Returns the sum of |G| over voxels where |G| exceeds the threshold, divided by the number of voxels.

    The sharpness of Li 2022, which names neither threshold nor divisor. It rewards noise and artefacts as it does
    detail, and Sobel's filter, being 0 where neighbours alternate, does not see a checkerboard of one voxel at all;
    so it is read only as a ratio to the target's.

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

    Raises:
        InputRefused: as `mae`.
    """
    require_comparable(image, target, mask)
    box = (slice(None),) * image.ndim if mask is None else box_of(mask, 1)
    difference = np.abs(gradient_magnitude(image[box]) - gradient_magnitude(target[box]))
    chosen = difference if mask is None else difference[mask[box]]
    return float(chosen.mean(dtype=np.float64))


def sharpness_ratio(image: Image, target: Image, *, mask: Mask | None = None) -> float:
    """Returns how much fine detail the image has against the target: 1 the same, below 1 smoother.

    The ratio of the amplitudes (square roots of the power) between 0.25 and 0.5 cycles per voxel, each as
    a share of its own image's amplitude at all frequencies but zero. A gain and an offset do not change
    it. Outside the mask both images are set to their mean, and the mask's edge is tapered (Gaussian, sigma
    2 voxels), so that the edge of the mask is not taken for detail.

    Raises:
        InputRefused: as `mae`; `CONSTANT` when the target has no detail at all. Of a constant image the ratio is 0.
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
    """Returns weights that fall to 0 within the mask's edge; the image's border counts as an edge."""
    padded = np.pad(mask, 1)
    core = ndimage.binary_erosion(padded, iterations=round(_TAPER_SIGMA)) if mask.any() else padded
    smooth = ndimage.gaussian_filter(core.astype(np.float32), _TAPER_SIGMA, mode="constant")
    inner = tuple(slice(1, -1) for _ in mask.shape)
    return np.where(mask, smooth[inner], np.float32(0))


def _high_share(image: Image, taper: Image) -> float | None:
    """Returns the share of the amplitude in `HIGH_FREQUENCY`; None for a constant image."""
    weight = float(taper.sum(dtype=np.float64))
    if weight == 0:
        raise InputRefused("TOO_SMALL", "the mask is too thin for its sharpness to be measured")
    level = float((image * taper).sum(dtype=np.float64)) / weight
    power = np.square(np.abs(np.fft.rfftn((image - image.dtype.type(level)) * taper)))
    power[..., 1 : (image.shape[-1] + 1) // 2] *= 2  # the half that a real transform leaves out
    power.flat[0] = 0
    total = float(power.sum(dtype=np.float64))
    if total <= _LEAST_POWER * max(level**2, 1e-300) * weight:
        return None
    low, high = HIGH_FREQUENCY
    radius = _frequency(image.shape)
    return float(np.sqrt(power[(radius >= low) & (radius <= high)].sum(dtype=np.float64) / total))


def _frequency(shape: tuple[int, ...]) -> Image:
    """Returns the distance from zero frequency, cycles per voxel, in the layout of a real transform."""
    axes = [np.fft.fftfreq(size) for size in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    grids = np.meshgrid(*axes, indexing="ij", sparse=True)
    return np.asarray(np.sqrt(np.asarray(sum(np.square(grid) for grid in grids))))
