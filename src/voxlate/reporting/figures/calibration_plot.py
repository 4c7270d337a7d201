"""Calibration plot of the uncertainty: expected against observed error, and the error without uncertain voxels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxlate.web import plotting


def draw_calibration(path: Path, reliability: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes a figure with two plots, PNG or SVG by its suffix.

    Args:
        path: the file.
        reliability: fields of `voxlate.inference.calibration.Reliability` by the name of a set of cases; errors are
            shares of the reference level.
    """
    figure, (left, right) = plotting.plots(2)
    top = 0.0
    for colour, (name, curve) in zip(plotting.SERIES_COLOURS, reliability.items(), strict=False):
        left.plot(curve["expected"], curve["observed"], "o-", color=colour, markersize=3.5, label=name)
        top = max(top, *curve["expected"], *curve["observed"])
        removed = [100 * share for share in curve["removed"]]
        right.plot(removed, _over_first(curve["left"]), color=colour, label=name)
        right.plot(removed, _over_first(curve["left_by_error"]), ":", color=colour)
    left.plot([0, top], [0, top], color=plotting.INK, linewidth=0.8)
    left.set(xlabel="expected error (share of the reference level)", ylabel="observed error (RMS)", title="Calibration")
    right.set(
        xlabel="voxels removed, the most uncertain first (%)",
        ylabel="mean error of the others",
        title="Dotted: removed by true error",
    )
    right.set_ylim(0, 1.05)
    left.legend(frameon=False, fontsize=8)
    plotting.save(figure, path)


def _over_first(values: Sequence[float]) -> list[float]:
    return [value / values[0] if values[0] else 0.0 for value in values]
