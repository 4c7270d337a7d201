"""A small plot of one metric: a line per method with one dot per patient and a stroke at the mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from voxlate.evaluation.metrics import Metric
from voxlate.web import labels
from voxlate.web.html import Html, tag

_WIDTH, _ROW, _RIGHT = 340, 17, 52
"""Sizes in units of the drawing, about CSS pixels: the plot, a line, the space for means."""

_LETTER, _LEAST_LEFT, _MOST_LEFT = 6.1, 70, 170
"""Width of a letter, and the least and the most space for names; longer names are shortened."""


@dataclass(frozen=True)
class Strip:
    """Values of one metric.

    Attributes:
        values: one finite value per patient, by method, in the order of the lines.
        ours: the method that is drawn in the colour of the model.
    """

    values: Mapping[str, Sequence[float]]
    ours: str

    def mean(self, method: str) -> float:
        """Returns the mean over patients."""
        return float(np.mean(self.values[method]))

    def sd(self, method: str) -> float | None:
        """Returns the standard deviation between patients; None for a single one."""
        own = self.values[method]
        return float(np.std(own, ddof=1)) if len(own) > 1 else None


def strips(strip: Strip, *, name: str, metric: Metric, decimals: int) -> Html:
    """Returns the plot as an `svg` element whose colours follow those of the page.

    Args:
        strip: the values; a line for each method.
        name: unique in the document.
        metric: for the text for people who cannot see the plot.
        decimals: of the means at the ends of the lines.
    """
    every = [value for own in strip.values.values() for value in own]
    low, high = min(every), max(every)
    longest = max(len(_name(method)) for method in strip.values)
    left = max(_LEAST_LEFT, _LETTER * longest + 8)
    scale = _Scale(low, high, left)
    lines = [_line(strip, method, at, scale, decimals) for at, method in enumerate(strip.values)]
    height = _ROW * len(lines) + 2
    told = "; ".join(
        f"{labels.method(method)} mean {labels.number(strip.mean(method), decimals)}, {labels.n_is(len(own))}"
        for method, own in strip.values.items()
    )
    title = tag("title", f"{metric.label} of each patient. {told}.", id=f"{name}-title")
    return tag(
        "svg",
        title,
        lines,
        viewBox=f"0 0 {_WIDTH} {height}",
        role="img",
        aria_labelledby=f"{name}-title",
        class_="strip",
    )


@dataclass(frozen=True)
class _Scale:
    """Where values lie: `low` at the left end of the plot, which begins behind the names, and `high` at its right."""

    low: float
    high: float
    left: float

    def place(self, value: float) -> float:
        """Returns the position of a value, with room for half a dot at both ends."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.left + 4 + share * (_WIDTH - _RIGHT - self.left - 8), 1)


def _name(method: str) -> str:
    name = labels.METHODS.get(method, method).removesuffix(" (model)").removesuffix(" (reference)")
    most = int((_MOST_LEFT - 8) / _LETTER)
    return name if len(name) <= most else f"{name[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def _line(strip: Strip, method: str, at: int, scale: _Scale, decimals: int) -> Html:
    middle = _ROW * at + _ROW / 2 + 1
    dots = [tag("circle", cx=scale.place(value), cy=middle, r="3") for value in strip.values[method]]
    mean = scale.place(strip.mean(method))
    return tag(
        "g",
        tag("text", _name(method), x="0", y=middle + 4),
        tag("path", d=f"M{scale.left} {middle}H{_WIDTH - _RIGHT}", class_="axis"),
        dots,
        tag("path", d=f"M{mean} {middle - 6}V{middle + 6}", class_="mean"),
        tag("text", labels.number(strip.mean(method), decimals), x=_WIDTH, y=middle + 4, text_anchor="end"),
        class_="ours" if method == strip.ours else None,
    )
