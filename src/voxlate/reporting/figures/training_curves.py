"""Loss curves: of one training for its report, and of several runs in one plot (Li et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import InputRefused
from voxlate.evaluation.schema.results import History, Loss
from voxlate.reporting.figures.drawing import PAGE_IN, SMALL_PT, Drawing, legend_columns, require_values
from voxlate.reporting.figures.network_files import read_network_file
from voxlate.web import labels, plotting
from voxlate.web.html import Html, tag

_MOST_POINTS = 300
"""Most points of a training curve. Chosen by hand: about one per point (1/72 inch) of the plot's width."""

Which = Literal["training", "validation"]
Points = NDArray[np.float64]


def loss_curves(history: History | None) -> Html | None:
    """Returns a plot of training and validation loss over the steps; None without a history of losses."""
    if history is None or not (_finite(history.training) or _finite(history.validation)):
        return None
    figure, axes = plotting.plot(4.8, 2.8)
    steps, losses, binned = _thinned(_finite(history.training))
    if steps.size:
        axes.plot(steps, losses, color=plotting.COLOURS["source"], linewidth=1.1, label="training")
    validation = _finite(history.validation)
    if validation:
        points = np.array([(row.step, row.loss) for row in validation], dtype=np.float64)
        best = points[np.argmin(points[:, 1])]
        axes.plot(*points.T, color=plotting.COLOURS["synthetic"], marker="o", markersize=3.5, label="validation")
        axes.set_title(f"Lowest validation loss at step {best[0]:,.0f}", loc="left", fontsize=9)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.legend(frameon=False, fontsize=8.5)
    facts = (
        f"{labels.count(len(history.training), 'training value')}, {labels.count(len(validation), 'validation value')}."
    )
    if binned > 1:
        facts += f" Each point of the training curve is the mean of {binned} consecutive values."
    image = plotting.inline_svg(figure, name="loss", alt="Loss of training and validation over the training steps.")
    return tag("div", plotting.framed(image, caption=facts, kind="plot wide"))


def _finite(rows: Sequence[Loss]) -> list[Loss]:
    return [row for row in rows if row.loss is not None and math.isfinite(row.loss)]


def _thinned(rows: Sequence[Loss]) -> tuple[np.ndarray, np.ndarray, int]:
    points = np.array([(row.step, row.loss) for row in rows], dtype=np.float64).reshape(-1, 2)
    size = max(1, math.ceil(len(points) / _MOST_POINTS))
    parts = [points[start : start + size].mean(axis=0) for start in range(0, len(points), size)]
    means = np.array(parts).reshape(-1, 2)
    return means[:, 0], means[:, 1], size


def read_history(path: Path) -> History:
    """Reads the `history.json` of a run or of its bundle.

    Args:
        path: the file, or the folder that holds it.

    Raises:
        NoInput: `NO_INPUT` when it does not exist.
        InputRefused: `HISTORY` when it is no history of losses.
    """
    return read_network_file(path, "history.json", History, code="HISTORY", absent="name the folder of a run")


def draw_training_curves(
    runs: Mapping[str, Path | History],
    *,
    which: Which = "training",
    is_normalised: bool = False,
    is_logarithmic: bool = False,
    data_kind: str = "unknown",
) -> Drawing:
    """Returns the loss curves of several runs in one plot.

    Losses of different kinds (squared error, cross-entropy, contextual) have different sizes; normalised, each curve is
    divided by its own first point and starts at 1.

    Args:
        runs: history, or path of its file or folder, by name of the run.
        which: training losses (means of neighbouring steps) or validation losses.
        is_normalised: divide each curve by its first point.
        is_logarithmic: logarithmic loss axis.
        data_kind: `real`, `simulated` or `unknown`.

    Raises:
        NoInput: `NO_INPUT` without a run, or for a run without a history.
        InputRefused: `HISTORY` for a history that cannot be read or has no finite losses.
    """
    require_values(runs, "runs")
    figure, axes = plotting.plot(PAGE_IN, 3.4)
    ends, widest = [], 1
    for index, (name, source) in enumerate(runs.items()):
        history = source if isinstance(source, History) else read_history(source)
        points, binned = _curve(name, getattr(history, which), is_normalised=is_normalised)
        widest = max(widest, binned)
        colour = plotting.SERIES_COLOURS[index % len(plotting.SERIES_COLOURS)]
        dash = ("-", "--", ":")[index // len(plotting.SERIES_COLOURS) % 3]
        mark = "o" if len(points) <= _MOST_MARKS else ""
        axes.plot(*points.T, dash, color=colour, linewidth=1.3, marker=mark, markersize=3, label=name)
        ends.append(f"{name} {labels.number(float(points[-1, 1]))}")
    axes.set_xlabel("step")
    axes.set_ylabel(f"{which} loss (first point = 1)" if is_normalised else f"{which} loss")
    if is_logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(plotting.PlainLogFormatter())
        axes.yaxis.set_minor_formatter(plotting.PlainLogFormatter())
    figure.legend(frameon=False, fontsize=SMALL_PT, ncols=legend_columns(runs), loc="outside upper center")
    spoken = f"Last points: {'; '.join(ends)}."
    parts = [
        f"{which.capitalize()} loss of {labels.count(len(runs), 'run')}.",
        "Each curve is divided by its first point; its unit is that of no loss." if is_normalised else "",
        "" if is_normalised else "Runs with different losses cannot be compared by height. Unit: that of each loss.",
        f"A point is the mean of up to {widest} consecutive values." if widest > 1 else "",
        f"n = {labels.count(len(runs), 'run')}. {labels.DATA_KINDS[data_kind]}.",
        spoken,
    ]
    return Drawing(figure, " ".join(part for part in parts if part), f"{which.capitalize()} loss over steps. {spoken}")


_MOST_MARKS = 40
"""Curves of more points have no dots. Chosen by eye."""


def _curve(name: str, losses: Sequence[Loss], *, is_normalised: bool) -> tuple[Points, int]:
    finite = _finite(losses)
    if not finite:
        raise InputRefused("HISTORY", f"{name} has no finite loss of this kind; it diverged, or leave it out")
    steps, values, binned = _thinned(finite)
    if is_normalised and not values[0] > 0:
        raise InputRefused("HISTORY", f"{name} starts at loss {values[0]:g}; only losses above 0 can be normalised")
    return np.stack([steps, values / values[0] if is_normalised else values], axis=1), binned
