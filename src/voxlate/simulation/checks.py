"""Checks of the numbers that simulation functions take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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
    for name, refused in _unmet(values, np.greater_equal):
        raise UsageError(code, f"{name} is {refused:g}; it must be a finite number of zero or more")


def require_positive(code: str, **values: ArrayLike) -> None:
    """Refuses a value that is zero, negative or not finite; see `require_not_negative`."""
    for name, refused in _unmet(values, np.greater):
        raise UsageError(code, f"{name} is {refused:g}; it must be a finite number above zero")


def _unmet(values: Mapping[str, ArrayLike], compare: np.ufunc) -> Iterator[tuple[str, float]]:
    """Yields, with its name, each number that is not finite or does not compare with zero as it must."""
    for name, value in values.items():
        array = np.asarray(value, dtype=np.float64)
        for refused in array[~(np.isfinite(array) & compare(array, 0))]:
            yield name, float(refused)
