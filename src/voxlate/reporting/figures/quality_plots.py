"""Box plots of metrics with one dot per patient, and the loss curves of the training."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from voxlate.evaluation.metrics import Metric, metric_of
from voxlate.evaluation.schema.results import Evaluated, History, Loss
from voxlate.reporting.case_selection import View, usual_first
from voxlate.web import labels, plotting
from voxlate.web.html import Html, tag

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
_MOST_POINTS = 300
"""Most points of a training curve. Chosen by hand: about one per point (1/72 inch) of the plot's width."""


def patient_means(evaluated: Evaluated, view: View, metric: str) -> dict[str, dict[str, float]]:
    """Returns the mean of each patient's finite scores, by method and patient, in the order of the methods.

    Args:
        evaluated: an evaluation folder.
        view: protocol, region and intensities of the scores.
        metric: name of the metric.
    """
    values: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in evaluated.evaluation.methods}
    for score in evaluated.scores:
        if view.holds(score) and score.metric == metric and math.isfinite(score.value) and score.method in values:
            values[score.method][score.patient].append(score.value)
    means = {name: {p: float(np.mean(v)) for p, v in by_patient.items()} for name, by_patient in values.items()}
    return {name: by_patient for name, by_patient in means.items() if by_patient}


def leading_metrics(evaluated: Evaluated, view: View) -> dict[str, str]:
    """Returns the units of all metrics that have scores in the view, by name, in the order of the scores."""
    return {score.metric: score.unit for score in evaluated.scores if view.holds(score)}


def box_plots(evaluated: Evaluated, view: View) -> list[Html]:
    """Returns one box plot for each of the first metrics of the view."""
    kind = labels.DATA_KINDS[evaluated.evaluation.data_kind]
    plots = []
    units = leading_metrics(evaluated, view)
    for metric in usual_first(units, _MOST_PLOTS):
        means = patient_means(evaluated, view, metric)
        if means:
            plots.append(_box_plot(metric, units[metric], means, kind=kind))
    return plots


def _box_plot(metric: str, unit: str, means: dict[str, dict[str, float]], *, kind: str) -> Html:
    described = metric_of(metric)
    figure, axes = plotting.plot()
    _link_patients(axes, means)
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


def _link_patients(axes: Axes, means: dict[str, dict[str, float]]) -> None:
    """Draws a faint line per patient, which makes paired differences visible."""
    patients = set.intersection(*(set(by_patient) for by_patient in means.values()))
    if len(patients) > _MOST_LINES:
        return
    for patient in sorted(patients):
        line = [by_patient[patient] for by_patient in means.values()]
        axes.plot(range(len(line)), line, color="#c3cad2", linewidth=0.6, zorder=1)


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


def loss_curves(history: History | None) -> Html | None:
    """Returns a plot of training and validation loss over the steps; None without a history of losses."""
    if history is None or not (_finite(history.training) or _finite(history.validation)):
        return None
    figure, axes = plotting.plot(4.8, 2.8)
    steps, losses, binned = _thinned(_finite(history.training))
    if steps.size:
        axes.plot(steps, losses, color=plotting.COLOURS["source"], linewidth=1.1, label="training")
    validation = _finite(history.validation)
    if validation:
        points = np.array([(row.step, row.loss) for row in validation], dtype=np.float64)
        best = points[np.argmin(points[:, 1])]
        axes.plot(*points.T, color=plotting.COLOURS["synthetic"], marker="o", markersize=3.5, label="validation")
        axes.set_title(f"Lowest validation loss at step {best[0]:,.0f}", loc="left", fontsize=9)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.legend(frameon=False, fontsize=8.5)
    facts = (
        f"{labels.count(len(history.training), 'training value')}, {labels.count(len(validation), 'validation value')}."
    )
    if binned > 1:
        facts += f" Each point of the training curve is the mean of {binned} consecutive values."
    image = plotting.inline_svg(figure, name="loss", alt="Loss of training and validation over the training steps.")
    return tag("div", plotting.framed(image, caption=facts, kind="plot wide"))


def _finite(rows: Sequence[Loss]) -> list[Loss]:
    return [row for row in rows if row.loss is not None and math.isfinite(row.loss)]


def _thinned(rows: Sequence[Loss]) -> tuple[np.ndarray, np.ndarray, int]:
    points = np.array([(row.step, row.loss) for row in rows], dtype=np.float64).reshape(-1, 2)
    size = max(1, math.ceil(len(points) / _MOST_POINTS))
    parts = [points[start : start + size].mean(axis=0) for start in range(0, len(points), size)]
    means = np.array(parts).reshape(-1, 2)
    return means[:, 0], means[:, 1], size
