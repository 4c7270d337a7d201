"""How well each way of segmenting tissues finds the simulated truth, and whether it sees one brain as one.

    python benchmarks/bench_tissues.py [--heads 6]

Simulated heads at 2 mm that no method was tuned on: Dice against the truth, before (T1w) and after contrast agent
(T1ce). Real pairs of the development data: Dice between the tissues of T1 and T1ce of one brain, each by itself; a
method that contrast agent does not disturb sees the same tissues twice.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import write_result

from voxlate.evaluation.tissues import SEGMENTERS, TISSUES, dice, segmenters_for
from voxlate.io.nifti import read_volume
from voxlate.preparation.steps.orientation import ToRas
from voxlate.simulation import simulate_subject
from voxlate.simulation.truth import LABELS
from voxlate.volume import Volume

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "pairs"
NAMES = (*SEGMENTERS, "priors")


def simulated(count: int) -> dict[str, Any]:
    found: dict[str, dict[str, list[list[float]]]] = {}
    for seed in range(200, 200 + count):
        subject = simulate_subject("t1ce_t1", seed=seed, size="small")
        mask = subject.truth.brain_mask.data > 0.5
        segmenters = segmenters_for(subject.images["T1w"], mask, ("priors",))
        for contrast in ("T1w", "T1ce"):
            image = np.where(mask, subject.images[contrast].data, 0).astype(np.float32)
            for name in NAMES:
                labels = segmenters[name](image, mask, spacing_mm=subject.images[contrast].spacing_mm)
                row = [
                    dice(labels == number, mask & (subject.truth.labels.data == LABELS[tissue.lower()]))
                    for tissue, number in TISSUES.items()
                ]
                found.setdefault(contrast, {}).setdefault(name, []).append(row)
    return {contrast: {name: _rows(rows) for name, rows in methods.items()} for contrast, methods in found.items()}


def real() -> dict[str, Any]:
    found: dict[str, list[list[float]]] = {name: [] for name in NAMES}
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    for folder in sorted(DATA.iterdir()):
        before, after = (_in_ras(read_volume(folder / f"{name}.nii.gz")) for name in ("t1", "t1ce"))
        mask = (before.data != 0) & (after.data != 0)
        segmenters = segmenters_for(before, mask, ("priors",))
        for name in NAMES:
            start = time.perf_counter()
            labels = [segmenters[name](image.data, mask, spacing_mm=image.spacing_mm) for image in (before, after)]
            seconds[name].append((time.perf_counter() - start) / 2)
            found[name].append([dice(*(each == number for each in labels)) for number in TISSUES.values()])
    return {name: _rows(rows) | {"seconds": round(float(np.median(seconds[name])), 1)} for name, rows in found.items()}


def _in_ras(volume: Volume) -> Volume:
    return ToRas(volume.grid).apply(volume)


def _rows(rows: list[list[float]]) -> dict[str, Any]:
    means = np.mean(rows, axis=0)
    return {"n": len(rows)} | {tissue: round(float(mean), 3) for tissue, mean in zip(TISSUES, means, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--heads", type=int, default=6)
    chosen = parser.parse_args()
    content: dict[str, Any] = {"simulated_dice_with_truth": simulated(chosen.heads)}
    content["real_dice_of_t1_with_t1ce"] = real() if DATA.exists() else "the development data are not here"
    write_result("tissues", content)


if __name__ == "__main__":
    main()
