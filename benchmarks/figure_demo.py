"""Draws docs/images/demo.png from the folder that `make demo` left: one simulated patient, by rule the median case.

python benchmarks/figure_demo.py [demo]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from voxlate.io.nifti import read_volume
from voxlate.preparation.steps.orientation import ToRas
from voxlate.volume import Array

TITLES = {"source": "source: T1 after contrast agent", "target": "target: T1 before it", "synthetic": "synthetic T1"}


def axial(path: Path, level: float, index: int | None = None) -> tuple[Array, int]:
    """Returns an axial slice in relative units, and its index: the one asked for or that of the largest brain."""
    volume = read_volume(path)
    data = ToRas(volume.grid).apply(volume).data / level
    chosen = int((data != 0).sum(axis=(0, 1)).argmax()) if index is None else index
    return data[:, :, chosen], chosen


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo") / "evaluation"
    content = json.loads((folder / "evaluation.json").read_text())
    heading, *lines = (line.split("\t") for line in (folder / "scores.tsv").read_text().splitlines())
    rows = [dict(zip(heading, line, strict=True)) for line in lines]
    wanted = {"method": "synthetic", "region": "mask", "metric": "mae", "intensity": "as_written"}
    errors = {row["case"]: float(row["value"]) for row in rows if wanted.items() <= row.items()}
    name = sorted(errors, key=lambda case: errors[case])[(len(errors) - 1) // 2]
    case = next(case for case in content["cases"] if case["case"] == name)
    levels = case["reference_level"]
    made, index = axial(folder / case["paths"]["synthetic"], levels["synthetic"])
    source, _ = axial(folder / case["paths"]["source"], levels["source"], index)
    target, _ = axial(folder / case["paths"]["target"], levels["target"], index)
    brain = made != 0
    high = case["display_range"][1]
    figure = Figure(figsize=(11, 3.5), facecolor="black")
    images = {"source": source, "target": target, "synthetic": made}
    for place, (role, image) in enumerate(images.items(), start=1):
        show(figure.add_subplot(1, 4, place), np.where(brain, image, 0), TITLES[role], brain=brain, high=high)
    error = np.where(brain, made - target, np.nan)
    show(figure.add_subplot(1, 4, 4), error, "synthetic - target, ±0.5", brain=brain)
    figure.subplots_adjust(0, 0, 1, 0.9, 0.02, 0)
    output = Path(__file__).resolve().parents[1] / "docs" / "images" / "demo.png"
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=100, facecolor="black")
    print(f"{output.name}: {name}, simulated, the median of {len(errors)} by MAE ({errors[name]:.2f} % of range)")


def show(axes: Axes, image: Array, title: str, *, brain: Array, high: float | None = None) -> None:
    """Draws a slice in its display window, or without one as an error about zero."""
    columns, rows = np.flatnonzero(brain.any(axis=1)), np.flatnonzero(brain.any(axis=0))
    part = image[columns[0] - 2 : columns[-1] + 3, rows[0] - 2 : rows[-1] + 3]
    options = (
        {"cmap": "RdBu_r", "vmin": -0.5, "vmax": 0.5} if high is None else {"cmap": "gray", "vmin": 0, "vmax": high}
    )
    axes.imshow(part.T, origin="lower", interpolation="bilinear", **options)
    axes.set_title(title, color="white", fontsize=10)
    axes.set_axis_off()


if __name__ == "__main__":
    main()
