"""Draws heads from label maps: T1w, T1ce and a sagittal T1ce of three subjects.

    python benchmarks/figure_label_heads.py FOLDER

FOLDER holds label maps; without the argument those of the development data.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from machine import ROOT, development_data

from voxlate.simulation import Options, simulate_subject
from voxlate.simulation.anatomy.label_map import LabelMaps


def main() -> None:
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else development_data("anatomies")
    if given is None:
        print("there are no label maps; nothing was drawn")
        return
    options = Options(anatomies=LabelMaps.find(given))
    figure, axes = plt.subplots(3, 4, figsize=(12, 10.4), facecolor="black")
    for row, subject in zip(axes, range(3), strict=True):
        made = simulate_subject("t1ce_t1", seed=1, subject=subject, size="full", options=options)
        before, after = (made.images[name].data for name in ("T1w", "T1ce"))
        bright = float(np.percentile(before[made.truth.brain_mask.data > 0.5], 99.5)) * 1.3
        i, j, k = before.shape
        for axis, picture in zip(
            row, (before[:, :, k * 6 // 10], after[:, :, k * 6 // 10], after[i // 2], before[:, j // 2]), strict=True
        ):
            axis.imshow(np.rot90(picture), cmap="gray", vmin=0, vmax=bright)
            axis.axis("off")
    for axis, title in zip(axes[0], ("T1w", "T1ce", "T1ce", "T1w"), strict=True):
        axis.set_title(f"simulated {title}", color="white")
    figure.tight_layout()
    figure.savefig(ROOT / "docs" / "images" / "label-heads.png", dpi=80, facecolor="black")


if __name__ == "__main__":
    main()
