"""The pretrained models by scanner: field strength, sequence and slices, on simulated heads.

    python benchmarks/bench_scanners.py

For each simulated scanner, four patients of the embedded head at 1 mm, T1 before and after contrast agent; training
used label maps of other heads. The patients are the same for every scanner. Each pair is translated with its true brain
mask, and evaluated with the truth of the simulation, which states the lowest possible error. A stage whose files exist
is not repeated. An hour on one core; the development data are not needed.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine import ROOT, write_result

from voxlate.bundle.bundle import read_bundle
from voxlate.bundle.pretrained import find_bundle
from voxlate.cases import Case, read_cases
from voxlate.evaluation.run import evaluate_cases
from voxlate.evaluation.settings import Settings
from voxlate.inference.batch import translate_many
from voxlate.inference.item import Item
from voxlate.inference.translate import Options
from voxlate.io.nifti import read_volume, write_volume
from voxlate.preparation.steps.resample import resample
from voxlate.simulation.files.dataset import Plan, write_dataset
from voxlate.simulation.physics.scanners import SCANNERS, Scanner
from voxlate.simulation.physics.sequences import GradientEcho, Mprage
from voxlate.simulation.subject import Options as SubjectOptions

RUN = ROOT / "runs" / "scanners"
MODELS = ("t1ce-to-t1", "t1ce-to-t1-simulated")
PATIENTS, SEED = 4, 71
KEPT = ("n", "mean", "median", "low", "high")
METHODS = ("source", "histogram_match", "constant", "synthetic")


def sequence_of(scanner: Scanner) -> str:
    """Returns field, sequence and slices of a scanner in words."""
    kind = {Mprage: "MPRAGE", GradientEcho: "spoiled gradient echo"}.get(type(scanner.t1w), "spin echo")
    slices = f", slices of {scanner.slice_mm:g} mm" if scanner.slice_mm else ""
    return f"{scanner.field_tesla:g} T, {kind}{slices}"


def run_of(model: str, weights_sha256: str, scanner: str) -> Path:
    """Returns the folder of what a model makes of the patients of a scanner; other weights have another folder."""
    return RUN / f"{model}-{weights_sha256[:8]}" / scanner


def simulated(name: str) -> Path:
    """Returns the data set of a scanner, simulated unless it is there."""
    folder = RUN / "heads" / name
    options = SubjectOptions(is_aligned=True)  # the pose of the target; noise and shading of each image are its own
    for _ in write_dataset(folder, Plan("t1ce_t1", PATIENTS, SEED, "full", name, options=options)):
        pass
    return folder


def on_grid_of_source(case: Case, folder: Path) -> Case:
    """Returns a case whose mask and lesions have the grid of its source: the truth has no thick slices."""
    grid, found = read_volume(case.source).grid, {"mask": case.mask, "labels": case.labels}
    for role, path in found.items():
        truth = None if path is None else read_volume(path)
        if truth is None or truth.grid.matches(grid):
            continue
        found[role] = folder / "on_grid" / f"{case.case}_{role}.nii.gz"
        write_volume(found[role], resample(truth, grid, interpolation="nearest"), dtype="int16")
    return replace(case, **found)


def measured(model: str, name: str) -> dict[str, Any]:
    """Translates and evaluates the patients of a scanner; returns the means and the comparison with the oracle."""
    folder = simulated(name)
    cases = [on_grid_of_source(case, folder) for case in read_cases(folder / "cases.tsv")]
    path = find_bundle(model)
    bundle = read_bundle(path)
    run = run_of(model, bundle.weights_sha256, name)
    if not (run / "evaluation" / "evaluation.json").is_file():
        items = [Item(case.case, case.source, case.mask) for case in cases]
        translate_many(bundle, items, run / "synthetic", options=Options(gate="flag"), overwrite=True)
        settings = Settings(data_kind="simulated", factors=folder / "derivatives" / "truth")
        evaluate_cases(cases, run / "synthetic", run / "evaluation", settings=settings, bundle=path)
    content = json.loads((run / "evaluation" / "evaluation.json").read_text())
    rows = {
        f"{row['method']}:{row['region']}:{row['metric']}": {key: row[key] for key in KEPT}
        for row in content["summary"]
        if row["intensity"] == "as_written" and row["method"] in METHODS
    }
    return {"oracle": content["oracle"], "rows": rows}


def main() -> None:
    found = {
        name: {"about": sequence_of(scanner), "is_held_out": scanner.is_held_out}
        | {model: measured(model, name) for model in MODELS}
        for name, scanner in SCANNERS.items()
    }
    write_result("scanners", {"patients": PATIENTS, "models": MODELS, "scanners": found})


if __name__ == "__main__":
    main()
