"""Draws the cost laws of docs/cost.md: time and memory against size, with the measured limits of the machine.

python benchmarks/bench_cost_laws.py
python benchmarks/figure_cost_laws.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from cost_fit import CostLaw, law_of
from machine import RESULTS, ROOT
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from voxlate.web import plotting

WIDTH_IN, HEIGHT_IN = 4.0, 3.0
"""Size of a plot; two beside each other are 1280 pixels wide."""

MEASURED, SECOND, LIMIT = plotting.SERIES_COLOURS[0], plotting.SERIES_COLOURS[1], plotting.MUTED
DASHES = ("--", ":", "-.")

Rows = Sequence[dict[str, Any]]


def words(value: float, _: object = None) -> str:
    """Returns a number as axes show it: 0.5, 20, 3 k, 8.9 M."""
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def points(axes: Axes, rows: Rows, size: str, cost: str, law: CostLaw | None, *, scale: float = 1, **look: Any) -> None:
    """Draws measured costs and their law, if there is one."""
    x = np.array([row[size] for row in rows], dtype=float)
    colour, label = look.get("color", MEASURED), look.get("label", "measured, its law")
    axes.plot(
        x, [row[cost] / scale for row in rows], look.get("marker", "o"), color=colour, markersize=4.5, label=label
    )
    if law is None:
        return
    dense = np.geomspace(x.min(), x.max(), 60)
    axes.plot(dense, [law.at(each) / scale for each in dense], color=colour, linewidth=1.2)


def limits(axes: Axes, rows: Rows, size: str, lines: dict[str, Callable[[dict[str, Any]], float]]) -> None:
    """Draws the least time that each limit allows."""
    ordered = sorted(rows, key=lambda row: float(row[size]))
    for dash, (label, least) in zip(DASHES, lines.items(), strict=False):
        values = [least(row) for row in ordered]
        axes.plot([row[size] for row in ordered], values, dash, color=LIMIT, linewidth=1.1, label=label)


def finish(axes: Axes, *, x: str, y: str, sizes: Sequence[float], is_log: bool) -> None:
    """Names the axes and puts the legend above; the measured sizes are the ticks, on a logarithmic axis."""
    axes.set_xscale("log")
    axes.set_xticks(list(sizes), [words(value) for value in sizes])
    axes.set_xticks([], minor=True)
    if is_log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(words))
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    else:
        axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
    axes.set(xlabel=x, ylabel=y)
    axes.legend(frameon=False, fontsize=7, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)


def by_group(axes: Axes, part: dict[str, Any], group: str, size: str, cost: str, *, scale: float, name: str) -> None:
    """Draws the costs of each group, one window or two, one worker or two, with its own law."""
    for (key, laws), colour, marker in zip(part["laws"].items(), (MEASURED, SECOND), "os", strict=True):
        rows = [row for row in part["rows"] if str(row[group]) == key]
        label = f"{key} {name}{'s' if key != '1' else ''}"
        law = law_of(laws[cost]) if laws else None
        points(axes, rows, size, cost, law, scale=scale, color=colour, marker=marker, label=label)


def training(content: dict[str, Any]) -> None:
    part, best = content["training"], content["limits"]
    figure, (time, memory) = plotting.plots(2, WIDTH_IN, HEIGHT_IN)
    for cost, axes, scale in (("processor_s", time, 1), ("peak_mib", memory, 1024)):
        by_group(axes, part, "batch", "voxels", cost, scale=scale, name="window")
    limits(time, part["rows"], "voxels", floating(best))
    sizes = [min(row["voxels"] for row in part["rows"])]
    sizes += [row["voxels"] for row in part["rows"] if row["batch"] == 2]  # all would stand too close
    finish(time, x="voxels in a step", y="processor seconds of a step", sizes=sizes, is_log=True)
    finish(memory, x="voxels in a step", y="peak memory (GiB)", sizes=sizes, is_log=False)
    plotting.save(figure, image("training"))


def floating(best: dict[str, Any]) -> dict[str, Callable[[dict[str, Any]], float]]:
    return {
        "limit: plain convolution": lambda row: row["gflop"] / best["convolution_gflop_s"],
        "limit: matrix product": lambda row: row["gflop"] / best["matrix_product_gflop_s"],
    }


def through_disk(best: dict[str, Any]) -> Callable[[dict[str, Any]], float]:
    def least(row: dict[str, Any]) -> float:
        written = row.get("out_bytes", 0) / best["disk_write_mb_s"]
        return float((row["read_bytes"] / best["disk_read_mb_s"] + written) / 1e6)

    return least


def translation(content: dict[str, Any]) -> None:
    part, best = content["translation"], content["limits"]
    rows, law = part["rows"], {name: law_of(row) for name, row in part["laws"].items()}
    figure, (time, memory) = plotting.plots(2, WIDTH_IN, HEIGHT_IN)
    points(time, rows, "voxels", "processor_s", law["processor_s"])
    start = best["start"]["processor_s"]
    time.axhline(start, color=SECOND, linewidth=1.1, label="start of the program")
    limits(time, rows, "voxels", floating(best) | {"limit: disk": through_disk(best)})
    points(memory, rows, "voxels", "peak_mib", law["peak_mib"], scale=1024)
    memory.axhline(best["start"]["peak_mib"] / 1024, color=SECOND, linewidth=1.1, label="start of the program")
    sizes = [row["voxels"] for row in rows]
    finish(time, x="voxels of the scan", y="processor seconds of a scan", sizes=sizes, is_log=True)
    finish(memory, x="voxels of the scan", y="peak memory (GiB)", sizes=sizes, is_log=False)
    plotting.save(figure, image("translation"))


def evaluation(content: dict[str, Any]) -> None:
    best = content["limits"]
    figure, axes = plotting.grid(4, columns=2, width_in=WIDTH_IN, height_in=HEIGHT_IN * 0.9)
    parts = (("evaluation", "voxels", "voxels of the case"), ("cases", "cases", "cases of 48 x 48 x 48 voxels"))
    for (name, size, x), time, memory in zip(parts, axes[::2], axes[1::2], strict=True):
        rows, law = content[name]["rows"], {key: law_of(row) for key, row in content[name]["laws"].items()}
        points(time, rows, size, "processor_s", law["processor_s"])
        operations = {"limit: filters as a product": floating(best)["limit: matrix product"]}
        if name == "evaluation":
            operations["limit: disk"] = through_disk(best)
        limits(time, rows, size, operations)
        points(memory, rows, size, "peak_mib", law["peak_mib"], scale=1024)
        sizes = [row[size] for row in rows]
        finish(time, x=x, y="processor seconds", sizes=sizes, is_log=True)
        finish(memory, x=x, y="peak memory (GiB)", sizes=sizes, is_log=False)
    plotting.save(figure, image("evaluation"))


def index(content: dict[str, Any]) -> None:
    part, best = content["index"], content["limits"]
    rows, law = part["rows"], {name: law_of(row) for name, row in part["laws"].items()}
    figure, (time, memory) = plotting.plots(2, WIDTH_IN, HEIGHT_IN)
    points(time, rows, "series", "processor_s", law["processor_s"])
    limits(
        time,
        rows,
        "series",
        {
            "limit: files read, no more": lambda row: row["plain_read_s"],
            "limit: disk": through_disk(best),
        },
    )
    points(memory, rows, "series", "peak_mib", law["peak_mib"])
    sizes = [row["series"] for row in rows]
    finish(time, x="series, one file each", y="processor seconds", sizes=sizes, is_log=True)
    finish(memory, x="series, one file each", y="peak memory (MiB)", sizes=sizes, is_log=False)
    plotting.save(figure, image("index"))


def batch(content: dict[str, Any]) -> None:
    part, best = content["batch"], content["limits"]
    figure, (time, memory) = plotting.plots(2, WIDTH_IN, HEIGHT_IN)
    by_group(time, part, "workers", "cases", "processor_s", scale=1, name="worker")
    by_group(memory, part, "workers", "cases", "together_mib", scale=1024, name="worker")
    limits(time, [row for row in part["rows"] if row["workers"] == 1], "cases", floating(best))
    sizes = sorted({row["cases"] for row in part["rows"]})
    finish(time, x="scans of 96 x 96 x 62 voxels", y="processor s of all processes", sizes=sizes, is_log=True)
    finish(memory, x="scans of 96 x 96 x 62 voxels", y="memory of all processes (GiB)", sizes=sizes, is_log=False)
    plotting.save(figure, image("batch"))


def image(name: str) -> Any:
    return ROOT / "docs" / "images" / f"cost-{name}.png"


def main() -> None:
    content = json.loads((RESULTS / "cost_laws.json").read_text(encoding="utf-8"))
    for draw in (training, translation, evaluation, index, batch):
        draw(content)


if __name__ == "__main__":
    main()
