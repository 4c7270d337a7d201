"""Plots in one style, by matplotlib: colours of the methods, files, and inline SVG for HTML documents."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogFormatterSciNotation

from voxlate.io.atomic import replacing
from voxlate.web.html import Html, tag

INK, MUTED, RULE = "#1d2733", "#54616f", "#d9dfe5"
COLOURS = {
    "source": "#7a828c",
    "histogram_match": "#b7791f",
    "constant": "#a0522d",
    "blurred_target": "#7b62b3",
    "synthetic": "#0b7285",
}
OTHER_COLOUR = "#444c56"
SERIES_COLOURS = (
    *("#1c6cd6", "#ce3e1c", "#5a2d4b", "#00a587", "#a587b4", "#4b00e1"),
    *("#005a3c", "#781e0f", "#f05a69", "#003c78", "#a53c5a", "#5a874b"),
)
"""Colours of other series, such as sets of cases or systems, in this order.

Blue and red were given. A search placed the others so that the two most similar of the twelve differ as much as
possible, with full colour vision and with protanopia, deuteranopia and tritanopia: by a CIEDE2000 of 9.9 or more (16.8
with full colour vision), the first eight by 11.7. The palette of Okabe and Ito (2008) without yellow has 10.9. Each
colour has a contrast of 3 or more with white, which WCAG 2.1 asks of lines. None resembles the grey of the source or
the colour of the synthetic image, which stand beside systems.
"""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "voxlate",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 8.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "axes.linewidth": 0.7,
    "axes.unicode_minus": True,
    "text.parse_math": False,  # names of systems and patients may hold "$"; for tick labels, which drawing creates
}


class PlainLogFormatter(LogFormatterSciNotation):
    """Labels the ticks of a logarithmic axis as 0.01, 0.1 and 1, without the mathematical markup of the base class."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Returns the label of a tick, empty where the base class has none."""
        return f"{x:g}" if super().__call__(x, pos) else ""


def plot(width_in: float = 3.5, height_in: float = 2.8) -> tuple[Figure, Axes]:
    """Returns an empty figure with one plot, in the style of the reports; matplotlib's global state is unchanged."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasSVG(figure)
        return figure, figure.add_subplot()


def plots(count: int, width_in: float = 3.5, height_in: float = 3.2) -> tuple[Figure, list[Axes]]:
    """Returns an empty figure with several plots side by side, in the style of the reports.

    Args:
        count: number of plots.
        width_in: width of each plot, in inches.
        height_in: height, in inches.
    """
    return grid(count, columns=count, width_in=width_in, height_in=height_in)


def grid(count: int, *, columns: int, width_in: float = 3.5, height_in: float = 3.2) -> tuple[Figure, list[Axes]]:
    """Returns an empty figure with several plots in rows, in the style of the reports.

    Args:
        count: number of plots; the last row may be incomplete.
        columns: plots in a row.
        width_in: width of each plot, in inches.
        height_in: height of each plot, in inches.
    """
    rows = -(-count // columns)
    with rc_context(_STYLE):
        figure = Figure(figsize=(columns * width_in, rows * height_in), layout="constrained")
        FigureCanvasSVG(figure)
        return figure, [figure.add_subplot(rows, columns, k + 1) for k in range(count)]


def beside(count: int, width_in: float, height_in: float) -> tuple[Figure, Axes, list[Axes]]:
    """Returns an empty figure with a place for a picture on the left and plots below each other on the right.

    Args:
        count: number of plots.
        width_in: width of the figure, in inches.
        height_in: its height, in inches.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasSVG(figure)
        places = figure.add_gridspec(count, 2)
        return figure, figure.add_subplot(places[:, 0]), [figure.add_subplot(places[k, 1]) for k in range(count)]


def blank(width_in: float, height_in: float) -> Figure:
    """Returns an empty figure without plots, for pictures whose places the caller computes."""
    figure = Figure(figsize=(width_in, height_in))
    FigureCanvasSVG(figure)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG or SVG, by the suffix of the path; the same figure gives the same bytes."""
    form = path.suffix.removeprefix(".")
    metadata: dict[str, Any] = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
    _take_texts_literally(figure)
    with rc_context(_STYLE), replacing(path) as partial:
        figure.savefig(partial, format=form, dpi=160, metadata=metadata)


def inline_svg(figure: Figure, *, name: str, alt: str) -> Html:
    """Returns a figure as an `svg` element that scales with the page and has a text for screen readers.

    Args:
        figure: the figure.
        name: unique in the document. It is put before each id, because matplotlib gives two figures the same ids.
        alt: text for people who cannot see the figure.
    """
    stream = io.StringIO()
    _take_texts_literally(figure)
    with rc_context(_STYLE):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    drawing = text[text.index("<svg") :].strip()
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'\bid="', f'id="{name}-', drawing)
    drawing = re.sub(r'((?:xlink:)?href="#|url\(#)', rf"\g<1>{name}-", drawing)
    opening = f'<svg role="img" aria-labelledby="{name}-alt" '
    title = tag("title", alt, id=f"{name}-alt")
    return Html(re.sub(r"<svg ([^>]*)>", lambda m: f"{opening}{m[1]}>{title}", drawing, count=1))


def _take_texts_literally(figure: Figure) -> None:
    """Switches mathematical markup off: a name such as "$x_{$" would end a report."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)


def framed(drawing: Html, *, caption: str, kind: str = "plot") -> Html:
    """Returns a drawing with its caption; `kind` is the CSS class."""
    return tag("figure", drawing, tag("figcaption", caption), class_=kind)
