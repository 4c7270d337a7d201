"""Draws what the models of CT make of two simulated heads.

    python benchmarks/bench_simulated_models.py
    python benchmarks/figure_ct.py

Rows: a head of a known scanner, and a head of a scanner that training never saw.
"""

from __future__ import annotations

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from bench_simulated_models import SETS, heads
from machine import ROOT

from voxlate.bundle.pretrained import load_bundle
from voxlate.cases import read_cases
from voxlate.inference.translate import Options, translate_volume
from voxlate.io.nifti import read_volume
from voxlate.preparation.steps.orientation import ToRas
from voxlate.volume import Array, Volume

TITLES = ("CT", "T1, translated", "T1, simulated", "T2, translated", "T2, simulated")
BRAIN_HU = (-20, 100)


def upright(volume: Volume) -> Array:
    """Returns the voxels in the order of RAS+."""
    return ToRas(volume.grid).apply(volume).data


def draw(axes: list[plt.Axes], scan: Volume, targets: list[Volume], mask: Volume | None) -> None:
    """Draws a CT, its translations and what they should show, in the axial slice above the middle of the brain."""
    made = []
    for name in ("ct-to-t1", "ct-to-t2"):
        options = Options(gate="flag")
        made.append(upright(translate_volume(load_bundle(name), scan, mask, options=options).volume))
    shown = [index for index in range(made[0].shape[2]) if made[0][:, :, index].any()]
    level = shown[len(shown) * 6 // 10]
    images = [upright(scan), made[0], targets[0], made[1], targets[1]]
    for axis, image in zip(axes, images, strict=True):
        axis.axis("off")
        data = upright(image) if isinstance(image, Volume) else image
        inside = made[0] > 0
        low, high = BRAIN_HU if data.min() < 0 else (0.0, float(np.quantile(data[inside], 0.99)) * 1.1)
        axis.imshow(np.rot90(data[:, :, level]), cmap="gray", vmin=low, vmax=high)


def main() -> None:
    figure, axes = plt.subplots(2, 5, figsize=(12.5, 5.8), facecolor="black")
    for row, part in zip(axes, SETS["ct_to_mr"], strict=True):
        case = read_cases(heads("ct_to_mr", part) / "cases.tsv")[1]
        mask = None if case.mask is None else read_volume(case.mask)
        targets: list[Volume] = [read_volume(case.target), read_volume(case.more["T2w"])]
        draw(list(row), read_volume(case.source), targets, mask)
    for axis, title in zip(axes[0], TITLES, strict=True):
        axis.set_title(title, color="white")
    figure.tight_layout()
    figure.savefig(ROOT / "docs" / "images" / "ct-to-mr.png", dpi=60, facecolor="black")


if __name__ == "__main__":
    main()
