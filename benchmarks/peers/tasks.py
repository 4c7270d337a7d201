"""The tasks on which peers are compared, and their folds: every subject is tested once."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from machine import HELD_OUT, pair_cases

SIMULATED_PATIENTS = 9
"""As many as there are real pairs, in as many folds."""


@dataclass(frozen=True)
class Task:
    """What is learned from what.

    Attributes:
        title: for people.
        sources: column or file of each source.
        target: column or file of the target.
        more: names of the additional sources in voxlate's recipe.
        agent: 1 removes a contrast agent, -1 adds one, 0 neither.
        recipe: voxlate's default for the task.
        change: keys of that recipe that the data of the benchmark ask for.
        pretrained: shipped model from which a second row of voxlate starts; None where none is shipped.
        mixed: variant of the recipe with windows of simulated heads beside those of the pairs; None where it has none.
        is_simulated: the data come from `voxlate simulate`, not from the development data.
    """

    title: str
    sources: tuple[str, ...]
    target: str
    more: tuple[str, ...]
    agent: int
    recipe: str
    change: dict[str, Any]
    pretrained: str | None = None
    mixed: str | None = None
    is_simulated: bool = False


SMALL_HEADS = {
    "model": {"name": "translator", "arguments": {"width": 32}},
    "loss": {"l1": 1.0, "gradient": 0.25},
    "training": {"batch": 2, "window": [64, 64, 64], "learning_rate": 0.001},
    "inference": {"window": [96, 96, 96], "overlap": 0.5},
}
"""The variant `translator` of the recipe for CT, with windows that fit into heads of 2 mm."""

TASKS = {
    "t1ce-to-t1": Task(
        "T1 with contrast agent to T1 without, nine real pairs",
        ("t1ce",),
        "t1",
        (),
        1,
        "t1ce_to_t1_finetuned",
        {},
        pretrained="t1ce-to-t1-simulated",  # the other has seen eight of the nine pairs
        mixed="several_pairs",
    ),
    "t1-t2-flair-to-t1ce": Task(
        "T1, T2 and FLAIR to T1 with contrast agent, nine real pairs",
        ("t1", "t2", "flair"),
        "t1ce",
        ("T2w", "FLAIR"),
        -1,
        "t1_to_t1ce",
        {"more_sources": ["T2w", "FLAIR"], "data": {"cases": "cases.tsv"}},
    ),
    "ct-to-t1": Task(
        "CT to T1, nine simulated heads", ("source",), "target", (), 0, "li2022/default", SMALL_HEADS, is_simulated=True
    ),
    "ct-to-t2": Task(
        "CT to T2, nine simulated heads",
        ("source",),
        "more:T2w",
        (),
        0,
        "li2022/default",
        SMALL_HEADS | {"target": "T2w", "data": {"cases": "cases.tsv"}},
        is_simulated=True,
    ),
}


def cases_of(task: Task, folder: Path, pairs: Path | None) -> list[dict[str, Any]]:
    """Returns the cases of a task: name, sources, target, mask and labels as paths; masks are written below `folder`.

    Args:
        task: which task.
        folder: for masks and simulated data.
        pairs: folder of the real pairs; None where the development data are absent, which leaves no case.
    """
    if task.is_simulated:
        return _simulated_cases(task, folder)
    if pairs is None:
        return []
    cases = []
    for pair in pair_cases(pairs):
        files = [pair.source.with_name(f"{name}.nii.gz") for name in (*task.sources, task.target)]
        mask = folder / "masks" / f"{pair.case}.nii.gz"
        if not mask.is_file():
            image = nibabel.load(files[0])
            mask.parent.mkdir(parents=True, exist_ok=True)
            inside = (np.asarray(image.dataobj) > 0).astype(np.uint8)
            nibabel.save(nibabel.Nifti1Image(inside, image.affine), mask)
        row = {"name": pair.case, "sources": [str(path) for path in files[:-1]], "mask": str(mask)}
        row |= {"target": str(files[-1]), "labels": None if pair.labels is None else str(pair.labels)}
        cases.append(row)
    return cases


def folds_of(task: Task, cases: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Returns the names of the test cases of each fold."""
    if not task.is_simulated:
        return list(HELD_OUT)
    names = [case["name"] for case in cases]
    return [tuple(names[fold::3]) for fold in range(3)]


def _simulated_cases(task: Task, folder: Path) -> list[dict[str, Any]]:
    from voxlate.cases import read_cases

    prepared = folder.parent / "simulated" / "prepared"
    if not (prepared / "cases.tsv").is_file():
        data = folder.parent / "simulated" / "data"
        for arguments in (
            ["simulate", data, "--task", "ct_to_mr", "--subjects", SIMULATED_PATIENTS, "--size", "small", "--seed", 23],
            ["prepare", data / "cases.tsv", prepared, "--target-too", "T2w", "--no-template"],
        ):
            command = [sys.executable, "-m", "voxlate", *map(str, arguments), "--no-progress"]
            subprocess.run(command, check=True)
    cases = []
    for case in read_cases(prepared / "cases.tsv"):
        target = case.target if task.target == "target" else case.more[task.target.removeprefix("more:")]
        row = {"name": case.case, "sources": [str(case.source)], "target": str(target), "mask": str(case.mask)}
        cases.append(row | {"labels": None})
    return cases
