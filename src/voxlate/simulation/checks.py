"""Checks of the numbers that simulation functions take."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from voxlate.errors import UsageError


def require_not_negative(code: str, **values: ArrayLike) -> None:
    """Refuses a value below zero or not finite.

    Args:
        code: error code.
        values: numbers or arrays by the name that the message shows.

    Raises:
        UsageError: `code`, with the name and the first value that is refused.
    """
    for name, value in values.items():
        array = np.asarray(value, dtype=np.float64)
        for refused in array[~(np.isfinite(array) & (array >= 0))]:
            raise UsageError(code, f"{name} is {refused:g}; it must be a finite number of zero or more")


def require_positive(code: str, **values: ArrayLike) -> None:
    """Refuses a value that is zero, negative or not finite; see `require_not_negative`."""
    for name, value in values.items():
        array = np.asarray(value, dtype=np.float64)
        for refused in array[~(np.isfinite(array) & (array > 0))]:
            raise UsageError(code, f"{name} is {refused:g}; it must be a finite number above zero")
