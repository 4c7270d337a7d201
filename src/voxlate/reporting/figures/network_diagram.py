"""Diagram of networks: the feature maps of each stage in the order in which they are computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from voxlate.reporting.figures.drawing import PAGE_IN, SMALL_PT, TITLE_PT, Drawing, require_values

_UNIT_IN, _TITLE_IN = 0.8, 0.35
"""Inches of the highest box, and of the title above each network."""
_SIZES_AT, _CHANNELS_AT, _NAMES_AT, _BOTTOM = 0.56, -0.56, -1.02, -1.75
"""Where the text of a stage begins, and the lower edge, in heights of the highest box from its centre."""
_CHARACTER = 0.6 * SMALL_PT / 72 / _UNIT_IN
"""Width of a character in the same unit: a digit is some 0.6 of the size of its font."""
_LEAST_HEIGHT, _LEAST_WIDTH = 0.15, 0.25
"""Of a box that shows one voxel or one channel, as parts of the largest; chosen by eye."""
_NAME_PT = 6.0
"""Size of the names of the stages; they are repeated in the code, so that a reader can do without them."""
_COLOURS = {"down": "#2a7f9e", "up": "#b5651d", "same": "#8a97a6", "tokens": "#7a5195"}
"""Stages with fewer, more or as many voxels as the one before, and tokens of a transformer."""
_WIDEST = 0.8  # width of the widest box, in columns
_FEWEST_COLUMNS = 10  # a network of few stages gets no wider boxes than this many would have


@dataclass(frozen=True)
class Stage:
    """The feature maps that one part of a network computes.

    Attributes:
        name: of the part, such as `downs.0`.
        channels: number of feature maps; of tokens, their length.
        size: voxels along each axis; one number for tokens.
        count: number of parts in a row with the same channels and size.
    """

    name: str
    channels: int
    size: tuple[int, ...]
    count: int = 1

    @property
    def is_tokens(self) -> bool:
        """Returns whether it is a sequence of tokens and no image."""
        return len(self.size) == 1

    @property
    def size_text(self) -> str:
        """Returns the size in words: `64³`, `256²` or `192 × 256 × 3`; of tokens, their number."""
        if self.is_tokens:
            return f"{self.size[0]:,}"
        if len(set(self.size)) == 1:
            return f"{self.size[0]}{'³' if len(self.size) == 3 else '²'}"
        return " × ".join(str(size) for size in self.size)


def joined(stages: Sequence[Stage]) -> list[Stage]:
    """Returns the stages with neighbours of one size and number of channels counted as one.

    Example:
        >>> [stage.count for stage in joined([Stage("a.0", 8, (4, 4)), Stage("a.1", 8, (4, 4)), Stage("b", 1, (4, 4))])]
        [2, 1]
    """
    result: list[Stage] = []
    for stage in stages:
        if result and (result[-1].channels, result[-1].size) == (stage.channels, stage.size):
            last = result.pop()
            result.append(Stage(last.name, last.channels, last.size, last.count + stage.count))
        else:
            result.append(stage)
    return result


def draw_networks(networks: Mapping[str, Sequence[Stage]], parameters: Mapping[str, int]) -> Drawing:
    """Draws networks below each other.

    Args:
        networks: stages of each network in the order in which they are computed, by its label.
        parameters: number of parameters by label.

    Raises:
        NoInput: `NO_INPUT` without networks.
    """
    require_values(networks, "networks")
    with rc_context({"font.size": SMALL_PT}):
        tops = [_SIZES_AT + _CHARACTER * max(len(stage.size_text) + 1 for stage in each) for each in networks.values()]
        heights = [_UNIT_IN * (top - _BOTTOM) + _TITLE_IN for top in tops]
        figure = Figure(figsize=(PAGE_IN, sum(heights)), layout="constrained")
        rows = figure.subplots(len(networks), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, top, (label, stages) in zip(rows, tops, networks.items(), strict=True):
            _draw(axes, joined(stages))
            axes.set_ylim(_BOTTOM, top)
            axes.set_title(f"{label}: {parameters[label]:,} parameters", fontsize=TITLE_PT, loc="left")
    named = ", ".join(networks)
    caption = (
        "Feature maps in the order in which they are computed. Height of a box: voxels along the longest axis; width: "
        "channels (both logarithmic). Above: voxels; below: channels, parts in a row of one size, and the name in the "
        "code. Blue: fewer voxels than before; brown: more; grey: as many; violet: tokens of a transformer."
    )
    return Drawing(figure, caption, f"Diagrams of the networks {named}")


def _draw(axes: Axes, stages: Sequence[Stage]) -> None:
    columns = max(len(stages), _FEWEST_COLUMNS)
    most_voxels = max(max(stage.size) for stage in stages if not stage.is_tokens)
    most_channels = max(stage.channels for stage in stages)
    before: int | None = None
    for place, stage in enumerate(stages):
        voxels = before or most_voxels if stage.is_tokens else max(stage.size)
        kind = "tokens" if stage.is_tokens else _kind(voxels, before)
        height, width = (
            _part(voxels, most_voxels, _LEAST_HEIGHT),
            _WIDEST * _part(stage.channels, most_channels, _LEAST_WIDTH),
        )
        axes.add_patch(Rectangle((place - width / 2, -height / 2), width, height, color=_COLOURS[kind]))
        count = f"\n× {stage.count}" if stage.count > 1 else ""
        axes.text(place, _SIZES_AT, stage.size_text, ha="center", va="bottom", rotation=90, fontsize=SMALL_PT)
        axes.text(place, _CHANNELS_AT, f"{stage.channels:,}{count}", ha="center", va="top", fontsize=SMALL_PT)
        axes.text(place, _NAMES_AT, stage.name, ha="center", va="top", rotation=90, fontsize=_NAME_PT, color="#555555")
        before = voxels
    axes.set_xlim(-0.6, columns - 0.4)
    axes.axis("off")


def _kind(voxels: int, before: int | None) -> str:
    if before is None or voxels == before:
        return "same"
    return "down" if voxels < before else "up"


def _part(value: int, most: int, least: float) -> float:
    """Returns the extent of a box, `least` to 1, growing with the logarithm of a number."""
    return least + (1 - least) * log2(value) / max(log2(most), 1)
