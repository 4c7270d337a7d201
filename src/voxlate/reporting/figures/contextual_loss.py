"""Drawing of the contextual loss: how the features of two images are matched, with the numbers of an example."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from voxlate.errors import InputRefused
from voxlate.reporting.figures.drawing import PAGE_IN, SMALL_PT, TITLE_PT, Drawing
from voxlate.web.plotting import COLOURS, INK, SERIES_COLOURS

Array = NDArray[np.floating]

_SYNTHETIC, _TARGET = COLOURS["synthetic"], SERIES_COLOURS[1]
_HEIGHT_IN = 7.4
"""Of the figure: two rows of panels whose matrices have about square cells, and two lines of text below."""
_DARK = 0.7
"""Share of the colour scale from which the numbers in a cell are white; chosen by eye."""


@dataclass(frozen=True)
class MatchedFeatures:
    """Two sets of features with two channels, and how the contextual loss matches them.

    Attributes:
        synthetic: features of the synthetic image, (N, 2).
        target: features of the target, (M, 2).
        distance: cosine distances, (N, M), 0 to 1.
        relative: distances over the least one of their row, (N, M).
        weight: weights, (N, M); each row sums to 1.
        loss: their loss.
        bandwidth: h of the loss.
    """

    synthetic: Array
    target: Array
    distance: Array
    relative: Array
    weight: Array
    loss: float
    bandwidth: float


def draw_contextual_loss(matched: MatchedFeatures) -> Drawing:
    """Draws the feature points and the matrices of each step, with the best match of each target feature.

    Args:
        matched: the example; at most 26 target features, which have letters as names.

    Raises:
        InputRefused: `SIZE` when the matrices do not fit the features or these have not two channels.
    """
    counts = (len(matched.synthetic), len(matched.target))
    shapes = {matched.distance.shape, matched.relative.shape, matched.weight.shape}
    channels = {matched.synthetic.shape[1:], matched.target.shape[1:]}
    if shapes != {counts} or channels != {(2,)}:
        raise InputRefused("SIZE", f"{counts} features need matrices of that size and two channels; compute them anew")
    figure = Figure(figsize=(PAGE_IN, _HEIGHT_IN), layout="constrained")
    points, distance, relative, weight = figure.subplots(2, 2).ravel()
    _draw_points(points, matched)
    _draw_matrix(distance, matched.distance, "2. Cosine distance d = (1 − cos) / 2", is_low_dark=True, digits=2)
    title = "3. Relative distance r = d / (least d of the row + 1e-5)"
    _draw_matrix(relative, matched.relative, title, is_low_dark=True, digits=1)
    title = f"4. Weight w = softmax of −r / h in each row, h = {matched.bandwidth:g}"
    _draw_matrix(weight, matched.weight, title, is_low_dark=False, digits=2)
    best = matched.weight.max(axis=0)
    for column, row in enumerate(matched.weight.argmax(axis=0)):
        weight.add_patch(Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, edgecolor=_TARGET, linewidth=2))
    values = ", ".join(f"{value:.2f}" for value in best)
    total = f"loss = −log(mean of these) = −log {best.mean():.2f} = {matched.loss:.2f}"
    figure.supxlabel(f"5. Largest w of each column: {values}\n{total}", fontsize=TITLE_PT, color=INK)
    caption = (
        f"The contextual loss between {counts[0]} features of a synthetic image (1 to {counts[0]}) and {counts[1]} of "
        f"a target ({_letter(0)} to {_letter(counts[1] - 1)}), computed by the loss itself: an example with two "
        "channels, not taken from images. Only directions from the mean of the target's features count. Frames: the "
        "best match of each target feature. A target feature that no synthetic one resembles has a low best weight and "
        "raises the loss. Where features lie in the image does not count."
    )
    return Drawing(figure, caption, "Feature points of two images and the matrices of the contextual loss between them")


def _letter(place: int) -> str:
    return chr(ord("a") + place)


def _draw_points(axes: Axes, matched: MatchedFeatures) -> None:
    """Draws the features less the mean of the target's, each with the line of its direction."""
    mean = matched.target.mean(axis=0)
    reach = 1.2 * max(float(np.abs(each - mean).max()) for each in (matched.synthetic, matched.target))
    sets = (
        (matched.target, "target", _TARGET, "s", [_letter(k) for k in range(len(matched.target))]),
        (matched.synthetic, "synthetic", _SYNTHETIC, "o", [str(k + 1) for k in range(len(matched.synthetic))]),
    )
    for features, label, colour, marker, names in sets:
        x, y = (features - mean).T
        axes.plot(np.stack([0 * x, x]), np.stack([0 * y, y]), color=colour, linewidth=0.8, alpha=0.6)
        axes.plot(x, y, marker, color=colour, label=label, markersize=5)
        for name, at in zip(names, features - mean, strict=True):
            outward = at / max(float(np.hypot(*at)), 1e-9)  # a feature at the mean has no direction
            axes.annotate(
                name, at, xytext=outward * 8, textcoords="offset points", ha="center", va="center",
                color=colour, fontsize=SMALL_PT,
            )  # fmt: skip
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    axes.set_xlabel("channel 1", fontsize=SMALL_PT)
    axes.set_ylabel("channel 2", fontsize=SMALL_PT)
    axes.set_title("1. Features less the mean of the target's", fontsize=TITLE_PT, loc="left")
    axes.legend(fontsize=SMALL_PT, frameon=False, loc="best")


def _draw_matrix(axes: Axes, values: Array, title: str, *, is_low_dark: bool, digits: int) -> None:
    """Draws a matrix with its numbers; dark cells are near."""
    # Relative distances span orders of magnitude: on a logarithmic scale the near ones look different too.
    scale = np.log1p(values) / max(float(np.log1p(values).max()), 1e-9)
    shade = 1 - scale if is_low_dark else scale
    axes.imshow(shade, cmap="Blues", vmin=0, vmax=1.2, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if shade[row, column] > _DARK else INK
        axes.text(column, row, f"{value:.{digits}f}", ha="center", va="center", fontsize=SMALL_PT, color=colour)
    rows, columns = (range(size) for size in values.shape)
    axes.set_xticks(columns, [_letter(k) for k in columns], fontsize=SMALL_PT, color=_TARGET)
    axes.set_yticks(rows, [str(k + 1) for k in rows], fontsize=SMALL_PT, color=_SYNTHETIC)
    axes.tick_params(length=0)
    axes.set_xlabel("feature of the target", fontsize=SMALL_PT)
    axes.set_ylabel("feature of the synthetic image", fontsize=SMALL_PT)
    axes.set_title(title, fontsize=TITLE_PT, loc="left")
