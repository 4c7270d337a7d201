"""Plots of a reader study as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxlate.web.html import Html
from voxlate.web.plotting import COLOURS, MUTED, framed, inline_svg, plot


def roc_plot(curves: Mapping[str, Sequence[Sequence[float]]], *, name: str) -> Html:
    """Returns each reader's ROC curve (of those who have one) and the diagonal of guessing."""
    figure, axes = plot()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":")
    curves = {reader: points for reader, points in curves.items() if points}
    for at, (reader, points) in enumerate(curves.items()):
        x, y = np.array(points).T
        alpha = 1 - 0.6 * at / max(len(curves) - 1, 1)
        axes.plot(x, y, color=COLOURS["synthetic"], alpha=alpha, marker="o", markersize=2.5, linewidth=1, label=reader)
    axes.set(xlabel="Real taken for synthetic", ylabel="Synthetic recognised", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    if 0 < len(curves) <= 8:
        axes.legend(frameon=False, fontsize=7)
    alt = f"ROC curves of {len(curves)} readers; the table lists the areas."
    return framed(inline_svg(figure, name=name, alt=alt), caption="ROC curve of each reader; dotted: guessing.")


def reader_plot(rows: Sequence[Mapping[str, Any]], mean: Mapping[str, Any], key: str, *, name: str) -> Html:
    """Returns each reader's figure with its interval, their mean, and the margin around guessing.

    A figure without an interval is a point; one that is undefined leaves its line empty.
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
    axes.set_xlabel("AUC" if key == "auc" else "Share correct")
    alt = f"{key} of {len(rows)} readers and their mean with 95 % intervals; the table lists them."
    caption = "95 % intervals; grey: the margin around guessing, fixed beforehand."
    return framed(inline_svg(figure, name=name, alt=alt), caption=caption)
