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
        UsageError: `code`, with the name and the smallest value.
    """
    for name, value in values.items():
        array = np.asarray(value, dtype=np.float64)
        if not (np.isfinite(array).all() and (array >= 0).all()):
            raise UsageError(code, f"{name} is {np.min(array):g}; it must be a finite number of zero or more")


def require_positive(code: str, **values: ArrayLike) -> None:
    """Refuses a value that is zero, negative or not finite.

    Args:
        code: error code.
        values: numbers or arrays by the name that the message shows.

    Raises:
        UsageError: `code`, with the name and the smallest value.
    """
    for name, value in values.items():
        array = np.asarray(value, dtype=np.float64)
        if not (np.isfinite(array).all() and (array > 0).all()):
            raise UsageError(code, f"{name} is {np.min(array):g}; it must be a finite number above zero")
