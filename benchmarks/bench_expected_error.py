"""The expected error of the pretrained models: how well it predicts the error on real pairs that it never saw.

    python benchmarks/bench_expected_error.py

A scan and its mirror image are predicted; `voxlate.bundle.calibration` turns their difference into an expected error.
Each real pair of the development data is judged by a fit on the others. The fit on all of them goes into the bundle, so
that `voxlate translate --uncertainty` uses it. No pair was used in the training of the model that translates it:
`t1ce-to-t1` is measured by the three trainings of `bench_fine_tuning.py`, each of which left three pairs out. Two
minutes on one core. Without the development data it says so and ends.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from bench_fine_tuning import bundle_without
from machine import development_data, pair_cases, write_result

from voxlate.bundle.pretrained import find_bundle, load_bundle
from voxlate.inference.calibration import (
    Numbers,
    Reliability,
    fit_calibration,
    keep_calibration,
    member_hashes,
    reliability,
    sample_errors,
)

TUNED, SIMULATED = "t1ce-to-t1", "t1ce-to-t1-simulated"


def left_one_out(samples: list[tuple[Numbers, Numbers]]) -> tuple[Reliability, list[Reliability]]:
    """Returns how well the error of each case is predicted by a fit on the others: of all voxels, and by case."""
    expected = [
        fit_calibration([*samples[:number], *samples[number + 1 :]]).expected_error(spreads).astype(np.float64)
        for number, (_, spreads) in enumerate(samples)
    ]
    errors = [each for each, _ in samples]
    by_case = [reliability(ours, theirs) for ours, theirs in zip(errors, expected, strict=True)]
    return reliability(np.concatenate(errors), np.concatenate(expected)), by_case


def measured(name: str) -> dict[str, Any]:
    """Calibrates a model, writes the calibration into its bundle, and returns what was measured."""
    pairs = development_data("pairs")
    if pairs is None:
        return {}
    cases, bundle = pair_cases(pairs), load_bundle(name)
    unseen = {case.case: load_bundle(bundle_without(case.case)) if name == TUNED else bundle for case in cases}
    samples = [sample for case in cases for sample in sample_errors(unseen[case.case], [case], mirror=True)]
    fitted = fit_calibration(samples, members=member_hashes(bundle), mirror=True)
    pooled, by_case = left_one_out(samples)
    title = f"{len(cases)} real pairs, each by a fit on the others"
    keep_calibration(find_bundle(name), {"calibration": asdict(fitted), "by_split": {title: asdict(pooled)}})
    one = {case.case: asdict(each) for case, each in zip(cases, by_case, strict=True)}
    return {"calibration": asdict(fitted), "left_one_out": asdict(pooled), "cases": one}


def main() -> None:
    if development_data("pairs") is not None:
        write_result("expected_error", {"models": {name: measured(name) for name in (TUNED, SIMULATED)}})


if __name__ == "__main__":
    main()
