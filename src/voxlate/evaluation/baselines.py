"""Baselines without a network, which a model must beat.

- Source: the untouched source image.
- Histogram match: each value of the source is mapped to the target value of the same rank, by quantile functions fitted
  on training cases. The target of the case itself is not used.
- Constant: the median of the target over training cases, at every voxel. A model with a larger error is useless.
- Blurred target: the target blurred until its PSNR equals that of the synthetic image, if a blur of at most 16 mm can
  do so. It is made from the target, so it is a reference and not a method: it shows how well a smooth image scores on
  every other metric. Its sigma and the remaining difference in PSNR are given with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import ModelInvalid
from voxlate.evaluation.similarity import psnr
from voxlate.evaluation.similarity.gaussian import gaussian_mean
from voxlate.io.documents import read_json
from voxlate.reference_level import PROBABILITIES
from voxlate.volume import Array, Mask, box_of

BASELINES_FILE = "baselines.json"

MATCHED_DB = 0.1
"""Largest difference in PSNR for which the blurred target is called matched; the figures are printed to 0.1 dB."""

_BLUR_MM = (0.1, 16.0)
"""Range of sigma, from no visible blur of 1 mm voxels to a blur that leaves only the outline of the brain."""

_BISECTIONS = 9
"""They divide the range of log sigma (factor 160) by 2^9, which gives sigma to 1 %."""


@dataclass(frozen=True)
class HistogramMatch:
    """A non-decreasing map from source to target values, both in relative units.

    Attributes:
        source_quantiles: (quantiles,), mean over training cases of the quantiles of the source in the mask.
        target_quantiles: (quantiles,), likewise of the target.
        n_cases: number of training cases.
    """

    source_quantiles: NDArray[np.float64]
    target_quantiles: NDArray[np.float64]
    n_cases: int

    def apply(self, source: Array) -> Array:
        """Returns the source, of any shape, with its values mapped; the map is extrapolated beyond the quantiles."""
        x, y = _strictly_rising(self.source_quantiles, self.target_quantiles)
        mapped = np.interp(source, x, y)
        ends = ((x[0], y[0], x[1], y[1], source < x[0]), (x[-1], y[-1], x[-2], y[-2], source > x[-1]))
        for x_end, y_end, x_next, y_next, beyond in ends:
            slope = (y_end - y_next) / (x_end - x_next)
            mapped[beyond] = y_end + slope * (source[beyond] - x_end)
        return mapped.astype(np.float32)

    @property
    def target_median(self) -> float:
        """Returns the value of the constant image: the mean over training cases of the target's median in the mask."""
        return float(self.target_quantiles[len(self.target_quantiles) // 2])

    def constant(self, like: Array) -> Array:
        """Returns an image of the value `target_median`, of the shape of `like`."""
        return np.full(like.shape, self.target_median, dtype=np.float32)


@dataclass(frozen=True)
class BlurredTarget:
    """A blurred target.

    Attributes:
        image: (i, j, k); outside the mask it is the target.
        sigma_mm: standard deviation of the Gaussian.
        gap_db: PSNR of the blurred target minus that of the synthetic image, in the mask; NaN if both are infinite.
    """

    image: Array
    sigma_mm: float
    gap_db: float

    @property
    def is_matched(self) -> bool:
        """Returns whether the blurred target has the PSNR of the synthetic image, to `MATCHED_DB`."""
        return abs(self.gap_db) <= MATCHED_DB


def histogram_match_to_json(match: HistogramMatch) -> dict[str, Any]:
    """Returns the content of `baselines.json` of a bundle as plain values."""
    return {
        "source_quantiles": [float(q) for q in match.source_quantiles],
        "target_quantiles": [float(q) for q in match.target_quantiles],
        "probabilities": list(PROBABILITIES),
        "n_cases": match.n_cases,
    }


def read_histogram_match(bundle: Path) -> HistogramMatch | None:
    """Returns the histogram match of a bundle, or None when the bundle has no `baselines.json`.

    Raises:
        ModelInvalid: `BASELINES` when the file does not hold two non-decreasing lists of finite numbers.
    """
    path = bundle / BASELINES_FILE
    if not path.is_file():
        return None
    try:
        content = read_json(path)
        source, target = (np.asarray(content[f"{role}_quantiles"], dtype=np.float64) for role in ("source", "target"))
        count = int(content["n_cases"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelInvalid("BASELINES", f"{path.name} cannot be read ({error}); train the bundle again") from error
    _require_quantiles(source, target, path.name)
    return HistogramMatch(source, target, count)


def blurred_like(target: Array, synthetic: Array, mask: Mask, *, spacing_mm: Sequence[float]) -> BlurredTarget:
    """Returns the target blurred so that its PSNR in the mask is as close as possible to the synthetic image's.

    The blur is Gaussian within the mask. Sigma is searched between 0.1 and 16 mm by bisection on a logarithmic scale,
    to 1 %; if no sigma in this range gives the PSNR, the nearer end is used and `gap_db` states the difference.

    Args:
        target: (i, j, k).
        synthetic: (i, j, k), in the same unit.
        mask: (i, j, k).
        spacing_mm: of the grid, along the three axes.
    """
    box = box_of(mask)
    inside, real, made = mask[box], target[box], synthetic[box]
    aim_db = psnr(made, real, data_range=1.0, mask=inside)
    low, high = (float(np.log(end)) for end in _BLUR_MM)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        reached = psnr(blur(real, inside, np.exp(middle), spacing_mm), real, data_range=1.0, mask=inside)
        low, high = (middle, high) if reached > aim_db else (low, middle)
    sigma_mm = float(np.exp((low + high) / 2))
    smooth = blur(real, inside, sigma_mm, spacing_mm)
    gap_db = psnr(smooth, real, data_range=1.0, mask=inside) - aim_db
    result = target.copy()
    result[box] = np.where(inside, smooth, real)
    return BlurredTarget(result, sigma_mm, gap_db)


def blur(image: Array, mask: Mask, sigma_mm: float, spacing_mm: Sequence[float]) -> Array:
    """Returns the Gaussian mean around each voxel over the voxels of the mask; 0 outside the mask.

    Args:
        image: (i, j, k).
        mask: (i, j, k).
        sigma_mm: standard deviation of the Gaussian.
        spacing_mm: of the grid, along the three axes.
    """
    return Blur(mask, sigma_mm, spacing_mm).of(image)


class Blur:
    """Gaussian mean over the voxels of one mask, for many images.

    Args:
        mask: (i, j, k).
        sigma_mm: standard deviation of the Gaussian.
        spacing_mm: of the grid, along the three axes.
    """

    def __init__(self, mask: Mask, sigma_mm: float, spacing_mm: Sequence[float]) -> None:
        self._sigma = [sigma_mm / spacing for spacing in spacing_mm]
        self._mask = mask
        self._weight = gaussian_mean(mask.astype(np.float32), self._sigma, beyond="zero")
        self._is_mean = mask & (self._weight > 0)

    def of(self, image: Array) -> Array:
        """Returns the mean around each voxel of an image of the mask's shape; 0 outside the mask.

        The image's level is taken off first, so that weights rounded to single precision do not shift it.
        """
        level = image.dtype.type(image[self._mask].mean(dtype=np.float64))
        total = gaussian_mean(np.where(self._mask, image - level, np.float32(0)), self._sigma, beyond="zero")
        np.divide(total, self._weight, out=total, where=self._is_mean)
        return np.where(self._is_mean, total + level, np.float32(0))


def _strictly_rising(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the quantiles with equal source values merged and their target values averaged."""
    values, group = np.unique(x, return_inverse=True)
    if values.size < 2:
        raise ModelInvalid("BASELINES", "all source quantiles are equal; train the bundle again")
    return values, np.bincount(group, y) / np.bincount(group)


def _require_quantiles(source: NDArray[np.float64], target: NDArray[np.float64], name: str) -> None:
    fits = source.ndim == 1 and source.shape == target.shape and source.size >= 2
    if not (fits and all(np.isfinite(q).all() and (np.diff(q) >= 0).all() for q in (source, target))):
        raise ModelInvalid("BASELINES", f"{name} does not hold two rising lists of quantiles; train the bundle again")
