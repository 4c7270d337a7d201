"""Box plots of several metrics over systems and test sets, with a line per patient.

With the volume differences of three tissues it is Fig. 5 of Bottani et al. 2024: target − image, scaled to the mean
intracranial volume, so that a value below 0 means that the image overestimates the tissue.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

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
from voxlate.reporting.figures.quality_plots import draw_box, link_patients
from voxlate.web import labels, plotting

VOLUME_DIFFERENCE = (
    "Difference: target − image, scaled to the mean intracranial volume; below 0 the image overestimates the tissue."
)
"""Convention of Bottani et al. 2024, for the `note` of a plot of volume differences."""

Sets = Mapping[str, Mapping[str, Patients]]
"""Value by patient, by system, by test set."""


def draw_boxes(
    metrics: Mapping[str, Sets], *, units: Mapping[str, str], data_kind: str, note: str = "", has_zero: bool = False
) -> Drawing:
    """Returns one plot per metric with a group of boxes per test set and a box per system.

    Lines link the values of one patient within a set; above 60 patients they are left out.

    Args:
        metrics: value by patient, by system, by set, by label of the metric (such as a tissue).
        units: unit by label of the metric.
        data_kind: `real`, `simulated` or `unknown`.
        note: sentence for the caption, such as `VOLUME_DIFFERENCE`.
        has_zero: draw a line at 0, for differences.

    Raises:
        NoInput: `NO_INPUT` without a metric, set, system or patient.
        InputRefused: `NON_FINITE`.
    """
    require_values(metrics, "scores")
    systems = list(dict.fromkeys(name for sets in metrics.values() for found in sets.values() for name in found))
    colours = colours_of(systems)
    columns = min(len(metrics), 3)
    figure, plots = plotting.grid(len(metrics), columns=columns, width_in=PAGE_IN / columns, height_in=3.1)
    spoken = []
    for axes, (metric, sets) in zip(plots, metrics.items(), strict=True):
        require_values(sets, f"sets with {metric}")
        medians = _draw_sets(axes, metric, sets, colours)
        if has_zero:
            axes.axhline(0, color=plotting.INK, linewidth=0.8)
        axes.set_title(axis_label(metric, units.get(metric, "")), loc="left", fontsize=TITLE_PT, fontweight="bold")
        spoken.append(f"{metric}: {medians}")
    handles = [Patch(facecolor=colour + "55", edgecolor=colour) for colour in colours.values()]
    names = [labels.method(name) for name in systems]
    ncols = legend_columns(names)
    figure.legend(handles, names, loc="outside lower center", ncols=ncols, frameon=False, fontsize=SMALL_PT)
    patients = _patients(metrics)
    n = len(set().union(*patients.values()))
    counts = "; ".join(f"{name}: {labels.count(len(each), 'patient')}" for name, each in patients.items())
    text = f"Boxes: quartiles and median; dots and lines: patients. {counts}."
    parts = [text, note, facts(n, "patient", data_kind=data_kind), units_stated(units)]
    caption = " ".join(part for part in parts if part)
    return Drawing(figure, caption, f"Box plots, n = {n}. Medians. {'. '.join(spoken)}.")


def _draw_sets(axes: Axes, metric: str, sets: Sets, colours: Mapping[str, str]) -> str:
    start, ticks, medians = 0, [], []
    for name, systems in sets.items():
        require_values(systems, f"systems with {metric} in {name}")
        for system, values in systems.items():
            require_values(values, f"values of {metric} of {system} in {name}")
            require_finite(values, f"{metric} of {system} in {name}")
        link_patients(axes, systems, start=start)
        for offset, (system, values) in enumerate(systems.items()):
            numbers = np.array(list(values.values()), dtype=np.float64)
            draw_box(axes, start + offset, numbers, colours[system])
            medians.append(f"{name} {labels.method(system)} {labels.number(float(np.median(numbers)))}")
        ticks.append((start + (len(systems) - 1) / 2, name))
        start += len(systems) + 1  # one place is left free between sets
    axes.set_xticks([at for at, _ in ticks], [fill(name.replace("_", " "), 14) for _, name in ticks], fontsize=SMALL_PT)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.8, start - 1.2)
    return "; ".join(medians)


def _patients(metrics: Mapping[str, Sets]) -> dict[str, set[str]]:
    """Returns the patients of each set."""
    names: dict[str, set[str]] = {}
    for sets in metrics.values():
        for name, systems in sets.items():
            names.setdefault(name, set()).update(*systems.values())
    return names
