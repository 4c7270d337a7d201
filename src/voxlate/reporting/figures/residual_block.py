"""Drawing of residual blocks: the operations of the main path, and the shortcut beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from voxlate.reporting.figures.drawing import PAGE_IN, SMALL_PT, TITLE_PT, Drawing, require_values

_COLOURS = {"convolution": "#bcd9e6", "normalisation": "#e3e6ea", "activation": "#f2d9b8", "other": "#dccfe8"}
"""Fill of a box by the kind of its operation: light, because the text stands on it."""
_LINE = "#333333"
_ROW_IN, _TITLE_IN = 0.42, 0.5
"""Inches of an operation with its arrow, and of the title above a block: two lines of 9.5 points."""
_BOX, _HIGH, _LOW = 0.94, 0.66, 0.44
"""Width of a box in columns; heights of a box of two lines and of one line of text, in rows. Chosen by eye."""
_SUM = 0.3
"""Height of the box of the sum, in rows; chosen by eye."""
_PER_ROW = 3
"""Blocks beside each other: with two columns each, a box then is 1.2 inches wide and holds 20 letters of 8 points."""


@dataclass(frozen=True)
class Operation:
    """One operation of a block.

    Attributes:
        kind: `convolution`, `normalisation`, `activation` or `other`.
        text: what it does, such as `3 × 3 conv, stride 2`; at most 20 letters a line.
        channels: number of feature maps that it returns.
    """

    kind: str
    text: str
    channels: int


@dataclass(frozen=True)
class ResidualBlock:
    """The operations of a residual block, in the order in which they are computed.

    Attributes:
        in_channels: feature maps of the input.
        before: operations that both paths share.
        path: from there to the sum.
        shortcut: the other path to the sum; empty for the identity.
        after: operations on the sum.
    """

    in_channels: int
    before: tuple[Operation, ...]
    path: tuple[Operation, ...]
    shortcut: tuple[Operation, ...]
    after: tuple[Operation, ...]

    @property
    def rows(self) -> int:
        """Returns the number of rows of the drawing: input, operations and sum."""
        return 2 + len(self.before) + max(len(self.path), len(self.shortcut)) + len(self.after)


def draw_residual_blocks(blocks: Mapping[str, ResidualBlock]) -> Drawing:
    """Draws residual blocks beside each other, the input above and the output below.

    Args:
        blocks: by title.

    Raises:
        NoInput: `NO_INPUT` without blocks.
    """
    require_values(blocks, "residual blocks")
    listed = list(blocks.items())
    lines = [listed[start : start + _PER_ROW] for start in range(0, len(listed), _PER_ROW)]
    most = [max(block.rows for _, block in line) for line in lines]
    columns = max(len(line) for line in lines)
    with rc_context({"font.size": SMALL_PT}):
        heights = [_ROW_IN * rows + _TITLE_IN for rows in most]
        figure = Figure(figsize=(PAGE_IN * columns / _PER_ROW, sum(heights)), layout="constrained")
        axes = figure.subplots(len(lines), columns, squeeze=False, height_ratios=heights)
        for y, line in enumerate(lines):
            for x in range(columns):
                axes[y, x].axis("off")
                if x < len(line):
                    _draw(axes[y, x], line[x][1], most[y])
                    axes[y, x].set_title(line[x][0], fontsize=TITLE_PT)
    caption = (
        "Operations in the order in which they are computed, from above. conv: convolution, in brackets the channels "
        "that it takes and gives; norm: normalisation. +: sum of the main path and the shortcut. A line without a box "
        "is the identity."
    )
    return Drawing(figure, caption, f"Drawings of the residual blocks {', '.join(blocks)}")


def _draw(axes: Axes, block: ResidualBlock, rows: int) -> None:
    """Draws a block from the top of its axes; main path in column 0, shortcut in column 1."""
    axes.text(0, 0, f"input ({block.in_channels:,})", ha="center", va="center", fontsize=SMALL_PT)
    channels = block.in_channels
    lower = _column(axes, block.before, 0, 1, edge=0.2, channels=channels)
    fork_row = 1 + len(block.before)
    if block.before:
        channels = block.before[-1].channels
    length = max(len(block.path), len(block.shortcut))
    end = fork_row + length
    path = _column(axes, block.path, 0, fork_row, edge=lower, channels=channels)
    _arrow(axes, (0, path), (0, end - _SUM / 2))
    # The shortcut leaves the main path right below the last shared operation, above its first own box.
    fork = lower + 0.08
    axes.plot([0, 1], [fork, fork], color=_LINE, linewidth=0.9)
    first = fork_row + max(0, (length - len(block.shortcut)) // 2)
    other = _column(axes, block.shortcut, 1, first, edge=fork, channels=channels)
    axes.plot([1, 1], [other, end], color=_LINE, linewidth=0.9)
    _arrow(axes, (1, end), (_SUM / 2, end))
    axes.text(0, end, "+", ha="center", va="center", fontsize=TITLE_PT)
    axes.add_patch(Rectangle((-_SUM / 2, end - _SUM / 2), _SUM, _SUM, facecolor="white", edgecolor=_LINE))
    last = _column(axes, block.after, 0, end + 1, edge=end + _SUM / 2, channels=0)
    _arrow(axes, (0, last), (0, last + 0.4))
    axes.set_xlim(-0.5, 1.5)
    axes.set_ylim(rows - 0.2, -0.4)


def _column(axes: Axes, operations: Sequence[Operation], x: float, row: int, *, edge: float, channels: int) -> float:
    """Draws operations below each other, with arrows; returns the lower edge of the last one.

    Args:
        axes: of the block, one unit a row.
        operations: from above.
        x: column.
        row: of the first one.
        edge: where the arrow to the first one begins.
        channels: that the first one takes.
    """
    for place, operation in enumerate(operations, start=row):
        text = operation.text
        if operation.kind == "convolution":
            text += f"\n({channels:,} to {operation.channels:,})"
        height = _HIGH if "\n" in text else _LOW
        _arrow(axes, (x, edge), (x, place - height / 2))
        corner = (x - _BOX / 2, place - height / 2)
        axes.add_patch(Rectangle(corner, _BOX, height, facecolor=_COLOURS[operation.kind], edgecolor=_LINE))
        axes.text(x, place, text, ha="center", va="center", fontsize=SMALL_PT)
        edge, channels = place + height / 2, operation.channels
    return edge


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=7, shrinkA=0, shrinkB=0, color=_LINE, lw=0.9)
    )
