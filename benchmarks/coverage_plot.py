"""Risk–coverage plot: the share of wrong scores among the accepted scans, against the share of accepted scans."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxlate.web import plotting

_LIMITS = {1.0: "o", 1.5: "s"}
"""Markers at the out-of-distribution scores from which a scan is unusual (1.0) and refused (1.5)."""


OOD_TITLE = "Circle: in distribution; square: not refused"


def draw_coverage(
    path: Path,
    curves: Mapping[str, Mapping[str, Any]],
    *,
    limits: Mapping[float, str] = _LIMITS,
    title: str = OOD_TITLE,
    highest: float = 100,
) -> None:
    """Writes a figure, PNG or SVG by its suffix.

    Args:
        path: the file.
        curves: fields of `Coverage` in `risk_coverage.py`, by the name of a set of scans.
        limits: thresholds to mark, with their markers.
        title: explains the markers.
        highest: upper end of the risk axis, in per cent.
    """
    figure, axes = plotting.plot(4.6, 3.4)
    for colour, (name, curve) in zip(plotting.SERIES_COLOURS, curves.items(), strict=False):
        shares = [100 * share for share in curve["coverage"]]
        risks = [100 * risk for risk in curve["risk"]]
        axes.step(shares, risks, where="post", color=colour, label=f"{name}, {len(shares)} scores")
        for limit, marker in limits.items():
            index = sum(threshold <= limit for threshold in curve["thresholds"]) - 1
            if index >= 0:
                axes.plot(shares[index], risks[index], marker, color=colour, markersize=6)
    axes.set(xlabel="accepted scans (%)", ylabel="wrong among the accepted (%)", title=title)
    axes.set_ylim(0, highest)
    axes.legend(frameon=False, fontsize=8)
    plotting.save(figure, path)
