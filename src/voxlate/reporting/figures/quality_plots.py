"""Box plots of the leading metrics, one dot per patient, and the loss curves of the training."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from voxlate.evaluation.metrics import Metric
from voxlate.evaluation.results import Evaluated, History, Loss
from voxlate.reporting import labels
from voxlate.reporting.case_selection import View
from voxlate.reporting.figures import drawing
from voxlate.web.html import Html, tag

_MOST_LINES = 60
_MOST_PLOTS = 6
_TICKS = {
    "source": "Source",
    "histogram_match": "Histogram\nmatch",
    "constant": "Constant",
    "blurred_target": "Blurred\ntarget",
    "synthetic": "Synthetic",
}
_MOST_POINTS = 300


def patient_means(evaluated: Evaluated, view: View, metric: str) -> dict[str, dict[str, float]]:
    """Returns method to patient to the mean of the patient's finite scores, in the order of the methods."""
    values: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in evaluated.evaluation.methods}
    for score in evaluated.scores:
        if view.holds(score) and score.metric == metric and math.isfinite(score.value) and score.method in values:
            values[score.method][score.patient].append(score.value)
    means = {name: {p: float(np.mean(v)) for p, v in by_patient.items()} for name, by_patient in values.items()}
    return {name: by_patient for name, by_patient in means.items() if by_patient}


def leading_metrics(evaluated: Evaluated, view: View) -> dict[str, str]:
    """Returns metric to unit for all metrics scored in the view, in the order of the table."""
    return {score.metric: score.unit for score in evaluated.scores if view.holds(score)}


def box_plots(evaluated: Evaluated, view: View) -> list[Html]:
    """Returns one figure for each of the leading metrics of the view."""
    kind = labels.DATA_KINDS[evaluated.evaluation.data_kind]
    plots = []
    units = leading_metrics(evaluated, view)
    for metric in labels.leading(units, _MOST_PLOTS):
        means = patient_means(evaluated, view, metric)
        if means:
            plots.append(_box_plot(metric, units[metric], means, kind=kind))
    return plots


def _box_plot(metric: str, unit: str, means: dict[str, dict[str, float]], *, kind: str) -> Html:
    known = labels.metric(metric)
    figure, axes = drawing.plot()
    _link_patients(axes, means)
    for place, (method, by_patient) in enumerate(means.items()):
        draw_box(axes, place, np.array(list(by_patient.values())), drawing.COLOURS.get(method, drawing.OTHER_COLOUR))
    axes.set_xticks(range(len(means)), [_wrapped(method) for method in means])
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel(f"{known.label} ({unit})" if unit else known.label)
    axes.set_title(f"{known.label} {known.arrow}".rstrip(), loc="left", fontsize=10, fontweight="bold")
    n = max(len(by_patient) for by_patient in means.values())
    medians = "; ".join(
        f"{labels.method(m)} {labels.number(float(np.median(list(v.values()))))}" for m, v in means.items()
    )
    alt = f"Box plot of {known.label}, n = {n}. Medians: {medians}."
    facts = f"n = {labels.count(n, 'patient')}. {kind}. {_sentence(known)}"
    return drawing.framed(drawing.inline_svg(figure, name=f"box-{slug(metric)}", alt=alt), caption=facts)


def _link_patients(axes: Axes, means: dict[str, dict[str, float]]) -> None:
    """Draws a faint line per patient, so that a paired gain is seen as such; too many would be a grey cloud."""
    patients = set.intersection(*(set(by_patient) for by_patient in means.values()))
    if len(patients) > _MOST_LINES:
        return
    for patient in sorted(patients):
        line = [by_patient[patient] for by_patient in means.values()]
        axes.plot(range(len(line)), line, color="#c3cad2", linewidth=0.6, zorder=1)


def draw_box(axes: Axes, place: int, values: np.ndarray, colour: str) -> None:
    """Draws a box at `place` with one dot per value, spread sideways so that equal ones are seen."""
    line = {"color": colour, "linewidth": 1.2}
    axes.boxplot(
        [values],
        positions=[place],
        widths=0.56,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": colour + "22", "edgecolor": colour},
        medianprops={"color": colour, "linewidth": 2.2},
        whiskerprops=line,
        capprops=line,
        zorder=2,
    )
    spread = np.random.default_rng(place).uniform(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
    axes.scatter(place + spread, values, s=11, color=colour, alpha=0.75, linewidths=0, zorder=3)


def _sentence(metric: Metric) -> str:
    parts = "; ".join(part for part in (metric.meaning, metric.direction) if part)
    return f"{parts[:1].upper()}{parts[1:]}." if parts else ""


def _wrapped(method: str) -> str:
    return _TICKS.get(method, method.replace("_", "\n"))


def slug(text: str) -> str:
    """Returns a text as it may stand in an id."""
    return "".join(letter if letter.isalnum() else "-" for letter in text)


def loss_curves(history: History | None) -> Html | None:
    """Returns the loss of training and validation over the steps; nothing without a history."""
    if history is None or not (_finite(history.training) or _finite(history.validation)):
        return None
    figure, axes = drawing.plot(4.8, 2.8)
    steps, losses, binned = _thinned(_finite(history.training))
    if steps.size:
        axes.plot(steps, losses, color=drawing.COLOURS["source"], linewidth=1.1, label="training")
    validation = _finite(history.validation)
    if validation:
        points = np.array([(row.step, row.loss) for row in validation], dtype=np.float64)
        best = points[np.argmin(points[:, 1])]
        axes.plot(*points.T, color=drawing.COLOURS["synthetic"], marker="o", markersize=3.5, label="validation")
        axes.set_title(f"Lowest validation loss at step {best[0]:,.0f}", loc="left", fontsize=9)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.legend(frameon=False, fontsize=8.5)
    facts = (
        f"{labels.count(len(history.training), 'training value')}, {labels.count(len(validation), 'validation value')}."
    )
    if binned > 1:
        facts += f" Each point of the training curve is the mean of {binned} consecutive values."
    image = drawing.inline_svg(figure, name="loss", alt="Loss of training and validation over the training steps.")
    return tag("div", drawing.framed(image, caption=facts, kind="plot wide"))


def _finite(rows: Sequence[Loss]) -> list[Loss]:
    return [row for row in rows if row.loss is not None and math.isfinite(row.loss)]


def _thinned(rows: Sequence[Loss]) -> tuple[np.ndarray, np.ndarray, int]:
    points = np.array([(row.step, row.loss) for row in rows], dtype=np.float64).reshape(-1, 2)
    size = max(1, math.ceil(len(points) / _MOST_POINTS))
    parts = [points[start : start + size].mean(axis=0) for start in range(0, len(points), size)]
    means = np.array(parts).reshape(-1, 2)
    return means[:, 0], means[:, 1], size
