"""Box plots of metrics with one dot per patient."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from voxlate.evaluation.metrics import Metric, metric_of
from voxlate.evaluation.schema.results import Evaluated
from voxlate.reporting.case_selection import View, usual_first
from voxlate.web import labels, plotting
from voxlate.web.document import note
from voxlate.web.html import Html

_MOST_LINES = 60
"""Most patients for whom lines are drawn. Chosen by hand: more lines are a grey area."""

_MOST_PLOTS = 6
"""Most box plots. Chosen by hand: two rows of three."""

_TICKS = {
    "source": "Source",
    "histogram_match": "Histogram\nmatch",
    "constant": "Constant",
    "blurred_target": "Blurred\ntarget",
    "synthetic": "Synthetic",
}


def patient_means(
    evaluated: Evaluated, view: View, metric: str, *, are_losses: bool = False
) -> dict[str, dict[str, float]]:
    """Returns the mean of each patient's finite scores, by method and patient, in the order of the methods.

    Args:
        evaluated: an evaluation folder.
        view: protocol, region and intensities of the scores.
        metric: name of the metric.
        are_losses: average `Metric.loss` of each score instead of the score, so that lower is better.
    """
    loss = metric_of(metric).loss
    values: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in evaluated.evaluation.methods}
    for score in evaluated.scores:
        if view.holds(score) and score.metric == metric and math.isfinite(score.value) and score.method in values:
            values[score.method][score.patient].append(loss(score.value) if are_losses else score.value)
    means = {name: {p: float(np.mean(v)) for p, v in by_patient.items()} for name, by_patient in values.items()}
    return {name: by_patient for name, by_patient in means.items() if by_patient}


def units_of_metrics(evaluated: Evaluated, view: View) -> dict[str, str]:
    """Returns the units of all metrics that have scores in the view, by name, in the order of the scores."""
    return {score.metric: score.unit for score in evaluated.scores if view.holds(score)}


def no_plots(*, sets: int = 1) -> Html:
    """Returns the sentence that stands in place of plots over patients when there is one patient only.

    Args:
        sets: number of test sets, each with one patient.
    """
    of_each = " of each set" if sets > 1 else ""
    return note(f"One patient{of_each} was evaluated, so there are no plots over patients; the tables hold the values.")


def box_plots(evaluated: Evaluated, view: View) -> list[Html]:
    """Returns one box plot for each of the first metrics of the view."""
    kind = labels.DATA_KINDS[evaluated.evaluation.data_kind]
    plots = []
    units = units_of_metrics(evaluated, view)
    for metric in usual_first(units, _MOST_PLOTS):
        means = patient_means(evaluated, view, metric)
        if means:
            plots.append(_box_plot(metric, units[metric], means, kind=kind))
    return plots


def _box_plot(metric: str, unit: str, means: dict[str, dict[str, float]], *, kind: str) -> Html:
    described = metric_of(metric)
    figure, axes = plotting.plot()
    link_patients(axes, means)
    for position, (method, by_patient) in enumerate(means.items()):
        draw_box(
            axes, position, np.array(list(by_patient.values())), plotting.COLOURS.get(method, plotting.OTHER_COLOUR)
        )
    axes.set_xticks(range(len(means)), [_wrapped(method) for method in means])
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel(f"{described.label} ({unit})" if unit else described.label)
    axes.set_title(f"{described.label} {described.arrow}".rstrip(), loc="left", fontsize=10, fontweight="bold")
    n = max(len(by_patient) for by_patient in means.values())
    medians = "; ".join(
        f"{labels.method(m)} {labels.number(float(np.median(list(v.values()))))}" for m, v in means.items()
    )
    alt = f"Box plot of {described.label}, n = {n}. Medians: {medians}."
    facts = f"n = {labels.count(n, 'patient')}. {kind}. {_sentence(described)}"
    return plotting.framed(plotting.inline_svg(figure, name=f"box-{slug(metric)}", alt=alt), caption=facts)


def link_patients(axes: Axes, means: Mapping[str, Mapping[str, float]], *, start: int = 0) -> None:
    """Draws a faint line per patient, which makes paired differences visible; none for more than `_MOST_LINES`.

    Args:
        axes: of a plot with one box per method at `start`, `start` + 1 and so on.
        means: value by patient, by method; patients whom a method lacks have no line.
        start: position of the first box.
    """
    patients = set.intersection(*(set(by_patient) for by_patient in means.values()))
    if len(patients) > _MOST_LINES:
        return
    for patient in sorted(patients):
        line = [by_patient[patient] for by_patient in means.values()]
        axes.plot(range(start, start + len(line)), line, color="#c3cad2", linewidth=0.6, zorder=1)


def draw_box(axes: Axes, position: int, values: np.ndarray, colour: str) -> None:
    """Draws a box with one dot per value; dots are spread sideways so that equal values stay visible.

    Args:
        axes: of a plot.
        position: of the box on the x axis; also the seed of the sideways spread.
        values: shape (n,), in the unit of the y axis.
        colour: of box and dots.
    """
    line = {"color": colour, "linewidth": 1.2}
    axes.boxplot(
        [values],
        positions=[position],
        widths=0.56,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": colour + "22", "edgecolor": colour},
        medianprops={"color": colour, "linewidth": 2.2},
        whiskerprops=line,
        capprops=line,
        zorder=2,
    )
    spread = np.random.default_rng(position).uniform(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
    axes.scatter(position + spread, values, s=11, color=colour, alpha=0.75, linewidths=0, zorder=3)


def _sentence(metric: Metric) -> str:
    parts = "; ".join(part for part in (metric.meaning, metric.direction) if part)
    return f"{parts[:1].upper()}{parts[1:]}." if parts else ""


def _wrapped(method: str) -> str:
    return _TICKS.get(method, method.replace("_", "\n"))


def slug(text: str) -> str:
    """Returns a text as part of an HTML id: other characters than letters and digits become hyphens."""
    return "".join(letter if letter.isalnum() else "-" for letter in text)
