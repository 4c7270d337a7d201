"""How methods, metrics and numbers are written for a reader."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from voxlate.evaluation.similarity import METRICS

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

Better = Literal["lower", "higher", "one", "unknown"]


@dataclass(frozen=True)
class Metric:
    """What a reader must know of a metric.

    Attributes:
        label: short name, as the field writes it.
        meaning: what it measures; empty when we do not know it.
        better: which values are better; `one` means the nearer to `best` the better.
        best: the value of an image equal to its target.
    """

    label: str
    meaning: str = ""
    better: Better = "unknown"
    best: float = math.nan

    @property
    def arrow(self) -> str:
        """Returns a sign for the better direction."""
        towards = f"\N{RIGHTWARDS ARROW}{self.best:g}"
        return {"lower": "\N{DOWNWARDS ARROW}", "higher": "\N{UPWARDS ARROW}", "one": towards}.get(self.better, "")

    @property
    def direction(self) -> str:
        """Returns the better direction in words."""
        nearer = f"the nearer to {self.best:g} the better"
        return {"lower": "lower is better", "higher": "higher is better", "one": nearer}.get(self.better, "")

    def loss(self, value: float) -> float:
        """Returns `value` turned so that less is better; NaN where no direction is known."""
        turned = {"lower": value, "higher": -value, "one": abs(value - self.best)}
        return turned.get(self.better, math.nan)


_LABELS = {
    "mae": "MAE",
    "mse": "MSE",
    "rmse": "RMSE",
    "nrmse": "NRMSE",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "nmi": "NMI",
    "smape": "sMAPE",
    "hd95": "HD95",
    "avd": "AVD",
    "vd": "VD",
    "tiv": "TIV",
    "blur_sigma": "Sigma of the blur",
    "psnr_gap": "PSNR gap of the blur",
}
_LEADING = ("mae", "psnr", "ssim", "ms_ssim", "sharpness_ratio", "gradient_error")
_BETTER: dict[str, Better] = {
    "mse": "lower",
    "nrmse": "lower",
    "smape": "lower",
    "dice": "higher",
    "hd95": "lower",
    "avd": "lower",
    "less_than_half_removed": "lower",
    "disturbance": "lower",
}


def metric(name: str) -> Metric:
    """Returns what is known of a metric, from the evaluation's own table; an unknown one gets no direction."""
    label = _LABELS.get(name, name.replace("_", " ").capitalize())
    known = METRICS.get(name)
    if known is None:
        return Metric(label, better=_BETTER.get(name, "unknown"))
    return Metric(label, known.meaning, known.better, known.best)


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
