"""How far is each voxel from the target, on average?

All functions take an image and its target of one shape, (i, j) or (i, j, k), in one unit, and an optional mask of the
same shape; only voxels of the mask count. With e = image − target and N compared voxels:

    MAE = Σ|e| / N        MSE = Σe² / N        RMSE = √MSE        PSNR = 20 log10(L / RMSE) dB

The data range L is given by the caller, in the unit of the images; it is never measured on the compared image.

All raise `InputRefused` (`GRID_MISMATCH`, `DIMENSIONS`, `EMPTY_MASK`, `NON_FINITE`), see `arrays.in_mask`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxlate.evaluation.similarity.arrays import Image, in_mask, require_range
from voxlate.volume import Mask


@dataclass(frozen=True)
class Errors:
    """Signed errors of the compared voxels, in the unit of the images.

    Attributes:
        values: (voxels,), image minus target.
    """

    values: NDArray[np.float64]

    def at(self, chosen: NDArray[np.bool_]) -> Errors:
        """Returns the errors of some of the voxels.

        Args:
            chosen: (voxels,).
        """
        return Errors(self.values[chosen])

    @property
    def mae(self) -> float:
        """Returns the mean absolute error."""
        return float(np.abs(self.values).mean())

    @property
    def bias(self) -> float:
        """Returns the mean signed error."""
        return float(self.values.mean())

    @property
    def mse(self) -> float:
        """Returns the mean squared error."""
        return float(np.square(self.values).mean())

    @property
    def rmse(self) -> float:
        """Returns the root mean squared error."""
        return float(np.sqrt(self.mse))

    def psnr(self, data_range: float) -> float:
        """Returns the peak signal-to-noise ratio in decibel; infinite for equal images.

        Args:
            data_range: L, in the unit of the images, above 0.

        Raises:
            UsageError: `DATA_RANGE`.
        """
        require_range(data_range)
        error = self.mse
        return float(10 * np.log10(data_range**2 / error)) if error > 0 else float("inf")


def mae(image: Image, target: Image, *, mask: Mask | None = None) -> float:
    """Returns the mean absolute error in the images' unit.

    Args:
        image: (i, j) or (i, j, k), the compared image.
        target: of the same shape and unit.
        mask: of the same shape, compared voxels; None for all.

    Raises:
        InputRefused: see the module.
    """
    return _errors(image, target, mask).mae


def bias(image: Image, target: Image, *, mask: Mask | None = None) -> float:
    """Returns the mean signed error in the images' unit; positive when the image is brighter than the target.

    Args:
        image: (i, j) or (i, j, k), the compared image.
        target: of the same shape and unit.
        mask: of the same shape, compared voxels; None for all.

    Raises:
        InputRefused: see the module.
    """
    return _errors(image, target, mask).bias


def mse(image: Image, target: Image, *, mask: Mask | None = None) -> float:
    """Returns the mean squared error in the square of the images' unit.

    Args:
        image: (i, j) or (i, j, k), the compared image.
        target: of the same shape and unit.
        mask: of the same shape, compared voxels; None for all.

    Raises:
        InputRefused: see the module.
    """
    return _errors(image, target, mask).mse


def rmse(image: Image, target: Image, *, mask: Mask | None = None) -> float:
    """Returns the root mean squared error in the images' unit.

    Args:
        image: (i, j) or (i, j, k), the compared image.
        target: of the same shape and unit.
        mask: of the same shape, compared voxels; None for all.

    Raises:
        InputRefused: see the module.
    """
    return _errors(image, target, mask).rmse


def psnr(image: Image, target: Image, *, data_range: float, mask: Mask | None = None) -> float:
    """Returns the peak signal-to-noise ratio in decibel; infinite for equal images.

    Args:
        image: (i, j) or (i, j, k), the compared image.
        target: of the same shape and unit.
        data_range: L, in the same unit, above 0.
        mask: of the same shape, compared voxels; None for all.

    Raises:
        UsageError: `DATA_RANGE`.
        InputRefused: see the module.
    """
    require_range(data_range)
    return _errors(image, target, mask).psnr(data_range)


def smape(image: Image, target: Image, *, mask: Mask | None = None) -> float:
    """Returns the symmetric mean absolute percentage error, 0 to 200 %: the mean of 2|a−b| / (|a|+|b|).

    A voxel that is 0 in both images has an error of 0.

    Args:
        image: (i, j) or (i, j, k), the compared image.
        target: of the same shape and unit.
        mask: of the same shape, compared voxels; None for all.

    Raises:
        InputRefused: see the module.
    """
    first, second = in_mask(image, target, mask)
    scale = np.abs(first) + np.abs(second)
    ratio = np.divide(2 * np.abs(first - second), scale, out=np.zeros_like(scale), where=scale > 0)
    return float(100 * ratio.mean())


def highest_psnr(mean_absolute_error: float, data_range: float) -> float:
    """Returns the largest PSNR in decibel that an image with this MAE can have: 20 log10(L / MAE).

    The RMSE is never below the MAE (Jensen's inequality), so no PSNR exceeds this bound.

    Args:
        mean_absolute_error: MAE, in the unit of the range.
        data_range: L.

    Raises:
        UsageError: `DATA_RANGE`.

    Example:
        >>> round(highest_psnr(13.75, 255), 1)
        25.4
    """
    require_range(data_range)
    return float(20 * np.log10(data_range / mean_absolute_error)) if mean_absolute_error > 0 else float("inf")


def _errors(image: Image, target: Image, mask: Mask | None) -> Errors:
    first, second = in_mask(image, target, mask)
    return Errors(first - second)
