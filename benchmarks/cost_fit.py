"""The law that a cost follows: a start and a cost for each unit of size (the price), or a power of the size.

Both are fitted by least squares of relative errors, because the sizes of one law span more than one order. A line is
chosen where it describes the costs, because every program has a start, and a power that is fitted to start and price
together predicts too little for large sizes. Otherwise the law with the smaller root mean square relative error is
chosen. A start below zero has no meaning; then it is the power.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

FEWEST = 3
"""Sizes that a law needs: two of them fit any line."""

DESCRIBES = 0.1
"""Root mean square relative error up to which a line describes the costs; chosen by hand."""


@dataclass(frozen=True)
class CostLaw:
    """A fitted law: cost = start + price * size, or cost = price * size ** exponent.

    Attributes:
        kind: `line` or `power`.
        start: cost at size 0; 0 for a power.
        price: cost of a unit of size, or of size 1 for a power.
        exponent: slope of log cost over log size, for both kinds.
        price_95: 95 % interval of the price, by Student's t.
        exponent_95: that of the exponent.
        error: root mean square relative error of the law at the measured sizes.
    """

    kind: Literal["line", "power"]
    start: float
    price: float
    exponent: float
    price_95: tuple[float, float]
    exponent_95: tuple[float, float]
    error: float

    def at(self, size: float) -> float:
        """Returns the cost at a size."""
        return self.start + self.price * size if self.kind == "line" else self.price * size**self.exponent

    def row(self) -> dict[str, Any]:
        """Returns the law as a result keeps it."""
        return {name: _rounded(value) for name, value in vars(self).items()}


def law_of(row: dict[str, Any]) -> CostLaw:
    """Returns the law of a row of a result."""
    return CostLaw(**{name: tuple(value) if isinstance(value, list) else value for name, value in row.items()})


def fit_law(sizes: Sequence[float], costs: Sequence[float]) -> CostLaw:
    """Returns the law of some measurements.

    Args:
        sizes: at least three, positive, not all the same.
        costs: of each, positive.
    """
    x, y = np.asarray(sizes, np.float64), np.asarray(costs, np.float64)
    log_x = np.log(x)
    exponent, log_price, power_ends = _least_squares(np.stack([log_x, np.ones_like(x)], axis=1), np.log(y))
    power_error = _error(np.exp(log_price + exponent * log_x), y)
    price, start, line_ends = _least_squares(np.stack([x / y, 1 / y], axis=1), np.ones_like(y))
    line_error = _error(start + price * x, y)
    if start >= 0 and line_error <= max(DESCRIBES, power_error):
        return CostLaw("line", start, price, exponent, line_ends[0], power_ends[0], line_error)
    ends = (float(np.exp(power_ends[1][0])), float(np.exp(power_ends[1][1])))
    return CostLaw("power", 0.0, float(np.exp(log_price)), exponent, ends, power_ends[0], power_error)


def _least_squares(columns: np.ndarray, values: np.ndarray) -> tuple[float, float, list[tuple[float, float]]]:
    """Returns the two coefficients and the ends of their 95 % intervals."""
    best = np.linalg.lstsq(columns, values, rcond=None)[0]
    free = len(values) - 2
    variance = float(np.square(values - columns @ best).sum()) / max(free, 1)
    deviations = np.sqrt(variance * np.diag(np.linalg.inv(columns.T @ columns)))
    reach = float(stats.t.ppf(0.975, max(free, 1)))
    ends = [(float(c - reach * d), float(c + reach * d)) for c, d in zip(best, deviations, strict=True)]
    return float(best[0]), float(best[1]), ends


def _error(law: np.ndarray, costs: np.ndarray) -> float:
    return float(np.sqrt(np.square(law / costs - 1).mean()))


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
