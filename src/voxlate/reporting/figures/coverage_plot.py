"""The figure of risk against coverage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxlate.reporting.figures import drawing

_COLOURS = ("#0b7285", "#b7791f")
_LIMITS = {1.0: "o", 1.5: "s"}


GATE_TITLE = "Circle: known; square: not refused"


def draw_coverage(
    path: Path,
    curves: Mapping[str, Mapping[str, Any]],
    *,
    limits: Mapping[float, str] = _LIMITS,
    title: str = GATE_TITLE,
    highest: float = 100,
) -> None:
    """Writes a figure, PNG or SVG by its suffix.

    Args:
        path: where.
        curves: fields of `voxlate.inference.coverage.Coverage`, by the name of the scans they are of.
        limits: thresholds to be marked, with their markers.
        title: says what the markers are.
        highest: end of the axis of errors, in per cent.
    """
    figure, axes = drawing.plot(4.6, 3.4)
    for colour, (name, curve) in zip(_COLOURS, curves.items(), strict=False):
        shares = [100 * share for share in curve["coverage"]]
        risks = [100 * risk for risk in curve["risk"]]
        axes.step(shares, risks, where="post", color=colour, label=f"{name}, {len(shares)} scores")
        for limit, marker in limits.items():
            at = sum(threshold <= limit for threshold in curve["thresholds"]) - 1
            if at >= 0:
                axes.plot(shares[at], risks[at], marker, color=colour, markersize=6)
    axes.set(xlabel="scans accepted, %", ylabel="wrong among the accepted, %", title=title)
    axes.set_ylim(0, highest)
    axes.legend(frameon=False, fontsize=8)
    drawing.save(figure, path)
