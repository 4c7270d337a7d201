"""Plots of a reader study as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from voxlate.readers.analysis.results import ChanceComparison
from voxlate.web.html import Html
from voxlate.web.labels import count
from voxlate.web.plotting import COLOURS, MUTED, framed, inline_svg, plot


class ReaderInterval(NamedTuple):
    """A reader's AUC or share of correct answers with its 95 % interval; NaN where undefined."""

    reader: str
    value: float
    low: float
    high: float


def roc_plot(curves: Mapping[str, Sequence[Sequence[float]]], *, name: str) -> Html:
    """Returns a plot of the readers' ROC curves and of the diagonal, the curve of guessing.

    Args:
        curves: points (false positive fraction, true positive fraction) of each reader; positive is synthetic. A reader
            without a curve has no points.
        name: id of the plot, unique in the document.
    """
    figure, axes = plot()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
    curves = {reader: points for reader, points in curves.items() if points}
    for at, (reader, points) in enumerate(curves.items()):
        x, y = np.array(points).T
        alpha = 1 - 0.6 * at / max(len(curves) - 1, 1)
        axes.plot(x, y, color=COLOURS["synthetic"], alpha=alpha, marker="o", markersize=2.5, linewidth=1, label=reader)
    axes.set(
        xlabel="Real images called synthetic",
        ylabel="Synthetic images recognised",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
    )
    if 0 < len(curves) <= 8:
        axes.legend(frameon=False, fontsize=7)
    alt = f"ROC curves of {count(len(curves), 'reader')}; the table gives the areas."
    return framed(inline_svg(figure, name=name, alt=alt), caption="ROC curve of each reader. Dotted: guessing.")


def reader_plot(rows: Sequence[ReaderInterval], result: ChanceComparison, quantity: str, *, name: str) -> Html:
    """Returns a plot of each reader's result, of their mean, and of the equivalence margin around guessing.

    A result without an interval is a point; an undefined result leaves its line empty.

    Args:
        rows: one per reader.
        result: their mean, compared with chance.
        quantity: label of the axis.
        name: id of the plot, unique in the document.
    """
    figure, axes = plot()
    axes.axvspan(0.5 - result.margin, 0.5 + result.margin, color=MUTED, alpha=0.15, linewidth=0)
    axes.axvline(0.5, color=MUTED, linewidth=0.8, linestyle=":")
    mean = result.mean
    entries = [*rows, ReaderInterval("mean", mean.mean, mean.low, mean.high)]
    for at, (_, value, low, high) in enumerate(reversed(entries)):
        colour = COLOURS["synthetic"] if at == 0 else MUTED
        if math.isfinite(low):
            axes.plot([low, high], [at, at], color=colour, linewidth=2 if at == 0 else 1)
        if math.isfinite(value):
            axes.plot([value], [at], "o", color=colour, markersize=4)
    axes.set_yticks(range(len(entries)), [entry.reader for entry in reversed(entries)])
    axes.set_xlim(0, 1)
    axes.set_xlabel(quantity)
    alt = f"{quantity} of {count(len(rows), 'reader')} and their mean with 95 % intervals; the table gives them."
    caption = "95 % intervals. Grey: the margin around guessing, which was fixed before the study."
    return framed(inline_svg(figure, name=name, alt=alt), caption=caption)
