"""What the spread of four networks and the gate are worth, on simulated heads, and the gate on real ones.

    python benchmarks/bench_uncertainty.py [PAIRS]

The networks are those of `simulated_ensemble.py`, which trains them at the first call. Calibrated on ten heads that no
network saw, tried on ten others and on those of a scanner that training never had. The curve of risk and coverage
goes over test scans of the right kind and of wrong ones (T1 without contrast agent, T2, FLAIR, turned heads): they are
accepted by the gate's score, the nearest first; the risk is the share of the accepted that are wrong, or whose error
against the real T1 is above twice the median of the right ones. PAIRS adds the real scans of `bench_gate.py`, with the
gate of their own, where only wrong kinds count.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from coverage_plot import draw_coverage
from machine import development_data, write_result
from risk_coverage import coverage_curve
from simulated_ensemble import UNSEEN, bundles, dataset, heads

from voxlate.bundle.bundle import Bundle, read_bundle
from voxlate.bundle.ensemble import join_bundles
from voxlate.bundle.out_of_distribution import describe
from voxlate.cases import Case
from voxlate.errors import InputRefused
from voxlate.inference.calibration import fit_calibration, member_hashes, reliability, sample_errors
from voxlate.io.nifti import read_volume
from voxlate.preparation import fit_preparation
from voxlate.reporting.figures.calibration_plot import draw_calibration
from voxlate.simulation.files.dataset import Plan, write_dataset
from voxlate.volume import Volume

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
TURNS = {"upside down": "SI", "back to front": "AP"}


def spread_rows(bundle: Bundle) -> tuple[dict[str, Any], dict[str, Any]]:
    cases = heads()
    groups = {"training scanners": [case for case in cases if case.split == "test"]}
    groups |= {f"scanner {name}": dataset(f"scanner_{name}", 10, 32, name) for name in "D"}
    fitted = fit_calibration(
        list(sample_errors(bundle, [case for case in cases if case.split == "validation"])),
        members=member_hashes(bundle),
    )
    found = {}
    for name, some in groups.items():
        errors, spreads = (np.concatenate(each) for each in zip(*sample_errors(bundle, some), strict=True))
        expected = fitted.expected_error(spreads)
        plain = reliability(errors, spreads)
        found[name] = asdict(reliability(errors, expected)) | {
            "cases": len(some),
            "uncalibrated": {"within_one": plain.within_one, "calibration_error": plain.calibration_error},
        }
    return {"floor": fitted.floor, "factor": fitted.factor, "power": fitted.power, "cases": fitted.cases}, found


def turned(scan: Volume, codes: str) -> Volume:
    axes = [axis for axis, code in enumerate(nib.aff2axcodes(scan.affine)) if code in codes]
    return scan.with_data(np.flip(scan.data, axes) if axes else scan.data)


def score(bundle: Bundle, scan: Volume, mask: Volume | None) -> float:
    """Returns the gate's score, or infinity for what is refused before the gate."""
    try:
        preparation = fit_preparation(scan, mask, bundle.recipe.preparation)
    except InputRefused:
        return float("inf")
    description = describe(preparation.apply(scan).data, preparation.mask)
    statistics = [part.training_statistics for part in bundle.parts or (bundle,)]
    return min(each.score(description).score for each in statistics if each is not None)


def error_of(bundle: Bundle, case: Case) -> float:
    ((errors, _),) = sample_errors(bundle, [case])
    return float(np.mean(np.abs(errors)))


def simulated_curve(bundle: Bundle) -> dict[str, Any]:
    right = [case for case in heads() if case.split == "test"]
    other = {name: dataset(f"scanner_{name}", 10, 32, name) for name in "D"}
    more = dataset_of("virtual_contrast", 10)
    usual = [(score(bundle, *loaded(case)), error_of(bundle, case)) for case in right]
    limit = 2 * float(np.median([error for _, error in usual]))
    groups = {"T1ce": [(each, error > limit) for each, error in usual]}
    for name, some in other.items():
        groups[f"T1ce, scanner {name}"] = [
            (score(bundle, *loaded(case)), error_of(bundle, case) > limit) for case in some
        ]
    groups["T1 without agent"] = [(score(bundle, read_volume(case.target), loaded(case)[1]), True) for case in right]
    for name in ("T2w", "FLAIR"):
        groups[name] = [(score(bundle, read_volume(scan[name]), read_volume(scan["mask"])), True) for scan in more]
    for name, codes in TURNS.items():
        groups[f"T1ce {name}"] = [
            (score(bundle, turned(scan, codes), None if mask is None else turned(mask, codes)), True)
            for scan, mask in map(loaded, right)
        ]
    return curve_of(groups) | {"error_limit": limit}


def loaded(case: Case) -> tuple[Volume, Volume | None]:
    return read_volume(case.source), None if case.mask is None else read_volume(case.mask)


def dataset_of(task: str, count: int) -> list[dict[str, Path]]:
    """Returns the scans of simulated heads of another task, by what they show."""
    from simulated_ensemble import ROOT

    folder = ROOT / task
    for _ in write_dataset(folder, Plan(task, count, seed=33), jobs=2):
        pass
    scans = []
    for subject in sorted(folder.glob("sub-*")):
        anat = subject / "ses-01" / "anat"
        found = {name: next(anat.glob(f"*_{name}.nii.gz")) for name in ("T2w", "FLAIR")}
        mask = next((folder / "derivatives" / "truth" / subject.name).rglob("*desc-brain_mask.nii.gz"))
        scans.append(found | {"mask": mask})
    return scans


def curve_of(groups: dict[str, list[tuple[float, bool]]]) -> dict[str, Any]:
    scores, wrong = zip(*(each for several in groups.values() for each in several), strict=True)
    rows = [
        {
            "scans": name,
            "n": len(several),
            "known": sum(each <= 1 for each, _ in several),
            "flagged": sum(1 < each < 1.5 for each, _ in several),
            "refused": sum(each >= 1.5 for each, _ in several),
            "wrong": sum(bad for _, bad in several),
        }
        for name, several in groups.items()
    ]
    return {"rows": rows, "curve": asdict(coverage_curve(np.array(scores), np.array(wrong)))}


def real_curve(pairs: Path) -> dict[str, Any]:
    from bench_gate import real_groups

    known, groups = real_groups(pairs)
    rows = {
        name: [(known.score(each).score, name != "T1ce of other patients") for each in several]
        for name, several in groups.items()
    }
    return curve_of(rows)


def main() -> None:
    bundle = join_bundles([read_bundle(path) for path in bundles()])
    fitted, spread = spread_rows(bundle)
    draw_calibration(IMAGES / "calibration.png", spread)
    curves = {"simulated": simulated_curve(bundle)}
    pairs = Path(sys.argv[1]) if len(sys.argv) > 1 else development_data("pairs")
    if pairs is not None:
        curves["real"] = real_curve(pairs)
    draw_coverage(IMAGES / "coverage.png", {name: each["curve"] for name, each in curves.items()})
    content = {"networks": len(bundle.parts), "unseen_heads": UNSEEN, "calibration": fitted, "spread": spread}
    write_result("uncertainty", content | {"gate": curves})


if __name__ == "__main__":
    main()
