"""How far is each voxel from the target, on average?

All take an image and the target of the same shape, in the same unit, and an optional mask; voxels outside
the mask do not exist for them. With e = image − target and N compared voxels:

    MAE = Σ|e| / N        MSE = Σe² / N        RMSE = √MSE        PSNR = 20 log10(L / RMSE) dB

L is the data range, given by the caller and never measured on the compared image.
"""

from __future__ import annotations

import numpy as np

from voxlate.evaluation.similarity.arrays import Image, in_mask, require_range
from voxlate.volume import Mask


def mae(image: Image, target: Image, *, mask: Mask | None = None) -> float:
    """Returns the mean absolute error in the images' unit."""
    first, second = in_mask(image, target, mask)
    return float(np.abs(first - second).mean())


def bias(image: Image, target: Image, *, mask: Mask | None = None) -> float:
    """Returns the mean signed error in the images' unit; positive when the image is too bright."""
    first, second = in_mask(image, target, mask)
    return float((first - second).mean())


def mse(image: Image, target: Image, *, mask: Mask | None = None) -> float:
    """Returns the mean squared error in the square of the images' unit."""
    first, second = in_mask(image, target, mask)
    return float(np.square(first - second).mean())


def rmse(image: Image, target: Image, *, mask: Mask | None = None) -> float:
    """Returns the root mean squared error in the images' unit."""
    return float(np.sqrt(mse(image, target, mask=mask)))


def psnr(image: Image, target: Image, *, data_range: float, mask: Mask | None = None) -> float:
    """Returns the peak signal-to-noise ratio in decibel; infinite for equal images."""
    require_range(data_range)
    error = mse(image, target, mask=mask)
    return float(10 * np.log10(data_range**2 / error)) if error > 0 else float("inf")


def smape(image: Image, target: Image, *, mask: Mask | None = None) -> float:
    """Returns the symmetric mean absolute percentage error, 0 to 200 %: mean of 2|a−b| / (|a|+|b|).

    A voxel where both images are 0 has no error.
    """
    first, second = in_mask(image, target, mask)
    scale = np.abs(first) + np.abs(second)
    ratio = np.divide(2 * np.abs(first - second), scale, out=np.zeros_like(scale), where=scale > 0)
    return float(100 * ratio.mean())


def highest_psnr(mean_absolute_error: float, data_range: float) -> float:
    """Returns the PSNR in decibel that an image of this MAE cannot exceed: 20 log10(L / MAE).

    RMSE is never below MAE (Jensen), so no PSNR is above this bound.
    """
    require_range(data_range)
    return float(20 * np.log10(data_range / mean_absolute_error)) if mean_absolute_error > 0 else float("inf")
