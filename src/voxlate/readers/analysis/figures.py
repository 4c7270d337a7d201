"""Plots of a reader study as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxlate.web.html import Html
from voxlate.web.labels import count
from voxlate.web.plotting import COLOURS, MUTED, framed, inline_svg, plot


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


def reader_plot(rows: Sequence[Mapping[str, Any]], mean: Mapping[str, Any], key: str, *, name: str) -> Html:
    """Returns a plot of each reader's result, of their mean, and of the equivalence margin around guessing.

    A result without an interval is a point; an undefined result leaves its line empty.

    Args:
        rows: one per reader, with `reader`, `low`, `high` and the value under `key`.
        mean: with `mean`, `low`, `high` and `margin`.
        key: `auc` or `share`.
        name: id of the plot, unique in the document.
    """
    figure, axes = plot()
    axes.axvspan(0.5 - mean["margin"], 0.5 + mean["margin"], color=MUTED, alpha=0.15, linewidth=0)
    axes.axvline(0.5, color=MUTED, linewidth=0.8, linestyle=":")
    entries = [*[(row["reader"], row[key], row["low"], row["high"]) for row in rows]]
    entries.append(("mean", mean["mean"], mean["low"], mean["high"]))
    for at, (_, value, low, high) in enumerate(reversed(entries)):
        colour = COLOURS["synthetic"] if at == 0 else MUTED
        if low is not None:
            axes.plot([low, high], [at, at], color=colour, linewidth=2 if at == 0 else 1)
        if value is not None:
            axes.plot([value], [at], "o", color=colour, markersize=4)
    axes.set_yticks(range(len(entries)), [entry[0] for entry in reversed(entries)])
    axes.set_xlim(0, 1)
    quantity = "AUC" if key == "auc" else "Share of correct answers"
    axes.set_xlabel(quantity)
    alt = f"{quantity} of {count(len(rows), 'reader')} and their mean with 95 % intervals; the table gives them."
    caption = "95 % intervals. Grey: the margin around guessing, which was fixed before the study."
    return framed(inline_svg(figure, name=name, alt=alt), caption=caption)
