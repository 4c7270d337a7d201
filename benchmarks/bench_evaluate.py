"""Many small cases evaluated in one run: cases per second, memory over time, and the second run that computes nothing.

    python benchmarks/bench_evaluate.py [CASES] [JOBS]      1,000 cases and 2 processes when left out

The cases are textured balls of 48 voxels with a source, a target and a synthetic image; all numbers are of that size.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import write_result
from scipy import ndimage

from voxlate.cases import Case
from voxlate.evaluation.cases.result import CaseResult
from voxlate.evaluation.run import evaluate_cases
from voxlate.evaluation.settings import Settings
from voxlate.io.nifti import write_volume
from voxlate.volume import Volume

SHAPE = (48, 48, 48)


def write_case(folder: Path, number: int) -> Case:
    """Writes one case and returns its row."""
    random = np.random.default_rng(number)
    index = np.indices(SHAPE) - 23.5
    mask = np.linalg.norm(index, axis=0) < 20
    target = np.where(mask, 1 + 2 * ndimage.gaussian_filter(random.normal(size=SHAPE), 2), 0)
    source = np.where(mask, 0.2 + 0.8 * target**2 + random.normal(0, 0.1, SHAPE), 0)
    synthetic = np.where(mask, target + random.normal(0, 0.04, SHAPE), 0)
    name = f"case_{number:04d}"
    places = {"source": folder / f"{name}_s.nii.gz", "target": folder / f"{name}_t.nii.gz"}
    for path, data in ((places["source"], source), (places["target"], target)):
        write_volume(path, Volume(400 * data.astype(np.float32), np.eye(4)))
    write_volume(folder / "synthetic" / f"{name}.nii.gz", Volume(400 * synthetic.astype(np.float32), np.eye(4)))
    sidecar = {"Synthetic": {"ReferenceLevel": 400 * float(np.median(target[mask])), "Task": "T1ce to T1"}}
    (folder / "synthetic" / f"{name}.json").write_text(json.dumps(sidecar))
    return Case(name, name, "test", places["source"], places["target"])


class Memory:
    """Resident memory of this process and its children, read from /proc as results come."""

    def __init__(self) -> None:
        self.own_mib: list[float] = []

    def __call__(self, _: CaseResult) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.own_mib.append(pages * resource.getpagesize() / 2**20)


def run(cases: list[Case], folder: Path, jobs: int) -> tuple[float, Memory]:
    memory = Memory()
    start = time.perf_counter()
    settings = Settings(data_kind="simulated")
    evaluate_cases(cases, folder / "synthetic", folder / "out", settings=settings, jobs=jobs, watch=memory)
    return time.perf_counter() - start, memory


def main() -> None:
    given = [int(text) for text in sys.argv[1:3]]
    count, jobs = (*given, *(1000, 2)[len(given) :])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "synthetic").mkdir()
        cases = [write_case(folder, number) for number in range(count)]
        seconds, memory = run(cases, folder, jobs)
        again, _ = run(cases, folder, jobs)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    content = {
        "cases": count,
        "processes": jobs,
        "shape": list(SHAPE),
        "seconds": seconds,
        "cases_per_second": count / seconds,
        "seconds_of_a_second_run": again,
        "own_memory_mib": {"after_a_tenth": memory.own_mib[count // 10], "at_the_end": memory.own_mib[-1]},
        "largest_child_mib": children,
    }
    write_result("evaluate", content)


if __name__ == "__main__":
    main()
