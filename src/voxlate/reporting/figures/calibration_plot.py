"""The figure of a calibration: expected against observed error, and what is left when doubtful voxels are set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxlate.web import plotting

_COLOURS = ("#1c6cd6", "#ce3e1c", "#3a8a4f", "#7a4fa3")


def draw_calibration(path: Path, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes a figure, PNG or SVG by its suffix.

    Args:
        path: where.
        found: fields of `voxlate.inference.calibration.Reliability`, by the name of the cases they are of.
    """
    figure, (left, right) = plotting.plots(2)
    top = 0.0
    for colour, (name, each) in zip(_COLOURS, found.items(), strict=False):
        left.plot(each["expected"], each["observed"], "o-", color=colour, markersize=3.5, label=name)
        top = max(top, *each["expected"], *each["observed"])
        removed = [100 * share for share in each["removed"]]
        right.plot(removed, _over_first(each["left"]), color=colour, label=name)
        right.plot(removed, _over_first(each["left_by_error"]), ":", color=colour)
    left.plot([0, top], [0, top], color=plotting.INK, linewidth=0.8)
    left.set(xlabel="expected error, of the reference level", ylabel="observed error (RMS)", title="Calibration")
    right.set(xlabel="most uncertain voxels left out, %", ylabel="mean error left", title="Dotted: if the worst were")
    right.set_ylim(0, 1.05)
    left.legend(frameon=False, fontsize=8)
    plotting.save(figure, path)


def _over_first(values: Sequence[float]) -> list[float]:
    return [value / values[0] if values[0] else 0.0 for value in values]
