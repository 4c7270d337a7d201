"""How time and memory grow with the size of the work, beside the limits of the machine.

    python benchmarks/bench_cost_laws.py [--only limits,training,translation,evaluation,cases,index,batch]

Each measurement is a process of its own with one thread for each process, started from the command line where there is
a verb for it; `command_cost.py` measures it. Processor seconds are compared, because other jobs stretch those of the
clock, and the fewest of some rounds, because other jobs can only add to them; a round takes all sizes in turn.
`cost_fit.py` fits one law to each cost. With `--only`, the other parts stay as they are in the result. `tables.py`
writes the tables of `docs/cost.md` from it, `figure_cost_laws.py` the figures. Takes some ten minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from command_cost import command_cost, memory_mib
from cost_fit import FEWEST, fit_law
from cost_inputs import FACTORS, SHAPE, Head, machine_limits, simulated_head, voxels_of, write_case
from machine import RESULTS, ROOT, stamp, write_result

RECIPE = ROOT / "recipes" / "t1ce_to_t1.yaml"
MODEL = "t1ce-to-t1"
SIDES, BATCHES = (32, 48, 64, 80), (1, 2)
STEPS, WARM_UP = 8, 2
"""Steps of each training, and how many at the start are not counted; chosen by hand."""
ROUNDS = {"training": 1, "translation": 2, "evaluation": 1, "cases": 1, "index": 1, "batch": 1}
"""Measurements of each size; as many as a quarter of an hour allows."""
BALLS = (4, 8, 16)
"""Small cases of an evaluation, those of `bench_evaluate.py`."""
SERIES = (500, 1000, 2000, 4000)
BATCH_CASES, WORKERS = (2, 5, 12), (1, 2)
"""More workers than the two cores are not measured: they could only wait for each other."""
VOXLATE = (sys.executable, "-m", "voxlate")


T = TypeVar("T")


def laws(rows: Sequence[dict[str, Any]], size: str, costs: Sequence[str]) -> dict[str, Any]:
    """Returns the law of each cost against a size; none for too few sizes."""
    if len(rows) < FEWEST:
        return {}
    return {cost: fit_law([row[size] for row in rows], [row[cost] for row in rows]).row() for cost in costs}


@cache
def the_head() -> Head:
    return simulated_head()


def in_rounds(name: str, work: Mapping[T, Callable[[], dict[str, float]]]) -> dict[T, dict[str, float]]:
    """Measures each piece of work once a round; returns the smallest of each figure by piece."""
    found: dict[T, list[dict[str, float]]] = {key: [] for key in work}
    for _ in range(ROUNDS[name]):
        for key, piece in work.items():
            found[key].append(piece())
            print(name, key, found[key][-1], flush=True)
    return {key: smallest(rows) for key, rows in found.items()}


def smallest(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Returns the smallest of each figure."""
    return {figure: min(row[figure] for row in rows) for figure in rows[0]}


def of_command(*command: object) -> dict[str, float]:
    return command_cost(command).row()


def limits(folder: Path) -> dict[str, Any]:
    start = "import torch, voxlate.inference.files"
    return machine_limits(folder) | {"start": smallest([of_command(sys.executable, "-c", start) for _ in range(3)])}


def training(folder: Path) -> dict[str, Any]:
    table = folder / f"{write_case(the_head(), folder, 1.0).case}.tsv"
    steps_here(table, min(SIDES), 1)  # prepares the case, so that the memory of that is not counted

    def steps(batch: int, side: int) -> dict[str, float]:
        output = command_cost([sys.executable, __file__, "--here", "steps", table, side, batch]).output
        figures: dict[str, float] = json.loads(output.splitlines()[-1])
        return figures

    sizes = [(batch, side) for batch in BATCHES for side in SIDES]
    best = in_rounds("training", {size: partial(steps, *size) for size in sizes})
    rows = [{"window": side, "batch": n, "voxels": n * side**3} | best[n, side] for n, side in sizes]
    fitted = {}
    for batch in BATCHES:
        part = [row for row in rows if row["batch"] == batch]
        fitted[str(batch)] = laws(part, "voxels", ("processor_s", "peak_mib"))
    return {"recipe": RECIPE.stem, "rows": rows, "laws": fitted}


def steps_here(cases: Path, side: int, batch: int) -> dict[str, float]:
    """Takes some steps of the default recipe in this process; returns seconds and operations of one."""
    import torch
    from bench_hardware import gmac
    from bench_step import Kind
    from lightning_fabric import Fabric

    from voxlate.bundle.networks import generator_of
    from voxlate.bundle.prepared_case import prepare_case
    from voxlate.bundle.recipe import read_recipe
    from voxlate.cases import read_cases

    torch.set_num_threads(1)
    recipe = read_recipe(RECIPE, overrides={"training.window": [side] * 3, "training.batch": batch})
    prepared = [prepare_case(case, cases.parent / "prepared", recipe.preparation, []) for case in read_cases(cases)]
    kind = Kind(recipe, prepared, Fabric(accelerator="cpu", devices=1), is_plain=False)
    Path("/proc/self/clear_refs").write_text("5")  # the peak of the memory starts anew
    processor, clock = [], []
    for number in range(STEPS):
        start = time.perf_counter()
        processor.append(sum(kind.step(number)[0]))
        clock.append(time.perf_counter() - start)
    peak = memory_mib(os.getpid(), "status", "VmHWM")
    with torch.device("meta"):
        plain = generator_of(recipe).eval()  # evaluated by plain convolutions, without the zeros of paired voxels
    operations = 2 * gmac(plain, (batch, 1, *(side,) * 3), backward=True)
    return {
        "processor_s": round(min(processor[WARM_UP:]), 4),
        "clock_s": round(min(clock[WARM_UP:]), 4),
        "peak_mib": round(peak, 1),
        "gflop": round(operations, 2),
    }


def translation(folder: Path) -> dict[str, Any]:
    scans = {factor: write_case(the_head(), folder, factor).source for factor in FACTORS}

    def translated(scan: Path) -> dict[str, float]:
        out = folder / "out" / scan.name
        options = ("-m", MODEL, "--ood", "flag", "--overwrite", "--no-progress")
        return of_command(*VOXLATE, "translate", scan, out, *options) | {"out_bytes": out.stat().st_size}

    best = in_rounds("translation", {factor: partial(translated, scan) for factor, scan in scans.items()})
    rows = []
    for factor, scan in scans.items():
        operations, box = operations_of(scan)
        row = {"voxels": voxels_of(factor), "box": box, "gflop": operations, "read_bytes": scan.stat().st_size}
        rows.append(row | best[factor])
    fitted = laws(rows, "voxels", ("processor_s", "peak_mib"))
    return {"model": MODEL, "largest": list(SHAPE), "rows": rows, "laws": fitted}


def operations_of(scan: Path) -> tuple[float, list[int]]:
    """Returns the operations (1e9) of the network for a scan, and the box of the brain that it sees."""
    import torch
    from bench_hardware import gmac

    from voxlate.bundle.networks import generator_of
    from voxlate.bundle.pretrained import load_bundle
    from voxlate.io.nifti import read_volume
    from voxlate.preparation import fit_preparation

    recipe = load_bundle(MODEL).recipe
    source = read_volume(scan)
    box = fit_preparation(source, None, recipe.preparation).apply(source).data.shape
    with torch.device("meta"):
        network = generator_of(recipe).eval()
    return round(2 * gmac(network, (1, 1, *box), backward=False), 2), list(box)


def evaluation(folder: Path) -> dict[str, Any]:
    made = {factor: write_case(the_head(), folder, factor) for factor in FACTORS}
    work = {factor: partial(evaluated, folder / f"{case.case}.tsv", folder) for factor, case in made.items()}
    best = in_rounds("evaluation", work)
    rows = []
    for factor, case in made.items():
        files = (case.source, case.target, folder / "synthetic" / f"{case.case}.nii.gz")
        row = {"voxels": voxels_of(factor), "read_bytes": sum(path.stat().st_size for path in files)}
        rows.append(row | best[factor])
    return {"largest": list(SHAPE), "rows": rows, "laws": laws(rows, "voxels", ("processor_s", "peak_mib"))}


def cases(folder: Path) -> dict[str, Any]:
    """Evaluates more and more small cases."""
    import bench_evaluate

    from voxlate.cases import write_cases

    (folder / "synthetic").mkdir()
    made = [bench_evaluate.write_case(folder, number) for number in range(max(BALLS))]
    for count in BALLS:
        write_cases(folder / f"{count}.tsv", made[:count])
    best = in_rounds("cases", {count: partial(evaluated, folder / f"{count}.tsv", folder) for count in BALLS})
    rows = [{"cases": count} | best[count] for count in BALLS]
    return {"shape": list(bench_evaluate.SHAPE), "rows": rows, "laws": laws(rows, "cases", ("processor_s", "peak_mib"))}


def evaluated(table: Path, folder: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=folder) as out:  # a new one, as results of an earlier run would be used again
        options = ("--synthetic", folder / "synthetic", "--data-kind", "simulated", "--no-progress")
        command = ("--here", "filters", "evaluate", table, Path(out) / "evaluation", *options)
        cost = command_cost([sys.executable, __file__, *command])
    return {"gflop": json.loads(cost.output.splitlines()[-1])} | cost.row()


def filters_here(words: Sequence[str]) -> float:
    """Runs a command of voxlate in this process; returns the operations (1e9) of its Gaussian filters.

    Each tap of a filter along one axis is a multiplication and an addition. Fourier transforms, distance transforms and
    sorting are not counted, so that it is a lower bound.
    """
    from voxlate.cli import main as voxlate
    from voxlate.evaluation.similarity import gaussian

    counted, plain = [0.0], gaussian._multiplied

    def counting(image: Any, matrix: Any, *, axis: int, radius: int) -> Any:
        counted[0] += 2 * (2 * radius + 1) * image.size
        return plain(image, matrix, axis=axis, radius=radius)

    with mock.patch.object(gaussian, "_multiplied", counting), mock.patch.object(sys, "argv", ["voxlate", *words]):
        try:
            voxlate()
        except SystemExit as end:
            if end.code:
                raise
    return round(counted[0] / 1e9, 3)


def index(folder: Path) -> dict[str, Any]:
    """Indexes parts of an archive, each time from nothing."""
    from bench_index import A_FOLDER, write_headers

    os.environ["VOXLATE_UID_SALT"] = "benchmark"
    for count in SERIES:
        for start in range(0, count, A_FOLDER):
            place = folder / f"archive_{count}"
            write_headers(place, start, A_FOLDER)
    best = in_rounds("index", {count: partial(indexed, folder / f"archive_{count}") for count in SERIES})
    rows = [{"series": count} | best[count] for count in SERIES]
    return {"rows": rows, "laws": laws(rows, "series", ("processor_s", "peak_mib"))}


def indexed(archive: Path) -> dict[str, float]:
    """Indexes an archive; beside its cost, returns that of reading the same files and doing nothing with them."""
    start = time.process_time()
    size = sum(len(path.read_bytes()) for path in archive.rglob("*.dcm"))
    plain = round(time.process_time() - start, 3)
    with tempfile.TemporaryDirectory(dir=archive.parent) as out:
        figures = of_command(*VOXLATE, "index", archive, Path(out) / "index", "--jobs", 1, "--no-progress")
        kept = sum(path.stat().st_size for path in Path(out).rglob("*") if path.is_file())
    return {"read_bytes": size, "out_bytes": kept, "plain_read_s": plain} | figures


def batch(folder: Path) -> dict[str, Any]:
    scan = write_case(the_head(), folder, FACTORS[0]).source
    operations, _ = operations_of(scan)

    def ran(workers: int, count: int) -> dict[str, float]:
        manifest = folder / f"{count}.tsv"
        lines = [f"case{number}\t{scan}" for number in range(count)]
        manifest.write_text("\n".join(["case\tsource", *lines]) + "\n")
        with tempfile.TemporaryDirectory(dir=folder) as out:
            options = ("-m", MODEL, "-j", workers, "--ood", "flag", "--no-progress")
            return of_command(*VOXLATE, "batch", manifest, Path(out) / "batch", *options)

    sizes = [(workers, count) for workers in WORKERS for count in BATCH_CASES]
    best = in_rounds("batch", {size: partial(ran, *size) for size in sizes})
    rows = [
        {"workers": n, "cases": count, "gflop": round(count * operations, 2)} | best[n, count] for n, count in sizes
    ]
    fitted = {}
    for workers in WORKERS:
        part = [row for row in rows if row["workers"] == workers]
        fitted[str(workers)] = laws(part, "cases", ("processor_s", "clock_s", "together_mib"))
    return {"model": MODEL, "voxels": voxels_of(FACTORS[0]), "rows": rows, "laws": fitted}


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "limits": limits,
    "training": training,
    "translation": translation,
    "evaluation": evaluation,
    "cases": cases,
    "index": index,
    "batch": batch,
}


def measured(name: str) -> dict[str, Any]:
    load, start = os.getloadavg()[0], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        content = PARTS[name](Path(folder))
    passed = round(time.perf_counter() - start)
    about = {"load_at_start": round(load, 1), "seconds": passed, "rounds": ROUNDS.get(name, 1)}
    return about | {"commit": stamp()["commit"]} | content


def here(words: Sequence[str]) -> None:
    """Does the work of one process and prints what it found."""
    kind, *rest = words
    print(json.dumps(steps_here(Path(rest[0]), int(rest[1]), int(rest[2])) if kind == "steps" else filters_here(rest)))


def main() -> None:
    if sys.argv[1:2] == ["--here"]:
        here(sys.argv[2:])
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", help=f"parts, separated by commas: {', '.join(PARTS)}")
    only = parser.parse_args().only
    chosen = only.split(",") if only else list(PARTS)
    path = RESULTS / "cost_laws.json"
    content = json.loads(path.read_text(encoding="utf-8")) if only and path.is_file() else {}
    content.pop("machine", None)
    for name in chosen:
        content[name] = measured(name)
        write_result("cost_laws", content)  # after each part, so that a stopped run is gone on with --only


if __name__ == "__main__":
    main()
