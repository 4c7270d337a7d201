"""Trains, applies and scores voxlate and its peers; the command is `run.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import nibabel
import numpy as np
from machine import ROOT, development_data, stamp, write_result
from peers_page import recorded_tasks, write_page
from score import baselines, scores
from simulated_heads import TISSUE_MAPS, write_maps
from tasks import TASKS, Task, cases_of, folds_of

from voxlate.evaluation.statistics import holm, mean_interval, sign_flip

HERE = Path(__file__).resolve().parent
Case = dict[str, Any]
"""Name, sources, target, mask and labels of a case, see `tasks.cases_of`."""

Fold = tuple[str, ...]
"""Names of the test cases."""

RUNS = ROOT / "runs" / "peers"
OURS = "voxlate"


@dataclass(frozen=True)
class System:
    """A system that is trained.

    Attributes:
        script: file in this folder.
        packages: of its environment; none for the environment of the project.
        most_sources: that its network takes as it comes.
        is_warm: starts from the shipped model, whose training is not in the budget.
        is_mixed: trains by the variant of the recipe that has windows of simulated heads beside those of the pairs.
    """

    script: str
    packages: tuple[str, ...] = ()
    is_warm: bool = False
    is_mixed: bool = False
    most_sources: int = 99


SYSTEMS = {
    OURS: System("voxlate_default.py"),
    "voxlate, from the shipped model": System("voxlate_default.py", is_warm=True),
    "voxlate, 40 % of the shipped weights kept": System("voxlate_kept.py", is_warm=True),
    "voxlate, from the shipped model, several_pairs": System("voxlate_default.py", is_warm=True, is_mixed=True),
    "MONAI U-Net": System("monai_unet.py", ("monai", "nibabel")),
    "KonfAI U-Net": System("konfai_unet.py", ("konfai", "SimpleITK", "nibabel", "pyyaml"), most_sources=1),
    "nnU-Net residual encoder": System("residual_encoder.py", ("dynamic-network-architectures", "nibabel")),
    "pix2pix": System("pix2pix.py", ("nibabel",)),
}


def fits(system: System, task: Task) -> bool:
    """Returns whether a system can be run for a task."""
    has_start = task.pretrained is not None or not system.is_warm
    has_variant = task.mixed is not None or not system.is_mixed
    return has_start and has_variant and len(task.sources) <= system.most_sources


def python_of(system: System) -> str:
    """Returns the interpreter of a system, after making its environment."""
    if not system.packages:
        return sys.executable
    folder = RUNS / "environments" / system.script.removesuffix(".py")
    python = folder / "bin" / "python"
    if not (folder / "installed").is_file():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        constraints = ["--constraint", str(ROOT / "constraints.txt")]
        subprocess.run([python, "-m", "pip", "install", "-q", *constraints, "torch", *system.packages], check=True)
        (folder / "installed").touch()
    return str(python)


def train_and_apply(name: str, task: Task, cases: list[Case], *, tested: Fold, out: Path, seconds: float) -> bool:
    """Runs a system on one fold, unless its record is there, and returns whether it has one."""
    if (out / "record.json").is_file():
        return True
    system = SYSTEMS[name]
    out.mkdir(parents=True, exist_ok=True)
    job = {
        "train": [case for case in cases if case["name"] not in tested],
        "test": [{k: v for k, v in case.items() if k != "target"} for case in cases if case["name"] in tested],
        "seconds": seconds,
        "out": str(out),
        "has_skull": task.is_simulated,
        "more": task.more,
        "recipe": task.recipe,
        "change": task.change,
        "start_from": task.pretrained if system.is_warm else None,
        "variants": [task.mixed] if system.is_mixed else [],
        "heads": str(TISSUE_MAPS),
    }
    (out / "job.json").write_text(json.dumps(job, indent=1))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONWARNINGS": "ignore"}
    begin = time.perf_counter()
    with (out / "log.txt").open("w") as log:
        command = [python_of(system), str(HERE / system.script), str(out / "job.json")]
        done = subprocess.run(command, stdout=log, stderr=log, env=environment, check=False)
    state = "done" if done.returncode == 0 else f"failed, see {out / 'log.txt'}"
    print(f"{out.relative_to(RUNS)}: {state}, {time.perf_counter() - begin:.0f} s by the clock", flush=True)
    return done.returncode == 0


def measure(task: Task, cases: list[Case], folds: list[Fold], folder: Path, names: list[str]) -> dict[str, Any]:
    """Returns metric by system and case."""
    found: dict[str, Any] = {}
    images = {case["name"]: _in_units(case) for case in cases}
    for fold, tested in enumerate(folds):
        training = [image[1][image[2]] for name, image in images.items() if name not in tested]
        for case in cases:
            if case["name"] not in tested:
                continue
            source, target, mask = images[case["name"]]
            labels = None if case["labels"] is None else np.asarray(nibabel.load(case["labels"]).dataobj) > 0
            answers = baselines(source, target, mask, training)
            for name in names:
                path = folder / name / f"fold-{fold}" / f"{case['name']}.nii.gz"
                if path.is_file():
                    answers[name] = np.where(mask, nibabel.load(path).get_fdata(), 0.0)
            for name, image in answers.items():
                found.setdefault(name, {})[case["name"]] = scores(image, source, target, mask, labels, agent=task.agent)
    return found


def _in_units(case: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Returns source and target in units of their medians, and the mask where both show brain."""
    source, target = (nibabel.load(path).get_fdata() for path in (case["sources"][0], case["target"]))
    mask = (nibabel.load(case["mask"]).get_fdata() > 0.5) & (target != 0)
    source, target = (np.where(mask, each / np.median(each[mask]), 0.0) for each in (source, target))
    return source, target, mask


def complete_systems(task: Task, folder: Path, n_folds: int) -> list[str]:
    """Returns the systems with a record of every fold; means over other subjects would not be comparable.

    Those of earlier calls are among them, so that a call for one system does not drop the rows of the others.
    """
    fitting = (name for name, system in SYSTEMS.items() if fits(system, task))
    return [name for name in fitting if len(list((folder / name).glob("fold-*/record.json"))) == n_folds]


def keep_recorded(found: dict[str, Any], records: dict[str, Any], before: dict[str, Any]) -> None:
    """Adds the systems of an earlier result whose images are no longer there, so that a new row costs no other.

    Args:
        found: metric by case by system; changed in place.
        records: of the systems whose images were scored; changed in place.
        before: the earlier result of the task; empty without one.
    """
    for name, record in before.get("records", {}).items():
        if name not in records:
            records[name] = record
            rows = before["cases"][name]
            found[name] = {
                case: {metric: np.nan if value is None else value for metric, value in row.items()}
                for case, row in rows.items()
            }


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """Returns mean with its 95 % interval, median and n by system and metric."""
    table: dict[str, Any] = {}
    for name, rows in found.items():
        for metric in sorted({metric for row in rows.values() for metric in row}):
            values = np.array([row[metric] for row in rows.values() if np.isfinite(row.get(metric, np.nan))])
            if values.size:
                interval = mean_interval(values)
                bounds = [float(b) if np.isfinite(b) else None for b in (interval.low, interval.high)]
                row = {"n": int(values.size), "mean": float(values.mean()), "median": float(np.median(values))}
                table.setdefault(name, {})[metric] = row | {"low": bounds[0], "high": bounds[1]}
    return table


def tests(found: dict[str, Any], peers: list[str]) -> list[dict[str, Any]]:
    """Returns paired sign-flip tests of voxlate against each peer, by Holm over the peers of a metric."""
    rows: list[dict[str, Any]] = []
    for ours in (name for name in found if name.startswith(OURS)):
        for metric in sorted({metric for row in found[ours].values() for metric in row}):
            family = []
            for peer in peers:
                shared = [
                    case
                    for case in found[ours]
                    if np.isfinite(found[ours][case].get(metric, np.nan))
                    and np.isfinite(found.get(peer, {}).get(case, {}).get(metric, np.nan))
                ]
                if len(shared) >= 3:
                    first, second = ([found[name][case][metric] for case in shared] for name in (ours, peer))
                    difference = float(np.mean(first) - np.mean(second))
                    row = {"system": ours, "peer": peer, "metric": metric, "n": len(shared), "difference": difference}
                    family.append(row | {"p": sign_flip(first, second).p})
            for row, adjusted in zip(family, holm([row["p"] for row in family]) if family else [], strict=True):
                rows.append(row | {"p_holm": float(adjusted)})
    return rows


@click.command()
@click.option("--seconds", default=1800.0, show_default=True, help="Processor seconds of each training.")
@click.option("--task", "tasks", multiple=True, type=click.Choice(list(TASKS)), help="[default: all]")
@click.option("--system", "systems", multiple=True, type=click.Choice(list(SYSTEMS)), help="To train.  [default: all]")
@click.option("--score-only", is_flag=True, help="Score and record what is there.")
def main(seconds: float, tasks: tuple[str, ...], systems: tuple[str, ...], score_only: bool) -> None:
    """Train, apply and score."""
    recorded: dict[str, Any] = {}
    n_failed = 0
    for key in tasks or tuple(TASKS):
        task, folder = TASKS[key], RUNS / f"{key}-{seconds:.0f}s"
        cases = cases_of(task, folder, development_data("pairs"))
        if not cases:
            continue
        folds = folds_of(task, cases)
        names = [name for name in systems or tuple(SYSTEMS) if fits(SYSTEMS[name], task)]
        if any(SYSTEMS[name].is_mixed for name in names):
            anatomies = development_data("anatomies")
            if anatomies is not None:
                write_maps(anatomies)
        for fold, tested in enumerate(folds):
            for name in names:
                if not score_only:
                    out = folder / name / f"fold-{fold}"
                    n_failed += not train_and_apply(name, task, cases, tested=tested, out=out, seconds=seconds)
        names = complete_systems(task, folder, len(folds))
        found = measure(task, cases, folds, folder, names)
        records = {
            name: [json.loads(path.read_text()) for path in sorted((folder / name).glob("fold-*/record.json"))]
            for name in names
        }
        keep_recorded(found, records, recorded_tasks().get(folder.name, {}))
        peers = [name for name in records if not name.startswith(OURS)]
        recorded[folder.name] = {
            "task": key,
            "seconds": seconds,
            "title": task.title,
            "agent": task.agent,
            "machine": stamp(),
            "records": records,
            "summary": summary(found),
            "tests": tests(found, peers),
            "cases": {name: {case: _measured(row) for case, row in rows.items()} for name, rows in found.items()},
        }
    if recorded:
        order = list(TASKS)
        found = recorded_tasks() | recorded
        keys = sorted(found, key=lambda key: (order.index(found[key]["task"]), -found[key]["seconds"]))
        write_result("peers", {"folds": 3, "tasks": {key: found[key] for key in keys}})
        write_page()
    if n_failed:
        raise SystemExit(f"{n_failed} trainings failed; their rows are missing or incomplete")


def _measured(row: dict[str, float]) -> dict[str, float | None]:
    """Returns the metrics of a case, None for one that could not be measured."""
    return {metric: value if np.isfinite(value) else None for metric, value in row.items()}
