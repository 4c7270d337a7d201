"""The apparent diffusion coefficient from images at several b values: a weighted line through their logarithms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from voxlate.errors import UsageError
from voxlate.simulate.sequences import Floats, require_not_negative


def fitted_adc(images: Sequence[ArrayLike], b_values_s_mm2: Sequence[float]) -> Floats:
    """Returns the ADC in 0.001 mm²/s: minus the slope of log S over b, each point weighted by S².

    S² is the inverse variance of log S at high signal (Salvador et al., Hum Brain Mapp 2005;24:144). Exact for a
    mono-exponential without noise; zero where an image is zero.

    Args:
        images: one array per b value, of one shape.
        b_values_s_mm2: at least two that differ.

    Raises:
        UsageError: `B_VALUES` when they are fewer, all equal or of another number than the images.
    """
    require_not_negative("B_VALUE_NEGATIVE", b_value=b_values_s_mm2)
    if len(images) != len(b_values_s_mm2) or len(set(b_values_s_mm2)) < 2:
        raise UsageError("B_VALUES", f"{len(images)} images with b = {list(b_values_s_mm2)} do not give a slope")
    b = np.asarray(b_values_s_mm2, dtype=np.float64) * 1e-3
    signals = [np.asarray(image, dtype=np.float64) for image in images]
    known = np.minimum.reduce(signals) > 0
    weight, first, second, third, fourth = (np.zeros(signals[0].shape) for _ in range(5))
    for signal, value in zip(signals, b, strict=True):
        logarithm, w = np.log(np.where(known, signal, 1.0)), signal**2
        weight += w
        first += w * value
        second += w * value**2
        third += w * logarithm
        fourth += w * value * logarithm
    spread = weight * second - first**2
    slope = (weight * fourth - first * third) / np.where(spread > 0, spread, 1.0)
    return np.where(known & (spread > 0), -slope, 0.0)
