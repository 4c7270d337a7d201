"""Plots of tissue volumes: differences as in Bottani et al. 2024 (Fig. 5), and agreement by Bland and Altman.

There is one plot per segmenter and tissue, from records with `patient`, `tissue`, `method`, `volume_cm3` and
`target_cm3`. If all records have `vd_cm3`, the published difference (target − method, scaled to the mean intracranial
volume), the plot shows it; else it shows target − method.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np

from voxlate.evaluation.statistics import MINIMUM_PATIENTS, bland_altman
from voxlate.reporting.figures.quality_plots import draw_box, slug
from voxlate.web import labels, plotting
from voxlate.web.html import Html, tag

_NEEDED = ("patient", "tissue", "method", "volume_cm3", "target_cm3")
_SHOWN = ("source", "histogram_match", "synthetic", "target_again")
_LABEL_LETTERS = 10  # letters that fit under a box

Record = Mapping[str, Any]


def plots(volumes: Sequence[Record], *, data_kind: str) -> Html | None:
    """Returns a plot of volume differences and a Bland–Altman plot per tissue; None when the records lack a column.

    Args:
        volumes: one record per patient, tissue and method.
        data_kind: `real`, `simulated` or `unknown`.
    """
    rows = [row for row in volumes if all(row.get(key) is not None for key in _NEEDED)]
    kind = labels.DATA_KINDS[data_kind]
    drawn: list[Html] = []
    for tissue in dict.fromkeys(_name(row) for row in rows):
        inside = [row for row in rows if _name(row) == tissue]
        drawn.append(_difference_plot(tissue, inside, kind))
        ours = [row for row in inside if row["method"] == "synthetic"]
        if len({row["patient"] for row in ours}) >= MINIMUM_PATIENTS:
            drawn.append(_agreement_plot(tissue, ours, kind))
    return tag("div", drawn, class_="plots") if drawn else None


def _name(row: Record) -> str:
    """Returns the tissue with its segmenter; volumes of two segmenters are never averaged."""
    segmenter = row.get("segmenter")
    return f"{row['tissue']} ({segmenter})" if segmenter else str(row["tissue"])


def _by_patient(rows: Sequence[Record], value: str) -> dict[str, float]:
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        values[str(row["patient"])].append(float(row[value]))
    return {patient: float(np.mean(own)) for patient, own in values.items()}


def _difference_plot(tissue: str, rows: Sequence[Record], kind: str) -> Html:
    is_published = all(row.get("vd_cm3") is not None for row in rows)
    methods = [method for method in _SHOWN if any(row["method"] == method for row in rows)]
    figure, axes = plotting.plot()
    axes.axhline(0, color=plotting.INK, linewidth=0.8)
    medians = []
    for position, method in enumerate(methods):
        ours = [row for row in rows if row["method"] == method]
        values = _differences(ours, is_published=is_published)
        draw_box(axes, position, values, plotting.COLOURS.get(method, plotting.OTHER_COLOUR))
        medians.append(f"{labels.method(method)} {labels.number(float(np.median(values)))}")
    axes.set_xticks(
        range(len(methods)), [fill(labels.method(m).replace(" (model)", ""), _LABEL_LETTERS) for m in methods]
    )
    axes.set_ylabel("volume difference (cm³)")
    axes.set_title(f"{tissue}: volume difference", loc="left", fontsize=10, fontweight="bold")
    n = len({row["patient"] for row in rows})
    scaled = ", scaled to the mean intracranial volume" if is_published else ""
    facts = (
        f"n = {labels.count(n, 'patient')}. {kind}. Target − method{scaled}; below 0 the method's volume is too large."
    )
    alt = f"Volume difference of {tissue}, n = {n}. Medians in cm³: {'; '.join(medians)}."
    return plotting.framed(plotting.inline_svg(figure, name=f"vd-{slug(tissue)}", alt=alt), caption=facts)


def _differences(rows: Sequence[Record], *, is_published: bool) -> np.ndarray:
    if is_published:
        return np.array(list(_by_patient(rows, "vd_cm3").values()))
    target, method = _by_patient(rows, "target_cm3"), _by_patient(rows, "volume_cm3")
    return np.array([target[patient] - method[patient] for patient in target])


def _agreement_plot(tissue: str, rows: Sequence[Record], kind: str) -> Html:
    target, ours = (np.array(list(_by_patient(rows, key).values())) for key in ("target_cm3", "volume_cm3"))
    agreement = bland_altman(ours, target)
    figure, axes = plotting.plot()
    axes.scatter((ours + target) / 2, ours - target, s=16, color=plotting.COLOURS["synthetic"], linewidths=0, zorder=3)
    levels = [
        (agreement.bias, agreement.bias_interval, "-"),
        (agreement.lower, agreement.lower_interval, "--"),
        (agreement.upper, agreement.upper_interval, "--"),
    ]
    for level, interval, line in levels:
        axes.axhspan(*interval, color=plotting.COLOURS["synthetic"], alpha=0.1, linewidth=0)
        axes.axhline(level, color=plotting.COLOURS["synthetic"], linestyle=line, linewidth=1.1)
    axes.set_xlabel("mean of both (cm³)")
    axes.set_ylabel("synthetic − target (cm³)")
    axes.set_title(f"{tissue}: agreement", loc="left", fontsize=10, fontweight="bold")
    limits = f"{labels.number(agreement.lower)} to {labels.number(agreement.upper)} cm³"
    result = f"Bias {labels.number(agreement.bias)} cm³, limits of agreement {limits}"
    facts = f"n = {labels.count(agreement.n, 'patient')}. {kind}. {result}. Shaded: their 95 % intervals."
    alt = f"Bland–Altman plot of {tissue}, n = {agreement.n}. {result}."
    return plotting.framed(plotting.inline_svg(figure, name=f"agreement-{slug(tissue)}", alt=alt), caption=facts)
