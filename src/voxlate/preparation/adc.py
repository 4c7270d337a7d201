"""The apparent diffusion coefficient (ADC) from images at several b values.

Three conventions, named, as papers seldom say which: `weighted` (a line through the logarithms, each weighted by the
squared signal: the maximum likelihood at high signal; Salvador et al., Hum Brain Mapp 2005;24:144), `least_squares`
(the same unweighted) and `mean` (the mean of the two-point values of each b against b = 0, one reading of Chen et
al.).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxlate.errors import UsageError

Floats = NDArray[np.float64]
Fit = Literal["weighted", "least_squares", "mean"]
FITS: tuple[Fit, ...] = ("weighted", "least_squares", "mean")


def fitted_adc(
    images: Sequence[ArrayLike],
    b_values_s_mm2: Sequence[float],
    *,
    fit: Fit = "weighted",
    noise_sd: float = 0.0,
) -> Floats:
    """Returns the ADC in 0.001 mm²/s: minus the slope of log S over b.

    Exact for a mono-exponential without noise; zero where an image is zero, or not above the noise.

    Args:
        images: one magnitude array per b value, of one shape.
        b_values_s_mm2: at least two that differ; `mean` needs one that is 0.
        fit: the convention; see the module.
        noise_sd: standard deviation of the noise in one channel, in the units of the images. A magnitude has the mean
            square S² + 2 sd², which is taken back; voxels whose signal does not exceed twice the noise get 0, as
            their logarithm says nothing.

    Raises:
        UsageError: `B_VALUES` when they are fewer, all equal, or of another number than the images; `B_VALUE_NEGATIVE`;
            `ADC_FIT` for an unknown convention, or `mean` without b = 0; `NOISE` when it is negative.
    """
    _check(images, b_values_s_mm2, fit, noise_sd)
    b = np.asarray(b_values_s_mm2, dtype=np.float64) * 1e-3
    signals = [_without_noise(np.asarray(image, dtype=np.float64), noise_sd) for image in images]
    known = np.minimum.reduce(signals) > 0
    logarithms = [np.log(np.where(known, signal, 1.0)) for signal in signals]
    if fit == "mean":
        first = int(np.argmin(b))
        slopes = [(logarithms[first] - logarithms[i]) / b[i] for i in range(len(b)) if b[i] > 0]
        return np.asarray(np.where(known, np.mean(slopes, axis=0), 0.0))
    weights = [signal**2 if fit == "weighted" else known.astype(np.float64) for signal in signals]
    return np.asarray(np.where(known, -_slope(logarithms, b, weights), 0.0))


def _check(images: Sequence[Any], b_values: Sequence[float], fit: str, noise_sd: float) -> None:
    if any(not np.isfinite(b) or b < 0 for b in b_values):
        raise UsageError("B_VALUE_NEGATIVE", f"b = {list(b_values)} s/mm² must not be negative")
    if len({np.shape(image) for image in images}) > 1:
        raise UsageError("B_VALUES", "the images of one measurement must have one shape")
    if len(images) != len(b_values) or len(set(b_values)) < 2:
        raise UsageError("B_VALUES", f"{len(images)} images with b = {list(b_values)} do not give a slope")
    if fit not in FITS:
        raise UsageError("ADC_FIT", f"no fit is called {fit!r}; there are {', '.join(FITS)}")
    if fit == "mean" and 0 not in b_values:
        raise UsageError("ADC_FIT", f"the fit `mean` needs an image at b = 0, there are b = {list(b_values)}")
    if not np.isfinite(noise_sd) or noise_sd < 0:
        raise UsageError("NOISE", f"a standard deviation of {noise_sd} is not possible")


def _without_noise(signal: Floats, noise_sd: float) -> Floats:
    if noise_sd == 0:
        return signal
    clean = np.sqrt(np.maximum(signal**2 - 2 * noise_sd**2, 0))
    return np.where(clean > 2 * noise_sd, clean, 0.0)


def _slope(logarithms: Sequence[Floats], b: Floats, weights: Sequence[Floats]) -> Floats:
    weight, first, second, third, fourth = (np.zeros(logarithms[0].shape) for _ in range(5))
    for logarithm, value, w in zip(logarithms, b, weights, strict=True):
        weight += w
        first += w * value
        second += w * value**2
        third += w * logarithm
        fourth += w * value * logarithm
    spread = weight * second - first**2
    slope = (weight * fourth - first * third) / np.where(spread > 0, spread, 1.0)
    return np.where(spread > 0, slope, 0.0)
