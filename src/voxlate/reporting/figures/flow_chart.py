"""Flow chart of the selection of a cohort, as in Fig. 1 of Bottani et al. 2024."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from voxlate.io.log import counted
from voxlate.web import plotting

_ROW_IN = 0.92
"""Height of a row, in inches. All sizes of the chart are in inches, chosen by hand for a page of 8.6 inches."""

_MAIN_X, _SIDE_X, _MAIN_W, _SIDE_W, _BOX_H = 2.3, 6.3, 3.2, 3.6, 0.58
_MAIN_FILL, _SIDE_FILL, _END_FILL = "#e8f3f6", "#f5f1e8", "#e9eef5"


Unit = Literal["scan", "pair", "single"]
"""What a step counts; see `FlowStep.unit`."""


class FlowStep(Protocol):
    """One step of a selection, as `voxlate.cohort.select` records it."""

    @property
    def reason(self) -> str:
        """Returns why they were dropped."""

    @property
    def unit(self) -> str:
        """Returns `scan` for series, `pair`, or `single` for the scans of a cohort without targets."""

    @property
    def before(self) -> int:
        """Returns how many entered the step."""

    @property
    def dropped(self) -> int:
        """Returns how many it dropped."""


def draw_flow(
    path: Path, scans: int, steps: Sequence[FlowStep], parts: Mapping[str, int], *, unit: Unit = "pair"
) -> None:
    """Writes the chart, PNG or SVG by its suffix.

    Args:
        path: the file.
        scans: number of series at the start.
        steps: steps of the selection; the chart shows those that drop something.
        parts: number of pairs or single scans in each split, or of each quality, in order.
        unit: what the parts count.
    """
    rows = _rows(scans, steps, sum(parts.values()), unit)
    height = (len(rows) + 1.3) * _ROW_IN
    with rc_context({"font.size": 9, "svg.fonttype": "none", "font.family": ["sans-serif"]}):
        figure = Figure(figsize=(8.6, height))
        FigureCanvasSVG(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, 8.6), ylim=(0, height))
        axes.axis("off")
        y = height - _ROW_IN / 2
        for number, (text, reason) in enumerate(rows):
            _box(axes, _MAIN_X, y, _MAIN_W, text, _MAIN_FILL, is_strong=True)
            if reason:
                middle = y - _ROW_IN / 2
                _box(axes, _SIDE_X, middle, _SIDE_W, reason, _SIDE_FILL)
                _arrow(axes, (_MAIN_X, middle), (_SIDE_X - _SIDE_W / 2, middle))
            if number + 1 < len(rows):
                _arrow(axes, (_MAIN_X, y - _BOX_H / 2), (_MAIN_X, y - _ROW_IN + _BOX_H / 2))
            y -= _ROW_IN
        _part_boxes(axes, y + _ROW_IN, parts, unit)
    plotting.save(figure, path)


def _rows(scans: int, steps: Sequence[FlowStep], kept: int, unit: Unit) -> list[tuple[str, str]]:
    """Returns the text of each box in the main column, and of the box beside the arrow to the next one."""
    rows: list[tuple[str, str]] = []
    text = f"{scans:,} series in the index"
    for number, step in enumerate(steps):
        left = step.before - step.dropped
        later = steps[number + 1] if number + 1 < len(steps) else None
        is_last_of_series = step.unit == "scan" and (later is None or later.unit != "scan")
        if step.dropped or (is_last_of_series and (unit == "pair" or not rows)):
            rows.append((text, f"{step.reason}\n{_counted(step.dropped, step.unit)}"))
        if step.dropped or is_last_of_series:
            made = kept if later is None else later.before  # a pair has more than two series with further sources
            series = "" if unit == "single" and made == left else f" ({left:,} series)"
            text = _counted(made, unit) + series if is_last_of_series else _counted(left, step.unit)
    return [*rows, (text, "")]


def _counted(count: int, unit: str) -> str:
    """Returns `1 pair`, `2 pairs`, `1 series`, `1 scan`."""
    if unit == "scan":
        return f"{count:,} series"
    return counted(count, "scan" if unit == "single" else "pair")


def _part_boxes(axes: Axes, y: float, parts: Mapping[str, int], unit: Unit) -> None:
    width = min(1.9, 8.0 / max(len(parts), 1))
    start = max(_MAIN_X - width * len(parts) / 2, 0.15)
    below = y - _ROW_IN * 1.15
    for number, (name, count) in enumerate(parts.items()):
        x = start + (number + 0.5) * width
        _box(
            axes,
            x,
            below,
            width - 0.2,
            f"{name.replace('_', ' ')}\n{_counted(count, unit)}",
            _END_FILL,
            is_strong=True,
        )
        _arrow(axes, (_MAIN_X, y - _BOX_H / 2), (x, below + _BOX_H / 2))


def _box(axes: Axes, x: float, y: float, width: float, text: str, fill: str, *, is_strong: bool = False) -> None:
    corner = (x - width / 2, y - _BOX_H / 2)
    axes.add_patch(FancyBboxPatch(corner, width, _BOX_H, boxstyle="round,pad=0,rounding_size=0.06", facecolor=fill,
                                  edgecolor=plotting.MUTED, linewidth=0.8))  # fmt: skip
    lines = [part for line in text.split("\n") for part in textwrap.wrap(line, int(width * 13.5))]
    weight = "bold" if is_strong else "normal"
    axes.text(x, y, "\n".join(lines), ha="center", va="center", color=plotting.INK, fontweight=weight, linespacing=1.25,
              fontsize=9 if len(lines) < 3 else 8)  # fmt: skip


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=plotting.MUTED, linewidth=0.9,
                                   shrinkA=0, shrinkB=0))  # fmt: skip
