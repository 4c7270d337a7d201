"""Fits the apparent diffusion coefficient (ADC) to images at several b values.

Papers often do not say which fit they use; here it has a name:
- `weighted`: a line through the logarithms, weighted by the squared signal, which is the maximum likelihood at high
  signal (Salvador et al., Hum Brain Mapp 2005;24:144);
- `least_squares`: the same without weights;
- `mean`: the mean of the two-point values of each b against b = 0 (one reading of Chen et al.).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxlate.errors import UsageError

Floats = NDArray[np.float64]
Fit = Literal["weighted", "least_squares", "mean"]
HIGHEST_ADC = 6.0
"""In 0.001 mm²/s: twice that of free water at body temperature, so that a larger value is noise."""

FITS: tuple[Fit, ...] = ("weighted", "least_squares", "mean")


def fitted_adc(
    images: Sequence[ArrayLike],
    b_values_s_mm2: Sequence[float],
    *,
    fit: Fit = "weighted",
    noise_sd: float = 0.0,
) -> Floats:
    """Returns the ADC in 0.001 mm²/s, the negative slope of log S over b, in the shape of the images.

    Exact for a mono-exponential decay without noise. Zero where an image is zero or not above the noise.

    Args:
        images: one magnitude image per b value, all of one shape.
        b_values_s_mm2: one b value per image, in s/mm²; at least two different ones, and 0 for `mean`.
        fit: see the module.
        noise_sd: standard deviation of the noise in one channel, in the units of the images. The mean square of a
            magnitude is S² + 2 sd², so 2 sd² is subtracted. Voxels with a signal of at most twice the noise get 0,
            because the logarithm of noise is meaningless.

    Raises:
        UsageError: `B_VALUES` for fewer than two different b values, or another number than images;
            `B_VALUE_NEGATIVE`; `ADC_FIT` for an unknown fit, or `mean` without b = 0; `NOISE` if it is negative.

    Example:
        >>> float(round(fitted_adc([[1000.0], [449.3]], [0, 1000])[0], 2))
        0.8
    """
    require_fit(images, b_values_s_mm2, fit=fit, noise_sd=noise_sd)
    b = np.asarray(b_values_s_mm2, dtype=np.float64) * 1e-3
    signals = [_without_noise(np.asarray(image, dtype=np.float64), noise_sd) for image in images]
    is_positive = np.minimum.reduce(signals) > 0
    logarithms = [np.log(np.where(is_positive, signal, 1.0)) for signal in signals]
    if fit == "mean":
        first = int(np.argmin(b))
        slopes = [(logarithms[first] - logarithms[i]) / b[i] for i in range(len(b)) if b[i] > 0]
        return np.asarray(np.where(is_positive, np.mean(slopes, axis=0), 0.0))
    weights = [signal**2 if fit == "weighted" else is_positive.astype(np.float64) for signal in signals]
    return np.asarray(np.where(is_positive, -_slope(logarithms, b, weights), 0.0))


def require_fit(images: Sequence[Any], b_values: Sequence[float], *, fit: str, noise_sd: float) -> None:
    """Refuses b values, a fit or a noise from which no ADC follows.

    Raises:
        UsageError: see `fitted_adc`.
    """
    if any(not np.isfinite(b) or b < 0 for b in b_values):
        raise UsageError("B_VALUE_NEGATIVE", f"b = {list(b_values)} s/mm²: b values must be finite and not negative")
    if len({np.shape(image) for image in images}) > 1:
        raise UsageError("B_VALUES", "all images must have the same shape")
    if len(images) != len(b_values) or len(set(b_values)) < 2:
        raise UsageError(
            "B_VALUES",
            f"{len(images)} images with b = {list(b_values)}: give one b value per image and two different ones",
        )
    if fit not in FITS:
        raise UsageError("ADC_FIT", f"{fit!r} is not a fit; choose one of {', '.join(FITS)}")
    if fit == "mean" and 0 not in b_values:
        raise UsageError("ADC_FIT", f"the fit `mean` needs an image at b = 0, but b = {list(b_values)}")
    if not np.isfinite(noise_sd) or noise_sd < 0:
        raise UsageError("NOISE", f"the noise_sd of {noise_sd} must be finite and not negative")


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
