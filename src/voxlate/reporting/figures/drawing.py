"""A figure with its caption, its files, and the facts that every caption states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from voxlate.errors import InputRefused, NoInput
from voxlate.io.atomic import write_text
from voxlate.web import labels, plotting
from voxlate.web.html import Html

SMALL_PT, TITLE_PT = 8.0, 9.5
"""Sizes of text: 8 points is the least that journals accept, and 18 pixels in the files of `save`."""

PAGE_IN = 8.0
"""Width of a page in inches; a figure of this width has 1,280 pixels in PNG files."""

_LETTERS_PER_IN, _HANDLE_LETTERS = 15.0, 8
"""Letters of 8 points in an inch; width of the line and the gaps of an entry of a legend, in letters."""

Patients = Mapping[str, float]
"""Value by patient (or by case, where cases are shown)."""


@dataclass(frozen=True)
class Drawing:
    """A figure and what stands below it.

    Attributes:
        figure: the drawing.
        caption: states n, the kind of data (real or simulated) and the unit.
        alt: text for people who cannot see the figure.
    """

    figure: Figure
    caption: str
    alt: str

    def html(self, name: str) -> Html:
        """Returns the drawing for an HTML document; `name` is unique in the document."""
        return plotting.framed(plotting.inline_svg(self.figure, name=name, alt=self.alt), caption=self.caption)


def save(drawing: Drawing, stem: Path) -> tuple[Path, Path, Path]:
    """Writes `STEM.png` (160 dots per inch), `STEM.svg` and the caption as `STEM.txt`; returns their paths.

    Args:
        drawing: a figure with its caption.
        stem: path without a suffix; text after a point of its name is kept.

    Raises:
        CannotWrite, TemporaryFailure: see `voxlate.errors.writing`.
    """
    png, svg, text = files_of(stem)
    plotting.save(drawing.figure, png)
    plotting.save(drawing.figure, svg)
    write_text(text, drawing.caption + "\n")
    return png, svg, text


def files_of(stem: Path) -> tuple[Path, Path, Path]:
    """Returns the paths of the files that `save` writes."""
    return stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg"), stem.with_name(f"{stem.name}.txt")


def facts(n: int, noun: str, *, data_kind: str, unit: str = "") -> str:
    """Returns the sentences of n, of the kind of data and of the unit.

    Args:
        n: number of patients or cases.
        noun: `patient` or `case`.
        data_kind: `real`, `simulated` or `unknown`.
        unit: of the values; empty for numbers without a unit.
    """
    ends = f" Unit: {unit}." if unit else ""
    return f"n = {labels.count(n, noun)}. {labels.DATA_KINDS[data_kind]}.{ends}"


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """Returns a colour for each series: that of the reports where the name has one, else the next of the palette."""
    palette = [colour for colour in plotting.SERIES_COLOURS if colour not in plotting.COLOURS.values()]
    colours: dict[str, str] = {}
    for name in names:
        used = sum(known not in plotting.COLOURS for known in colours)
        colours[name] = plotting.COLOURS.get(name, palette[used % len(palette)])
    return colours


def legend_columns(names: Iterable[str], *, width_in: float = PAGE_IN) -> int:
    """Returns how many entries of a legend in 8 points fit beside each other into a width in inches; at least 1."""
    listed = list(names)
    entry = max((len(name) for name in listed), default=0) + _HANDLE_LETTERS
    return max(1, min(len(listed), int(width_in * _LETTERS_PER_IN / entry)))


def axis_label(metric: str, unit: str) -> str:
    """Returns the label of an axis: the metric with its unit in brackets."""
    return f"{metric} ({unit})" if unit else metric


def units_stated(units: Mapping[str, str]) -> str:
    """Returns the sentence of the units of several metrics; empty when none has a unit."""
    stated = [f"{metric} in {unit}" for metric, unit in units.items() if unit]
    return f"Units: {', '.join(stated)}." if stated else ""


def require_values(values: Mapping[str, object], what: str) -> None:
    """Raises `NoInput` `NO_INPUT` unless there is something to draw."""
    if not values:
        raise NoInput("NO_INPUT", f"there are no {what} to draw; evaluate at least one system first")


def require_finite(values: Patients, where: str) -> None:
    """Raises `InputRefused` `NON_FINITE` when a value is missing, naming the first patient or case."""
    bad = [name for name, value in values.items() if not abs(value) < float("inf")]
    if bad:
        raise InputRefused(
            "NON_FINITE", f"{where}: {len(bad)} of {len(values)} values are not finite, first {bad[0]}; leave them out"
        )
