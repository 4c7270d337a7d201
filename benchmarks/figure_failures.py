"""Draws each simulated patient on the scanner where the pretrained model errs most in lesions.

    python benchmarks/bench_scanners.py
    python benchmarks/figure_failures.py

The slice is the one with the largest error in lesions. All images are in units of their medians in the brain.
"""

from __future__ import annotations

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from bench_scanners import MODELS, RUN, on_grid_of_source, run_of, sequence_of
from machine import ROOT, case_scores

from voxlate.bundle.pretrained import load_bundle
from voxlate.cases import Case, read_cases
from voxlate.io.nifti import read_volume
from voxlate.preparation.steps.orientation import ToRas
from voxlate.simulation.physics.scanners import SCANNERS
from voxlate.volume import Array, Volume

TITLES = ("source", "translated", "target", "translated - target")


def upright(volume: Volume) -> Array:
    """Returns the voxels in the order of RAS+."""
    return ToRas(volume.grid).apply(volume).data


def ranked() -> list[tuple[float, str, Case]]:
    """Returns the largest MAE in lesions of each patient with its scanner and case, the largest first."""
    weights = load_bundle(MODELS[0]).weights_sha256
    found = []
    for name in SCANNERS:
        for row in read_cases(RUN / "heads" / name / "cases.tsv"):
            case = on_grid_of_source(row, RUN / "heads" / name)
            scores = case_scores(run_of(MODELS[0], weights, name) / "evaluation", case.case)
            for method, protocol, region, metric, value in scores:
                if (method, protocol, region, metric) == ("synthetic", "voxlate", "lesion", "mae"):
                    found.append((value, name, case))
    found.sort(key=lambda each: -each[0])
    worst = {case.patient: (error, name, case) for error, name, case in reversed(found)}
    return sorted(worst.values(), key=lambda each: -each[0])


def draw(row: list[plt.Axes], error: float, scanner: str, case: Case) -> None:
    """Draws a case in the axial slice with the largest error in its lesions."""
    weights = load_bundle(MODELS[0]).weights_sha256
    made = run_of(MODELS[0], weights, scanner) / "synthetic" / f"{case.case}.nii.gz"
    if case.mask is None or case.labels is None:
        raise SystemExit(f"{case.case} has no mask or no lesions")
    paths = (case.source, made, case.target, case.mask, case.labels)
    source, synthetic, target, mask, labels = (upright(read_volume(path)) for path in paths)
    inside, lesions = mask > 0, labels > 0
    source, synthetic, target = (image / np.median(image[inside]) for image in (source, synthetic, target))
    difference = np.where(inside, synthetic - target, 0)
    level = int(np.argmax((np.abs(difference) * lesions).sum(axis=(0, 1))))
    top = 1.1 * float(np.quantile(target[inside], 0.995))
    (left, right), (low, high) = (np.flatnonzero(inside.any(axis=each))[[0, -1]] for each in ((1, 2), (0, 2)))
    brain = slice(left, right + 1), slice(low, high + 1), level
    images = (source * inside, synthetic, target * inside, difference)
    for axis, image, is_signed in zip(row, images, (False, False, False, True), strict=True):
        axis.axis("off")
        shown = {"cmap": "RdBu_r", "vmin": -0.7, "vmax": 0.7} if is_signed else {"cmap": "gray", "vmin": 0, "vmax": top}
        axis.imshow(np.rot90(image[brain]), **shown)
    about = f"{sequence_of(SCANNERS[scanner])}\nMAE in lesions {error:.0f} %"
    row[0].text(-0.04, 0.5, about, transform=row[0].transAxes, color="white", rotation=90, ha="right", va="center")


def main() -> None:
    chosen = ranked()
    figure, axes = plt.subplots(len(chosen), len(TITLES), figsize=(11, 13.5), facecolor="black", squeeze=False)
    for row, (error, scanner, case) in zip(axes, chosen, strict=True):
        draw(list(row), error, scanner, case)
    for axis, title in zip(axes[0], TITLES, strict=True):
        axis.set_title(title, color="white")
    figure.subplots_adjust(left=0.06, right=0.99, bottom=0.01, top=0.97, wspace=0.02, hspace=0.03)
    figure.savefig(ROOT / "docs" / "images" / "failures.png", dpi=60, facecolor="black")


if __name__ == "__main__":
    main()
