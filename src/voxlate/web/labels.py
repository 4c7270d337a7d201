"""How reports write numbers, counts, p values, methods and kinds of data."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np

from voxlate.io.log import counted

MISSING = "\N{EM DASH}"

METHODS = {
    "source": "Untouched source",
    "histogram_match": "Histogram match",
    "constant": "Constant",
    "blurred_target": "Blurred target (reference)",
    "curve": "Best intensity curve (reference)",
    "synthetic": "Synthetic (model)",
    "target_again": "Target (noise drawn again)",
}

DATA_KINDS = {
    "real": "Real data",
    "simulated": "Simulated data",
    "unknown": "Kind of data not stated (real or simulated)",
}


_MOST_ZEROS = 3
"""Decimals of a zero; with more, such as 0.0000, the values are far below the last digit, and 0 is written."""


def method(name: str) -> str:
    """Returns the label of a method; an unknown name with spaces for underscores."""
    return METHODS.get(name, name.replace("_", " "))


def number(value: float | None, decimals: int | None = None) -> str:
    """Returns a number with a typographic minus sign, or a dash for None, NaN and infinity.

    Args:
        value: the number.
        decimals: digits after the point; three significant digits when `None`.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    places = decimals_for([value]) if decimals is None else decimals
    text = f"{value:.{places}f}"
    if float(text) == 0:
        text = text.removeprefix("-") if places <= _MOST_ZEROS else "0"
    return text.replace("-", "\N{MINUS SIGN}")


def mean_and_sd(mean: float | None, sd: float | None, decimals: int | None = None) -> str:
    """Returns `8.56 ± 0.71`; the mean alone where a single value has no standard deviation.

    Args:
        mean: of the values.
        sd: their standard deviation; None, NaN or infinite where there is none.
        decimals: digits after the point; three significant digits of the mean when `None`.
    """
    places = decimals_for([mean]) if decimals is None else decimals
    is_known = mean is not None and math.isfinite(mean) and sd is not None and math.isfinite(sd)
    return f"{number(mean, places)} ± {number(sd, places)}" if is_known else number(mean, places)


def decimals_for(values: Iterable[float | None]) -> int:
    """Returns the decimals (0 to 4) that give the median absolute value of a column three significant digits."""
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value) and value != 0]
    if not sizes:
        return 2
    return int(np.clip(2 - math.floor(math.log10(float(np.median(sizes)))), 0, 4))


_LEVELS = (0.05, 0.01)
"""Significance levels at which stars begin; 0.0496 printed as 0.050 beside a star contradicts it."""

_MOST_P_DECIMALS = 6
"""Of a p value; a p of 10,000 sign patterns differs from a level by more."""


def p_value(value: float | None) -> str:
    """Returns a p value with three decimals below 0.1 and two above; `< 0.001` for smaller ones.

    A p that would round to a significance level has as many decimals as show on which side of it it lies.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if value < 0.001:
        return "<\N{NO-BREAK SPACE}0.001"
    text = f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
    for decimals in range(4, _MOST_P_DECIMALS + 1):
        if float(text) not in _LEVELS or float(text) == value:
            break
        text = f"{value:.{decimals}f}"
    return text


def unit(name: str) -> str:
    """Returns a unit as reports write it, such as `cm³` for `cm3`."""
    return name.replace("cm3", "cm³")


def extent(counts: Iterable[int]) -> str:
    """Returns `9`, or `7–9` where counts differ; `0` without any."""
    found = set(counts) or {0}
    return "\N{EN DASH}".join(str(count) for count in sorted({min(found), max(found)}))


def n_is(n: int) -> str:
    """Returns `n = 9` with no-break spaces."""
    return f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{n}"


count = counted
"""A count with its noun: `1 patient`, `3 patients`."""

_ABSOLUTE_PATH = re.compile(r"(?<![\w./])(?:/|[A-Za-z]:\\|~/)(?:[^\s/\\'\";,]+[/\\])+([^\s/\\'\";,]*)")


def without_paths(text: str) -> str:
    """Returns the text with each absolute path shortened to its last part, because folders may hold patient names."""
    return _ABSOLUTE_PATH.sub(r"\1", text)
