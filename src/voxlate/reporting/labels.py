"""How methods, metrics and numbers are written for a reader."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np

from voxlate.evaluation.metrics import metric_of

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

_LEADING = ("mae", "psnr", "ssim", "ms_ssim", "sharpness_ratio", "gradient_error")
metric = metric_of
"""Returns label, unit and better direction of a metric by its name."""


def leading(names: Iterable[str], most: int) -> list[str]:
    """Returns at most `most` metrics, the usual ones first, the others in their own order."""
    given = list(dict.fromkeys(names))
    return ([name for name in _LEADING if name in given] + [name for name in given if name not in _LEADING])[:most]


def method(name: str) -> str:
    """Returns a method's name for a reader."""
    return METHODS.get(name, name.replace("_", " "))


def number(value: float | None, decimals: int | None = None) -> str:
    """Returns a number with a true minus sign; three significant digits unless `decimals` says otherwise."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:.{decimals_for([value]) if decimals is None else decimals}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "\N{MINUS SIGN}")


def decimals_for(values: Iterable[float | None]) -> int:
    """Returns how many decimals give the typical value of a column three significant digits (0 to 4)."""
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value) and value != 0]
    if not sizes:
        return 2
    return int(np.clip(2 - math.floor(math.log10(float(np.median(sizes)))), 0, 4))


def p_value(value: float | None) -> str:
    """Returns a p value to two digits; below 0.001 only that."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value < 0.001:
        return "<\N{NO-BREAK SPACE}0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def n_is(n: int) -> str:
    """Returns `n = 9`, which no line break can part."""
    return f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{n}"


def count(n: int, noun: str, plural: str | None = None) -> str:
    """Returns `1 patient`, `3 patients`."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


_MACHINE_PATH = re.compile(r"(?<![\w./])(?:/|[A-Za-z]:\\|~/)(?:[^\s/\\'\";,]+[/\\])+([^\s/\\'\";,]*)")


def without_paths(text: str) -> str:
    """Returns the text with each absolute path of a machine cut to its last part."""
    return _MACHINE_PATH.sub(r"\1", text)
