"""What anybody could do without a network, so that a network is seen to do more.

- the untouched source;
- the source with its histogram matched: each value goes to the target's value of the same rank, by quantile
  functions fitted on training cases. The target of the case itself is never looked at;
- a constant: the median of the target over training cases, everywhere. What it beats knows less than nothing;
- the target blurred until its PSNR is that of the synthetic image, where a blur of at most 16 mm can do that. It is
  no method, as it is made from the answer: it shows how well mere smoothness scores on every other metric. Its sigma
  and what is left of the difference in PSNR are given with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from voxlate.errors import InputRefused, ModelInvalid
from voxlate.evaluation.similarity import psnr
from voxlate.evaluation.similarity.arrays import box_of
from voxlate.io.documents import read_json
from voxlate.reference_level import PROBABILITIES
from voxlate.volume import Array, Mask

BASELINES_FILE = "baselines.json"

MATCHED_DB = 0.1
"""A blurred target whose PSNR is farther from the synthetic image's is not called matched."""

_BLUR_MM = (0.1, 16.0)
_BISECTIONS = 9


@dataclass(frozen=True)
class HistogramMatch:
    """A rising map from source to target values, both in relative units.

    Attributes:
        source_quantiles: mean over training cases of the source's quantiles inside the mask.
        target_quantiles: the same of the target.
        n_cases: training cases it was fitted on.
    """

    source_quantiles: NDArray[np.float64]
    target_quantiles: NDArray[np.float64]
    n_cases: int

    def apply(self, source: Array) -> Array:
        """Returns the source with its values mapped; beyond the knots the last step goes on."""
        x, y = _strictly_rising(self.source_quantiles, self.target_quantiles)
        mapped = np.interp(source, x, y)
        ends = ((x[0], y[0], x[1], y[1], source < x[0]), (x[-1], y[-1], x[-2], y[-2], source > x[-1]))
        for x_end, y_end, x_next, y_next, beyond in ends:
            slope = (y_end - y_next) / (x_end - x_next)
            mapped[beyond] = y_end + slope * (source[beyond] - x_end)
        return mapped.astype(np.float32)

    @property
    def target_median(self) -> float:
        """Returns the mean over training cases of the target's median in the mask: the value of the constant image."""
        return float(self.target_quantiles[len(self.target_quantiles) // 2])

    def constant(self, like: Array) -> Array:
        """Returns an image of the one value `target_median`, of the shape of `like`."""
        return np.full(like.shape, self.target_median, dtype=np.float32)


@dataclass(frozen=True)
class BlurredTarget:
    """The target after a blur.

    Attributes:
        sigma_mm: of the Gaussian.
        gap_db: PSNR of the blurred target minus that of the synthetic image, in the mask; NaN where both are exact.
    """

    image: Array
    sigma_mm: float
    gap_db: float

    @property
    def is_matched(self) -> bool:
        """Tells whether the PSNR of the synthetic image was reached."""
        return abs(self.gap_db) <= MATCHED_DB


def fit_histogram_match(pairs: Iterable[tuple[Array, Array, Mask]]) -> HistogramMatch:
    """Returns the map fitted on training cases: (source, target, mask) each, in relative units.

    Raises:
        InputRefused: `EMPTY_MASK`, or `NO_TRAINING_CASE` when there is none.
    """
    source_sum = target_sum = np.zeros(len(PROBABILITIES))
    count = 0
    for source, target, mask in pairs:
        if not mask.any():
            raise InputRefused("EMPTY_MASK", "a training case has an empty mask; the histogram cannot be fitted")
        source_sum = source_sum + np.quantile(source[mask], PROBABILITIES)
        target_sum = target_sum + np.quantile(target[mask], PROBABILITIES)
        count += 1
    if count == 0:
        raise InputRefused("NO_TRAINING_CASE", "no training case was given to fit the histogram match on")
    return HistogramMatch(source_sum / count, target_sum / count, count)


def histogram_match_to_json(match: HistogramMatch) -> dict[str, Any]:
    """Returns what `baselines.json` of a bundle holds."""
    return {
        "source_quantiles": [float(q) for q in match.source_quantiles],
        "target_quantiles": [float(q) for q in match.target_quantiles],
        "probabilities": list(PROBABILITIES),
        "n_cases": match.n_cases,
    }


def read_histogram_match(bundle: Path) -> HistogramMatch | None:
    """Returns the map of a bundle, or None when it has no `baselines.json`.

    Raises:
        ModelInvalid: `BASELINES` when the file does not hold two rising lists of finite numbers.
    """
    path = bundle / BASELINES_FILE
    if not path.is_file():
        return None
    try:
        content = read_json(path)
        source, target = (np.asarray(content[f"{role}_quantiles"], dtype=np.float64) for role in ("source", "target"))
        count = int(content["n_cases"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelInvalid("BASELINES", f"{path.name} is not readable ({error}); train the bundle again") from error
    _require_quantiles(source, target, path.name)
    return HistogramMatch(source, target, count)


def blurred_like(target: Array, synthetic: Array, mask: Mask, *, spacing_mm: Sequence[float]) -> BlurredTarget:
    """Returns the target blurred so that its PSNR in the mask is the synthetic image's, as nearly as a blur can.

    Gaussian, only voxels of the mask taking part. Sigma is searched between 0.1 and 16 mm, by bisection on a
    logarithmic scale to 1 %; an image better or worse than both ends gets the nearer end, and the gap tells.
    """
    box = box_of(mask)
    inside, real, made = mask[box], target[box], synthetic[box]
    wanted = psnr(made, real, data_range=1.0, mask=inside)
    low, high = (float(np.log(end)) for end in _BLUR_MM)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        reached = psnr(blur(real, inside, np.exp(middle), spacing_mm), real, data_range=1.0, mask=inside)
        low, high = (middle, high) if reached > wanted else (low, middle)
    sigma_mm = float(np.exp((low + high) / 2))
    smooth = blur(real, inside, sigma_mm, spacing_mm)
    gap_db = psnr(smooth, real, data_range=1.0, mask=inside) - wanted
    result = target.copy()
    result[box] = np.where(inside, smooth, real)
    return BlurredTarget(result, sigma_mm, gap_db)


def blur(image: Array, mask: Mask, sigma_mm: float, spacing_mm: Sequence[float]) -> Array:
    """Returns the Gaussian mean around each voxel over voxels of the mask alone; outside the mask 0."""
    sigma = [sigma_mm / spacing for spacing in spacing_mm]
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="constant")
    total = ndimage.gaussian_filter(np.where(mask, image, np.float32(0)), sigma, mode="constant")
    return np.divide(total, weight, out=np.zeros_like(total), where=mask & (weight > 0))


def _strictly_rising(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the knots with equal source values joined, their target values averaged."""
    values, place = np.unique(x, return_inverse=True)
    if values.size < 2:
        raise ModelInvalid("BASELINES", "the source quantiles are one number; train the bundle again")
    return values, np.bincount(place, y) / np.bincount(place)


def _require_quantiles(source: NDArray[np.float64], target: NDArray[np.float64], name: str) -> None:
    fits = source.ndim == 1 and source.shape == target.shape and source.size >= 2
    if not (fits and all(np.isfinite(q).all() and (np.diff(q) >= 0).all() for q in (source, target))):
        raise ModelInvalid("BASELINES", f"{name} does not hold two rising lists of quantiles; train the bundle again")
