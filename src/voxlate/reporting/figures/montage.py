"""Montage: one row per case and plane, one column per image, all at the same slice.

With |synthetic − target| or synthetic − target below each row on one colour scale, contours of lesions, and zooms. It
draws the qualitative figures of Lee et al. 2020 (all test images), Chen et al. 2022 (images above their errors) and
Bottani et al. 2024, Fig. 3 (patients of each test set in two planes, all systems).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from voxlate.errors import NoInput
from voxlate.reporting.figures.drawing import SMALL_PT, TITLE_PT, Drawing, axis_label
from voxlate.reporting.figures.montage_cells import Band, draw_cell, draw_sides_of
from voxlate.reporting.figures.montage_cuts import Line, cut_row
from voxlate.reporting.figures.montage_layout import (
    BAR_IN,
    DEFAULT_LAYOUT,
    GAP_IN,
    LABEL_IN,
    NARROW_IN,
    TITLE_IN,
    TITLE_LINE_IN,
    Layout,
    alt_of,
    caption_of,
)
from voxlate.reporting.figures.montage_rows import Column, Row, target_of
from voxlate.web import colours, labels, plotting

_TALLEST = 2.2
"""Largest height of a picture over the width of its column; a taller one is shown narrower."""

_LABEL_LETTERS = 13
"""Letters of 8 points that fit into `LABEL_IN`."""

_TITLE_LETTERS, _SMALL_LETTERS = 11.0, 14.0
"""Bold letters of 9.5 and of 8 points that fit into an inch."""


def draw_montage(
    rows: Sequence[Row], columns: Sequence[Column], *, data_kind: str, unit: str, layout: Layout = DEFAULT_LAYOUT
) -> Drawing:
    """Returns the montage of some cases.

    Images on other grids are resampled to that of the target. A synthetic image that is missing or cannot be read
    leaves its place empty, with the reason.

    Args:
        rows: cases, from top to bottom; with several blocks, from left to right first.
        columns: images, from left to right.
        data_kind: `real`, `simulated` or `unknown`.
        unit: of the values, such as `HU` or `relative units`.
        layout: what else is shown.

    Raises:
        NoInput: `NO_INPUT` without a case, or for a case without images.
        InputRefused: `COLUMNS`, `EMPTY_MASK`, `SLICE`.
        VoxlateError: a real image cannot be read.
    """
    if not rows or not columns:
        raise NoInput("NO_INPUT", "a montage needs at least one case and one column")
    has_difference = layout.difference != "none" and target_of(columns) != ""
    zoom_mm = layout.zoom_mm if layout.has_zoom else None
    cuts = [cut_row(row, columns, layout.planes, zoom_mm=zoom_mm, has_difference=has_difference) for row in rows]
    limit = colours.round_up(max(large for _, large in cuts))
    stacks = [_bands(lines) for lines, _ in cuts]
    figure = _place(stacks, columns, layout, limit=limit, data_kind=data_kind, has_bar=has_difference)
    if has_difference:
        _draw_bar(figure, layout, limit, unit)
    return Drawing(figure, caption_of(rows, columns, layout, data_kind, unit), alt_of(rows, columns, layout))


def _bands(lines: Sequence[Line]) -> list[Band]:
    bands = []
    for line in lines:
        height, width = line.outline.shape
        bands.append(Band("image", line, height / width))
        if line.zoomed:
            tall, wide = next(iter(line.zoomed.values())).shape
            bands.append(Band("zoom", line, tall / wide))
        if line.differences:
            bands.append(Band("difference", line, height / width))
    return bands


def _place(
    stacks: Sequence[Sequence[Band]],
    columns: Sequence[Column],
    layout: Layout,
    *,
    limit: float,
    data_kind: str,
    has_bar: bool,
) -> Figure:
    """Draws every picture; the figure gets the height that its bands need."""
    block_in = layout.width_in / layout.blocks
    cell_in = (block_in - layout.margin_in) / len(columns) - GAP_IN
    groups = [stacks[start : start + layout.blocks] for start in range(0, len(stacks), layout.blocks)]
    heights = [[_height(group, index, cell_in, layout) for index in range(max(map(len, group)))] for group in groups]
    bottom = BAR_IN if has_bar else GAP_IN
    title = TITLE_IN + TITLE_LINE_IN * (max(_lines_of(column, cell_in) for column in columns) - 1)
    total = title + sum(sum(height) + GAP_IN * (len(height) + 1) for height in heights) + bottom
    figure = plotting.blank(layout.width_in, total)
    top = total - title
    for block in range(min(layout.blocks, len(stacks))):
        _titles(figure, columns, block * block_in + layout.margin_in, cell_in, top, data_kind)
    for group, group_heights in zip(groups, heights, strict=True):
        for index, height in enumerate(group_heights):
            top -= height + GAP_IN
            for block, stack in enumerate(group):
                if index < len(stack):
                    corner = (block * block_in, top)
                    _draw_band(figure, stack[index], columns, layout, corner, (cell_in, height), limit)
        top -= GAP_IN
    return figure


def _height(group: Sequence[Sequence[Band]], index: int, cell_in: float, layout: Layout) -> float:
    """Returns the height of a row of pictures, in inches, with the heading of images."""
    bands = [stack[index] for stack in group if index < len(stack)]
    heading = layout.heading_in if any(band.kind == "image" for band in bands) else 0.0
    return max(min(band.aspect, _TALLEST) for band in bands) * cell_in + heading


def _titles(figure: Figure, columns: Sequence[Column], left: float, cell_in: float, top: float, data_kind: str) -> None:
    """Writes the names of the columns, at the top of a block, in lines that fit, with what they are below."""
    width, height = figure.get_size_inches()
    is_small = any(_lines_of(column, cell_in) > 1 for column in columns)
    size = SMALL_PT if is_small else TITLE_PT
    for index, column in enumerate(columns):
        x = (left + index * (cell_in + GAP_IN) + cell_in / 2) / width
        name, kind = _title(column, cell_in), _subtitle(column, data_kind)
        style: dict[str, Any] = {"ha": "center", "va": "bottom"}
        y = top + (0.20 if kind else 0.04)
        figure.text(x, y / height, name, fontsize=size, fontweight="bold", color=plotting.INK, linespacing=1.1, **style)
        figure.text(x, (top + 0.04) / height, kind, fontsize=SMALL_PT, color=plotting.MUTED, **style)


def _title(column: Column, cell_in: float) -> str:
    """Returns the name of a column, in lines of letters that fit into its width."""
    name = labels.method(column.name) if column.name in labels.METHODS else column.name
    room = cell_in * _TITLE_LETTERS
    width = max(int(cell_in * _SMALL_LETTERS), 4)
    is_long = any(len(word) > width for word in name.split())  # "Trans-U-Net" is better broken at a hyphen
    return name if len(name) <= room else fill(name, width, break_on_hyphens=is_long)


def _lines_of(column: Column, cell_in: float) -> int:
    return _title(column, cell_in).count("\n") + 1


def _subtitle(column: Column, data_kind: str) -> str:
    """Returns what a column shows; nothing where its name already says so."""
    if column.role == "target" and data_kind == "real":
        return "real target"
    return "" if column.role in {"step", column.name.lower()} else column.role


def _draw_band(
    figure: Figure,
    band: Band,
    columns: Sequence[Column],
    layout: Layout,
    corner: tuple[float, float],
    size: tuple[float, float],
    limit: float,
) -> None:
    width, height = figure.get_size_inches()
    (left, bottom), (cell, tall) = corner, size
    tall -= layout.heading_in if band.kind == "image" else 0.0
    line = band.line
    style: dict[str, Any] = {"fontsize": SMALL_PT, "color": plotting.INK}
    if layout.blocks == 1:
        x, y = (left + LABEL_IN - 0.07) / width, (bottom + tall / 2) / height
        figure.text(x, y, _label(band, layout), ha="right", va="center", **style)
    elif band.kind == "image":
        x, y = (left + NARROW_IN) / width, (bottom + tall + 0.03) / height
        figure.text(x, y, _label(band, layout), va="bottom", **style)
    first = True
    for index, column in enumerate(columns):
        if band.kind == "difference" and column.name not in line.differences:
            continue
        x = left + layout.margin_in + index * (cell + GAP_IN)
        axes = figure.add_axes((x / width, bottom / height, cell / width, tall / height))
        axes.set_axis_off()
        draw_cell(axes, band, column, layout, limit)
        if first and band.kind == "image":
            draw_sides_of(axes, line.plane)
            first = False


def _label(band: Band, layout: Layout) -> str:
    line = band.line
    if band.kind == "difference":
        return "|synthetic −\ntarget|" if layout.difference == "absolute" else "synthetic −\ntarget"
    if band.kind == "zoom":
        return f"zoom,\n{layout.zoom_mm:g} mm"
    names = [name for name in (line.set, line.case) if name]
    if layout.blocks > 1:
        return f"{' '.join(names)} {line.plane.axis} = {labels.number(line.at_mm, 0)} mm"
    name = "\n".join(map(_wrapped, names))
    return f"{name}\n{line.plane.name}\n{line.plane.axis} = {labels.number(line.at_mm, 0)} mm"


def _wrapped(name: str) -> str:
    """Returns the name of a case in lines that fit into the margin, broken behind `_` where there is one."""
    lines = [""]
    for part in re.split("(?<=_)", name):
        if lines[-1] and len(lines[-1] + part) > _LABEL_LETTERS:
            lines.append("")
        lines[-1] += part
    pieces = [line[k : k + _LABEL_LETTERS] for line in lines for k in range(0, len(line), _LABEL_LETTERS)]
    return "\n".join(pieces)


def _draw_bar(figure: Figure, layout: Layout, limit: float, unit: str) -> None:
    width, height = figure.get_size_inches()
    left, across = 0.2 * width, 0.6 * width
    axes = figure.add_axes((left / width, 0.46 / height, across / width, 0.12 / height))
    bar = colours.diverging_bar()
    low, text = -limit, "synthetic − target"
    if layout.difference == "absolute":
        bar, low, text = bar[:, bar.shape[1] // 2 :], 0.0, "|synthetic − target|"
    axes.imshow(bar, aspect="auto", extent=(low, limit, 0, 1))
    axes.set_yticks([])
    ticks = np.linspace(low, limit, 5)
    axes.set_xticks(ticks, [f"{tick:.3g}".replace("-", "\N{MINUS SIGN}") for tick in ticks], fontsize=SMALL_PT)
    axes.tick_params(length=2, pad=1.5, labelcolor=plotting.INK)
    axes.set_xlabel(axis_label(text, unit), fontsize=SMALL_PT, labelpad=2, color=plotting.INK)
    for side in axes.spines.values():
        side.set_visible(False)
