"""One picture of a montage: an image, a zoom or a difference, with its outlines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from voxlate.reporting.figures.drawing import SMALL_PT
from voxlate.reporting.figures.montage_cuts import Line
from voxlate.reporting.figures.montage_layout import Layout
from voxlate.reporting.figures.montage_rows import Column
from voxlate.reporting.figures.slices import Plane
from voxlate.volume import Array
from voxlate.web import colours, plotting

LABELS_COLOUR, MASK_COLOUR, ZOOM_COLOUR = "#ffd23e", "#40dc78", "#46b6ff"
"""Bright on grey; lesion yellow, mask green as in the pictures of a preparation, zoom blue."""


@dataclass(frozen=True)
class Band:
    """One row of pictures of one kind: `image`, `zoom` or `difference`, with their height over their width."""

    kind: str
    line: Line
    aspect: float


def draw_cell(axes: Axes, band: Band, column: Column, layout: Layout, limit: float) -> None:
    """Draws one picture, or the reason why there is none.

    Args:
        axes: the place of the picture.
        band: its row.
        column: its column.
        layout: of the montage.
        limit: end of the colour scale of differences.
    """
    line = band.line
    picture = line.differences[column.name] if band.kind == "difference" else line.images[column.name]
    if isinstance(picture, str):
        text = picture.replace(" (", "\n(")
        axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=SMALL_PT, color=plotting.MUTED)
        return
    if band.kind == "difference":
        values = np.abs(picture) if layout.difference == "absolute" else picture
        axes.imshow(colours.diverging(values, limit))
        return
    window = line.windows[column.name]
    shown = line.zoomed[column.name] if band.kind == "zoom" else picture
    axes.imshow(colours.grey(shown, window), cmap="gray", vmin=0, vmax=255)
    if band.kind == "image":
        _outlines(axes, line, layout)


def _outlines(axes: Axes, line: Line, layout: Layout) -> None:
    if layout.has_contour and line.contour is not None:
        contour(axes, line.contour, LABELS_COLOUR)
    if layout.has_outline:
        contour(axes, line.outline, MASK_COLOUR)
    if line.zoom_box is not None:
        rows, columns = line.outline.shape
        left, top, width, height = line.zoom_box
        axes.add_patch(
            Rectangle(
                (left * columns - 0.5, top * rows - 0.5),
                width * columns,
                height * rows,
                fill=False,
                edgecolor=ZOOM_COLOUR,
                linewidth=0.9,
            )
        )


def contour(axes: Axes, picture: Array, colour: str) -> None:
    """Draws the outline of a mask (rows, columns) that is 1 inside and 0 outside; nothing where it is empty or full."""
    if float(picture.min()) < 0.5 < float(picture.max()):
        axes.contour(picture, levels=[0.5], colors=[colour], linewidths=0.8)


def draw_sides_of(axes: Axes, plane: Plane) -> None:
    """Writes the letters of the directions at the sides of a picture."""
    edge = [withStroke(linewidth=1.5, foreground="black")]  # the letters may lie on a bright skull
    style: dict[str, Any] = {"fontsize": SMALL_PT, "color": "white", "va": "center", "path_effects": edge}
    style["transform"] = axes.transAxes
    axes.text(0.02, 0.5, plane.left, ha="left", **style)
    axes.text(0.98, 0.5, plane.right, ha="right", **style)
