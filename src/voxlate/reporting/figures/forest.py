"""Forest plot: estimates with their 95 % intervals, one line each.

It shows areas under the curve of the downstream classifier by what it was trained and tested on, and differences of
structures or of longitudinal changes between synthetic and real images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from voxlate.errors import InputRefused
from voxlate.evaluation.downstream.classification import Classified
from voxlate.evaluation.downstream.longitudinal import ChangeAgreement
from voxlate.evaluation.downstream.structures import StructureDifference
from voxlate.reporting.figures.drawing import (
    PAGE_IN,
    SMALL_PT,
    Drawing,
    axis_label,
    colours_of,
    facts,
    legend_columns,
    require_values,
)
from voxlate.web import labels, plotting

_LINE_IN = 0.26
"""Height of a line: text of 8 points with a gap."""


@dataclass(frozen=True)
class Estimate:
    """An estimate with its interval.

    Attributes:
        value: in the unit of the plot.
        low, high: ends of the 95 % interval; NaN when there is none.
    """

    value: float
    low: float
    high: float


def draw_forest(
    groups: Mapping[str, Mapping[str, Estimate]],
    *,
    quantity: str,
    unit: str,
    n: int,
    data_kind: str,
    reference: float | None = None,
    note: str = "",
) -> Drawing:
    """Returns one line per estimate, in groups; the numbers stand on the right.

    Args:
        groups: estimate by name of the line, by group; groups have colours.
        quantity: what is estimated, the label of the axis.
        unit: of the estimates.
        n: number of patients.
        data_kind: `real`, `simulated` or `unknown`.
        reference: value of no effect, drawn as a line: 0 for differences, 0.5 for areas under the curve.
        note: sentence for the caption.

    Raises:
        NoInput: `NO_INPUT` without an estimate.
        InputRefused: `NON_FINITE` for an estimate that is no number.
    """
    lines = [(group, name, found) for group, own in groups.items() for name, found in own.items()]
    require_values(dict.fromkeys(name for _, name, _ in lines), "estimates")
    for _, name, found in lines:
        if not math.isfinite(found.value):
            raise InputRefused("NON_FINITE", f"{name}: the estimate is not finite; leave it out")
    figure, axes = plotting.plot(PAGE_IN, 1.0 + _LINE_IN * len(lines))
    colours, drawn = colours_of(groups), set()
    for row, (group, _, found) in enumerate(lines):
        axes.plot(found.value, row, "o", color=colours[group], markersize=5, label="" if group in drawn else group)
        if math.isfinite(found.low):
            axes.plot([found.low, found.high], [row, row], color=colours[group], linewidth=1.5)
        drawn.add(group)
    if reference is not None:
        axes.axvline(reference, color=plotting.INK, linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(lines)), [name for _, name, _ in lines], fontsize=SMALL_PT)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.grid(visible=True, axis="x", color=plotting.RULE)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(axis_label(quantity, unit))
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(lines)), [_numbers(found) for _, _, found in lines], fontsize=SMALL_PT)
    right.tick_params(length=0, labelcolor=plotting.INK)
    right.spines["right"].set_visible(False)
    if len(groups) > 1:
        ncols = legend_columns(groups)
        figure.legend(frameon=False, fontsize=SMALL_PT, ncols=ncols, loc="outside upper center")
    spoken = "; ".join(f"{name} {_numbers(found)}" for _, name, found in lines)
    parts = [f"{quantity} with 95 % confidence intervals.", note, facts(n, "patient", data_kind=data_kind, unit=unit)]
    return Drawing(figure, " ".join(part for part in parts if part), f"{quantity}, n = {n}: {spoken}.")


def draw_areas(rows: Sequence[Classified], *, data_kind: str) -> Drawing:
    """Returns the areas under the curve of the downstream classifier, grouped by the images that it is tested on.

    Raises:
        NoInput: `NO_INPUT` without a row.
    """
    groups: dict[str, dict[str, Estimate]] = {}
    for row in rows:
        name = f"{_told(row.train)} \N{RIGHTWARDS ARROW} {_told(row.test)}"
        groups.setdefault(f"tested on {_told(row.test)}", {})[name] = Estimate(row.auc, row.auc_low, row.auc_high)
    positive = rows[0].n_positive if rows else 0
    return draw_forest(
        groups,
        quantity="area under the ROC curve",
        unit="",
        n=rows[0].n if rows else 0,
        data_kind=data_kind,
        reference=0.5,
        note=f"Trained on \N{RIGHTWARDS ARROW} tested on; target is the real image. {positive} patients are positive.",
    )


def draw_structure_differences(rows: Sequence[StructureDifference], *, data_kind: str) -> Drawing:
    """Returns the differences of structures between systems and real images in percent of the real mean, by system.

    Rows without numbers are left out.

    Raises:
        NoInput: `NO_INPUT` when no row has numbers.
    """
    kept = [row for row in rows if math.isfinite(row.percent)]
    groups: dict[str, dict[str, Estimate]] = {}
    for row in kept:
        scale = 100 / row.real
        found = Estimate(row.percent, row.low * scale, row.high * scale)
        groups.setdefault(_told(row.method), {})[f"{row.structure}, {_told(row.method)}"] = found
    return draw_forest(
        groups,
        quantity="difference from the real image",
        unit="% of the real mean",
        n=max((row.n for row in kept), default=0),
        data_kind=data_kind,
        reference=0.0,
        note="Above 0 the structure is larger, or the cortex thicker, in the synthetic image.",
    )


def draw_change_biases(rows: Sequence[ChangeAgreement], *, data_kind: str) -> Drawing:
    """Returns the mean difference between changes of systems and of the real images, by system.

    Rows without numbers are left out.

    Raises:
        NoInput: `NO_INPUT` when no row has numbers.
        InputRefused: `UNITS` when the rows have several units.
    """
    kept = [row for row in rows if math.isfinite(row.bias)]
    units = sorted({row.unit for row in kept})
    if len(units) > 1:
        raise InputRefused("UNITS", f"the changes are in {', '.join(units)}; draw them apart")
    groups: dict[str, dict[str, Estimate]] = {}
    for row in kept:
        name = f"{row.structure}, {_told(row.method)} (real {labels.number(row.real_change)})"
        groups.setdefault(_told(row.method), {})[name] = Estimate(row.bias, row.bias_low, row.bias_high)
    return draw_forest(
        groups,
        quantity="change, system − real",
        unit=labels.unit(units[0]) if units else "",
        n=max((row.n for row in kept), default=0),
        data_kind=data_kind,
        reference=0.0,
        note="In brackets: the mean change in the real images.",
    )


def _told(name: str) -> str:
    return " + ".join(labels.method(part) for part in name.split(" + "))


def _numbers(found: Estimate) -> str:
    decimals = labels.decimals_for([found.value, found.low, found.high])
    value = labels.number(found.value, decimals)
    if not math.isfinite(found.low):
        return value
    return f"{value} [{labels.number(found.low, decimals)}, {labels.number(found.high, decimals)}]"
