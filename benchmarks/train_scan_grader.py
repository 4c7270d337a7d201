"""Trains the heads that tell a proper T1w, gadolinium and grades of quality from pixels, on simulated visits alone.

    python benchmarks/train_scan_grader.py --data FOLDER [--heads 700] [--judges 150] [--epochs 14]

The visits are written to FOLDER first, by two processes, and taken up again where that stopped. Scanners are varied
about A, B, C and E; D and F, which the benchmark tries, are never seen. A part of the images is skull-stripped and
smoothed, as research data are. Writes `src/voxlate/models/scan_grader.safetensors`, with the temperatures that the
judging visits ask for, and prints the hash that belongs into `scan_grader.py`.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from voxlate.io.atomic import replacing
from voxlate.processes import each
from voxlate.quality.pixels import seen
from voxlate.simulate.scanners import Scanner, scanner_named
from voxlate.simulate.streams import generator
from voxlate.simulate.warehouse import Filed, varied_scanner, visit
from voxlate.volume import Volume

SEED = 71
JUDGES_FROM = 100_000
IMAGES = 5
NOT_T1W = 0.36
STRIPPED = 0.4
NAMED = 0.2
CONTRASTS = ("T1w", "T2w", "FLAIR", "DWI", "ADC", "CT")


def scanner_of(patient: int) -> Scanner:
    rng = generator(SEED, patient, "scanner of a visit")
    return scanner_named(str(rng.choice(list("ABCE")))) if rng.random() < NAMED else varied_scanner(patient)


def as_research_data(filed: Filed, rng: np.random.Generator) -> Volume:
    """Returns the image, at times skull-stripped and smoothed."""
    volume, brain = filed.volume, filed.brain
    if brain is None or filed.shows == "CT" or rng.random() > STRIPPED:
        return volume
    data = volume.data
    if rng.random() < 0.5:
        data = ndimage.gaussian_filter(data, float(rng.uniform(0.2, 0.6)))
    mask = brain.data > 0.5
    if rng.random() < 0.5:
        mask = ndimage.binary_dilation(mask)
    return volume.with_data(np.where(mask, data, 0))


def write_visit(folder: Path, patient: int) -> int:
    path = folder / f"{patient:06d}.npz"
    if path.exists():
        return patient
    parts: dict[str, list[object]] = {"image": [], "numbers": [], "labels": []}
    for number, filed in enumerate(visit(SEED, patient, scanner=scanner_of(patient), images=IMAGES, not_t1w=NOT_T1W)):
        shown = seen(as_research_data(filed, generator(SEED, patient, "research", str(number))))
        grades = filed.grades
        parts["image"].append(shown.image.astype(np.float16))
        parts["numbers"].append(shown.numbers)
        parts["labels"].append([CONTRASTS.index(filed.shows), filed.is_proper, filed.has_agent,
                                grades.contrast, grades.motion, grades.noise])  # fmt: skip
    with replacing(path) as partial_path:
        np.savez(partial_path, **{name: np.asarray(values) for name, values in parts.items()})
    return patient


def make(folder: Path, patients: list[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    for count, _ in enumerate(each(partial(write_visit, folder), patients, jobs=2), start=1):
        if count % 25 == 0:
            print(f"{count} visits after {time.monotonic() - start:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--heads", type=int, default=700)
    parser.add_argument("--judges", type=int, default=150)
    parser.add_argument("--epochs", type=int, default=14)
    chosen = parser.parse_args()
    training, judging = range(chosen.heads), range(JUDGES_FROM, JUDGES_FROM + chosen.judges)
    order = [patient for pair in zip(training, [*judging, *[None] * chosen.heads], strict=False) for patient in pair]
    make(chosen.data, [patient for patient in order if patient is not None])


if __name__ == "__main__":
    main()
