"""Bars of a metric per case and per system, and curves of metrics over a parameter that was swept.

They are the figures of Lee et al. 2020 (mean absolute error of every image) and Chen et al. 2022 (weights λ of the
losses; threshold δ). A value belongs to a patient; means and 95 % intervals are those of `mean_interval`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from voxlate.errors import InputRefused
from voxlate.evaluation.statistics import MINIMUM_PATIENTS, mean_interval
from voxlate.reporting.figures.drawing import (
    PAGE_IN,
    SMALL_PT,
    TITLE_PT,
    Drawing,
    Patients,
    axis_label,
    colours_of,
    facts,
    legend_columns,
    require_finite,
    require_values,
    units_stated,
)
from voxlate.web import labels, plotting

_GROUP_WIDTH = 0.8
"""Share of the distance between groups that bars fill; the rest separates them."""

_INTERVALS = f"Lines are 95 % confidence intervals over patients, from {MINIMUM_PATIENTS} patients on."


@dataclass(frozen=True)
class Summary:
    """Mean of a metric over patients with its interval.

    Attributes:
        mean: in the unit of the metric.
        low, high: ends of the 95 % interval; NaN with fewer than three patients or equal values.
        n: number of patients.
    """

    mean: float
    low: float
    high: float
    n: int


def summarise(values: Patients, where: str) -> Summary:
    """Returns mean and interval of one value per patient.

    Args:
        values: by patient.
        where: what they measure, for messages.

    Raises:
        NoInput: `NO_INPUT` for no value.
        InputRefused: `NON_FINITE`.
    """
    require_values(values, f"values of {where}")
    require_finite(values, where)
    numbers = np.array(list(values.values()), dtype=np.float64)
    if numbers.size < MINIMUM_PATIENTS:
        return Summary(float(numbers.mean()), float("nan"), float("nan"), numbers.size)
    interval = mean_interval(numbers)
    return Summary(float(numbers.mean()), interval.low, interval.high, numbers.size)


def draw_bars_by_case(
    systems: Mapping[str, Patients], *, metric: str, unit: str, data_kind: str, noun: str = "case"
) -> Drawing:
    """Returns one bar per case and system, with a dashed line at the mean of each system.

    Args:
        systems: value by case, by system; a case that a system lacks has no bar.
        metric: its label.
        unit: of the metric.
        data_kind: `real`, `simulated` or `unknown`.
        noun: what a bar stands for: `case`, `patient` or `image`.

    Raises:
        NoInput: `NO_INPUT` without a system.
        InputRefused: `NON_FINITE`.
    """
    require_values(systems, "scores")
    cases = list(dict.fromkeys(case for values in systems.values() for case in values))
    figure, axes = plotting.plot(PAGE_IN, 3.2)
    width = _GROUP_WIDTH / len(systems)
    means = []
    for index, (system, colour) in enumerate(colours_of(systems).items()):
        values = systems[system]
        mean = summarise(values, system).mean
        at = [cases.index(case) + (index - (len(systems) - 1) / 2) * width for case in values]
        axes.bar(at, list(values.values()), width, color=colour, label=labels.method(system))
        axes.axhline(mean, color=colour, linewidth=1.0, linestyle="--")
        means.append(f"{labels.method(system)} {labels.number(mean)}")
    slanted = max(len(case) for case in cases) * len(cases) > _LETTERS_ACROSS
    axes.set_xticks(range(len(cases)), cases, rotation=45 if slanted else 0, ha="right" if slanted else "center")
    axes.set_xlim(-0.6, len(cases) - 0.4)
    axes.set_ylabel(axis_label(metric, unit))
    if len(systems) > 1:
        ncols = legend_columns(map(labels.method, systems))
        figure.legend(frameon=False, fontsize=SMALL_PT, ncols=ncols, loc="outside upper center")
    spoken = f"Means: {'; '.join(means)}{f' {unit}' if unit else ''}."
    caption = (
        f"{metric} of every {noun}. Dashed lines are means. {spoken} {facts(len(cases), noun, data_kind=data_kind)}"
    )
    return Drawing(figure, caption, f"Bar plot of {metric} per {noun}, n = {len(cases)}. {spoken}")


_LETTERS_ACROSS = 95
"""Letters of 8.5 points that fit on a page of `PAGE_IN`; more labels are slanted."""


def draw_bars_by_system(
    metrics: Mapping[str, Mapping[str, Patients]], *, units: Mapping[str, str], data_kind: str
) -> Drawing:
    """Returns one plot per metric with a bar per system, the mean over patients, with its 95 % interval.

    Args:
        metrics: value by patient, by system, by label of the metric.
        units: unit by label of the metric; without one the metric has no unit.
        data_kind: `real`, `simulated` or `unknown`.

    Raises:
        NoInput: `NO_INPUT` without a metric or a system.
        InputRefused: `NON_FINITE`.
    """
    require_values(metrics, "scores")
    columns = min(len(metrics), 3)
    figure, plots = plotting.grid(len(metrics), columns=columns, width_in=PAGE_IN / columns, height_in=3.0)
    spoken = []
    for axes, (metric, systems) in zip(plots, metrics.items(), strict=True):
        require_values(systems, f"systems with {metric}")
        summaries = {name: summarise(values, f"{metric} of {name}") for name, values in systems.items()}
        _bars(axes, summaries)
        axes.set_title(axis_label(metric, units.get(metric, "")), loc="left", fontsize=TITLE_PT, fontweight="bold")
        best = "; ".join(f"{name} {labels.number(found.mean)}" for name, found in summaries.items())
        spoken.append(f"{axis_label(metric, units.get(metric, ''))}: {best}")
    n = _patients(metrics.values())
    caption = (
        f"Mean of each system. {_INTERVALS} Axes may start above 0. "
        f"{facts(n, 'patient', data_kind=data_kind)} {units_stated(units)}"
    )
    return Drawing(figure, caption.rstrip(), f"Bar plots, n = {n}. Means. {'. '.join(spoken)}.")


def draw_sweep(
    metrics: Mapping[str, Mapping[float, Patients]],
    *,
    parameter: str,
    units: Mapping[str, str],
    data_kind: str,
    good_range: tuple[float, float] | None = None,
) -> Drawing:
    """Returns the mean of each metric over a swept parameter, on a logarithmic axis if all its values are above 0.

    Args:
        metrics: value by patient, by value of the parameter, by label of the metric.
        parameter: its label, such as `δ`.
        units: unit by label of the metric.
        data_kind: `real`, `simulated` or `unknown`.
        good_range: values of the parameter between which the plot is shaded, such as the range that a paper recommends.

    Raises:
        NoInput: `NO_INPUT` without a metric or a value.
        InputRefused: `NON_FINITE`; `SWEEP` for a parameter with one value only.
    """
    require_values(metrics, "scores")
    figure, plots = plotting.grid(
        len(metrics), columns=min(len(metrics), 2), width_in=PAGE_IN / min(len(metrics), 2), height_in=3.0
    )
    spoken = []
    for axes, (metric, sweep), colour in zip(plots, metrics.items(), _colours(len(metrics)), strict=True):
        if len(sweep) < 2:
            raise InputRefused("SWEEP", f"{metric} has one value of {parameter}; a curve needs at least two")
        points = sorted(sweep)
        found = [summarise(sweep[point], f"{metric} at {parameter} = {point:g}") for point in points]
        _interval_lines(axes, points, found, colour)
        axes.plot(points, [each.mean for each in found], "o-", color=colour, markersize=4, linewidth=1.4)
        if good_range is not None:
            axes.axvspan(*good_range, color=colour, alpha=0.1, linewidth=0)
        if points[0] > 0:
            axes.set_xscale("log")
            axes.set_xticks(points, [f"{point:g}" for point in points], rotation=90, fontsize=SMALL_PT)
            axes.minorticks_off()
        axes.set_xlabel(parameter)
        axes.set_ylabel(axis_label(metric, units.get(metric, "")))
        means = ", ".join(f"{labels.number(each.mean)} at {point:g}" for point, each in zip(points, found, strict=True))
        spoken.append(f"{metric}: {means}")
    n = _patients(metrics.values())
    shaded = "" if good_range is None else f" Shaded: {parameter} from {good_range[0]:g} to {good_range[1]:g}."
    caption = (
        f"Means over patients for each value of {parameter}. {_INTERVALS}{shaded} "
        f"{facts(n, 'patient', data_kind=data_kind)} {units_stated(units)}"
    )
    return Drawing(figure, caption.rstrip(), f"Curves over {parameter}, n = {n}. {'. '.join(spoken)}.")


def _bars(axes: Axes, summaries: Mapping[str, Summary]) -> None:
    colours = colours_of(summaries)
    axes.bar(range(len(summaries)), [s.mean for s in summaries.values()], 0.62, color=list(colours.values()))
    _interval_lines(axes, range(len(summaries)), list(summaries.values()), plotting.INK)
    axes.set_xticks(
        range(len(summaries)),
        [labels.method(name) for name in summaries],
        rotation=35,
        ha="right",
        rotation_mode="anchor",
        fontsize=SMALL_PT,
    )
    axes.set_ylim(*_limits(list(summaries.values())))


def _limits(summaries: Sequence[Summary]) -> tuple[float, float]:
    """Returns limits of the y axis that show the differences: the span of means and intervals and as much below."""
    ends = np.array([(s.mean, s.low, s.high) for s in summaries]).ravel()
    ends = ends[np.isfinite(ends)]
    low, high = float(ends.min()), float(ends.max())
    span = high - low or abs(high) or 1.0
    bottom = low - span
    if low >= 0:
        bottom = max(bottom, 0.0)
    return bottom, high + 0.15 * span


def _interval_lines(axes: Axes, at: Sequence[float], summaries: Sequence[Summary], colour: str) -> None:
    for x, found in zip(at, summaries, strict=True):
        if np.isfinite(found.low):
            axes.plot([x, x], [found.low, found.high], color=colour, linewidth=1.3, zorder=3)


def _colours(count: int) -> list[str]:
    return [plotting.SERIES_COLOURS[k % len(plotting.SERIES_COLOURS)] for k in range(count)]


def _patients(metrics: Iterable[Mapping[Any, Patients]]) -> int:
    """Returns the number of different patients in nested mappings of values by patient."""
    names: set[str] = set()
    for series in metrics:
        for values in series.values():
            names |= set(values)
    return len(names)
