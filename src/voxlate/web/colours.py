"""Grey scale for images and a diverging colour scale (blue, black, red) for differences."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from voxlate.volume import Array

_STOPS = np.array([-1.0, -0.55, 0.0, 0.55, 1.0])
"""Positions of the colours below on the scale. Chosen by hand so that luminance rises from the middle to both ends."""

_BLUE_BLACK_RED = np.array(
    [[152, 222, 255], [22, 108, 214], [0, 0, 0], [206, 62, 28], [255, 214, 140]], dtype=np.float64
)


def grey(values: Array, window: tuple[float, float]) -> NDArray[np.uint8]:
    """Returns values as 8-bit grey: black at or below the window, white at or above it, black for NaN.

    Args:
        values: any shape, in the unit of the window.
        window: lowest and highest value shown.
    """
    low, high = window
    scaled = (np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-12)
    return _bytes(np.clip(scaled, 0, 1) * 255)


def diverging(values: Array, limit: float) -> NDArray[np.uint8]:
    """Returns differences as RGB: blue below 0, black at 0, red above 0, brightest at ±`limit`.

    Args:
        values: shape (rows, columns), in the unit of `limit`.
        limit: value of the ends of the scale.

    Returns:
        Shape (rows, columns, 3), 8 bits per channel.
    """
    scaled = np.clip(np.nan_to_num(values) / limit, -1, 1)
    channels = [np.interp(scaled, _STOPS, _BLUE_BLACK_RED[:, channel]) for channel in range(3)]
    return _bytes(np.stack(channels, axis=-1))


def grey_bar() -> NDArray[np.uint8]:
    """Returns the scale of `grey` as an image of shape (1, 256)."""
    return np.arange(256, dtype=np.uint8)[None]


def diverging_bar() -> NDArray[np.uint8]:
    """Returns the scale of `diverging` as an image of shape (1, 257, 3) with 0 in the middle."""
    return diverging(np.linspace(-1, 1, 257, dtype=np.float32)[None], 1.0)


def _bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(values), dtype=np.uint8)


def round_up(value: float) -> float:
    """Returns the next larger of 1, 1.5, 2, 3, 5, 7 times a power of ten; 0.01 for 0 or a value that is not finite."""
    if not value > 0 or not math.isfinite(value):
        return 0.01
    power = 10.0 ** math.floor(math.log10(value))
    steps = [step * power for step in (1, 1.5, 2, 3, 5, 7, 10)]
    return float(next(step for step in steps if step >= value * (1 - 1e-9)))
