"""`--like`: whose scan is a reference that brings a synthetic T1 nearer to the T1 of that sequence?

    python benchmarks/bench_like.py

Simulated heads: T1ce of two scanners is translated by `t1ce-to-t1`; the truth is the T1 of the same patient on a third
scanner. The reference is the T1 of another visit of the patient to that scanner, or of another patient. Real pairs
(with the development data), each translated by a training of `bench_fine_tuning.py` that has not seen it: the reference
is the target itself, which is the best that a curve can do, or the T1 of each other pair, whose sequence differs. Ten
minutes on one core.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from bench_fine_tuning import bundle_without
from machine import development_data, pair_cases, write_result

from voxlate.bundle.contrast_descriptor import ContrastDescriptor
from voxlate.bundle.pretrained import load_bundle
from voxlate.inference.like import curve
from voxlate.inference.translate import Options, translate_volume
from voxlate.io.nifti import read_volume
from voxlate.simulation.subject import Options as SubjectOptions
from voxlate.simulation.subject import Subject, simulate_subject
from voxlate.volume import Array, Mask

SOURCES, REFERENCE = ("B", "E"), "A"
PATIENTS, SEED = 4, 61


def error(image: Array, target: Array, mask: Mask) -> float:
    """Returns the mean absolute error in the brain in % of the target's 99.5th percentile, both in units of medians."""
    ours, theirs = image[mask] / np.median(image[mask]), target[mask] / np.median(target[mask])
    return float(100 * np.abs(ours - theirs).mean() / np.quantile(theirs, 0.995))


def simulated() -> list[dict[str, Any]]:
    """Returns the errors of the simulated patients, by scanner of the source."""
    bundle, rows = load_bundle("t1ce-to-t1"), []
    options = SubjectOptions(is_same_acquisition=True)

    def patient(number: int, scanner: str, visit: int = 0) -> Subject:
        return simulate_subject(
            "t1ce_t1", seed=SEED, subject=number, session=visit, size="full", scanner=scanner, options=options
        )

    def contrast(subject: Subject) -> ContrastDescriptor:
        return ContrastDescriptor.of(subject.images["T1w"].data, subject.truth.brain_mask.data > 0)

    stranger = contrast(patient(PATIENTS, REFERENCE))
    for number in range(PATIENTS):
        truth = patient(number, REFERENCE)
        mask = truth.truth.brain_mask.data > 0
        target = truth.images["T1w"].data
        references = {
            "like_visit": contrast(patient(number, REFERENCE, visit=1)),
            "like_others": stranger,
            "like_target": contrast(truth),
        }
        for scanner in SOURCES:
            source = patient(number, scanner).images["T1ce"]
            brain = source.with_data(mask.astype(np.float32))
            made = translate_volume(bundle, source, brain, options=Options(gate="flag")).volume.data
            row = {"patient": number, "scanner": scanner, "source": error(source.data, target, mask)}
            row |= {"synthetic": error(made, target, mask)}
            rows.append(
                row | {key: error(curve(made, mask, each)[0], target, mask) for key, each in references.items()}
            )
    return rows


def real() -> list[dict[str, Any]]:
    """Returns the errors of the real pairs; nothing without the development data."""
    pairs = development_data("pairs")
    if pairs is None:
        return []
    scans = {}
    for case in pair_cases(pairs):
        bundle = load_bundle(bundle_without(case.case))
        source, target = read_volume(case.source), read_volume(case.target)
        made = translate_volume(bundle, source, options=Options(gate="flag")).volume.data
        mask = (made > 0) & (target.data > 0)
        scans[case.case] = made, target.data, mask, ContrastDescriptor.of(target.data, mask)
    rows = []
    for name, (made, target, mask, own) in scans.items():
        others = [error(curve(made, mask, other)[0], target, mask) for key, (*_, other) in scans.items() if key != name]
        row = {"case": name, "synthetic": error(made, target, mask), "like_others": float(np.mean(others))}
        rows.append(row | {"like_target": error(curve(made, mask, own)[0], target, mask)})
    return rows


def main() -> None:
    write_result("like", {"reference": REFERENCE, "simulated": simulated(), "real": real()})


if __name__ == "__main__":
    main()
