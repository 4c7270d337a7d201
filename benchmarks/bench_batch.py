"""Throughput, memory and planning of `voxlate batch`, and its overhead beside the work itself.

    python benchmarks/bench_batch.py [--cases 1000]

Small simulated volumes (32 x 40 x 32 voxels, cut out of simulated heads) by an untrained network of width 8, with one
and with two worker processes of one thread. The overhead is the time of a case in the batch less the time of the same
translation and writing called in a row; memory is the largest of the run and its workers at a quarter and at the end.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import write_result

from voxlate.bundle.bundle import read_bundle, write_bundle
from voxlate.bundle.recipe import parse_recipe
from voxlate.inference.batch import Translation
from voxlate.inference.files import translate_file
from voxlate.inference.manifest import read_manifest
from voxlate.inference.translate import Options
from voxlate.inference.verify import status_of
from voxlate.io.nifti import write_volume
from voxlate.jobs.batch import run_batch
from voxlate.jobs.executors import Limits, in_processes
from voxlate.models import build
from voxlate.simulation import simulate_subject
from voxlate.volume import Volume

RECIPE = """
name: small
source: T1ce
target: T1nce
data: {cases: none.tsv}
model: {name: translator, arguments: {width: 8, depth: 3}}
"""
PLANNED = 1_000_000


def write_scans(folder: Path, count: int) -> Path:
    subject = simulate_subject("t1ce_t1", seed=3, size="small")
    image, brain = subject.images["T1ce"], subject.truth.brain_mask.data > 0
    data = np.where(brain, image.data, 0)[32:64, 40:80, 32:64]
    lines = ["case\tsource"]
    for number in range(count):
        varied = np.where(data > 0, data + number % 50, 0).astype(np.float32)
        scan = Volume(varied, image.affine)
        write_volume(folder / f"{number}.nii.gz", scan)
        lines.append(f"case{number}\t{number}.nii.gz")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.tsv"


def write_model(folder: Path) -> Path:
    torch.manual_seed(0)
    recipe = parse_recipe(RECIPE, name="small")
    network = build(recipe.model.name, **recipe.model.arguments)
    mapping = {"gain": 1.0, "log_sd": 0.1, "n": 4, "spacing_mm": [1.0, 2.0]}
    write_bundle(folder, recipe, network.state_dict(), documents={"mapping": mapping}, card="# small\n")
    return folder


def peak_mib() -> int:
    """Returns the largest resident set of this process and of any child that ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) // 1024


def batched(manifest: Path, model: Path, out: Path, workers: int) -> dict[str, Any]:
    bundle = read_bundle(model)
    work = Translation((model,), bundle.weights_sha256, Options())
    marks = [time.perf_counter()]
    table = read_manifest(manifest)
    engine = partial(in_processes, [work] * workers, limits=Limits())
    run_batch(table, out, {}, engine, watch=lambda _: marks.append(time.perf_counter()))
    status = status_of(out)
    assert status.done == status.cases, status
    steady = (marks[-1] - marks[len(marks) // 10]) / (len(marks) - 1 - len(marks) // 10)
    return {
        "workers": workers,
        "seconds": round(marks[-1] - marks[0], 1),
        "cases_per_second": round(1 / steady, 2),
        "ms_per_case_and_worker": round(1000 * steady * workers, 1),
        "peak_mib": peak_mib(),
    }


def in_a_row(manifest: Path, model: Path, folder: Path, count: int) -> float:
    bundle, spent = read_bundle(model), []
    for item in list(read_manifest(manifest).items())[:count]:
        start = time.perf_counter()
        translate_file(bundle, item.source, folder / f"{item.name}.nii.gz")
        spent.append(time.perf_counter() - start)
    return 1000 * float(np.median(spent))


def planned(folder: Path) -> float:
    path = folder / "million.tsv"
    with path.open("w") as stream:
        stream.write("case\tsource\n")
        stream.writelines(f"case{number}\tscans/{number}/t1.nii.gz\n" for number in range(PLANNED))
    start = time.perf_counter()
    table = read_manifest(path)
    assert sum(1 for _ in table.items((3, 16))) > 0
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=1000)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest, model = write_scans(folder / "scans", chosen.cases), write_model(folder / "model")
        alone = in_a_row(manifest, model, folder / "row", min(200, chosen.cases))
        quarter = batched(manifest_of(manifest, chosen.cases // 4), model, folder / "quarter", 1)
        runs = [batched(manifest, model, folder / f"out{workers}", workers) for workers in (1, 2)]
        shutil.rmtree(folder / "out2")
        content = {
            "cases": chosen.cases,
            "ms_in_a_row": round(alone, 1),
            "a_quarter_of_the_cases": quarter,
            "runs": runs,
            "overhead_ms_per_case": round(runs[0]["ms_per_case_and_worker"] - alone, 1),
            "rows_planned": PLANNED,
            "planning_seconds": round(planned(folder), 1),
        }
    write_result("batch", content)


def manifest_of(manifest: Path, count: int) -> Path:
    path = manifest.with_name("quarter.tsv")
    path.write_text("\n".join(manifest.read_text().splitlines()[: count + 1]) + "\n")
    return path


if __name__ == "__main__":
    main()
