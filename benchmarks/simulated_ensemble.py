"""Four networks for T1ce to T1, each trained on all but one fold of five of simulated heads.

    python benchmarks/simulated_ensemble.py

What is made is kept below runs/ensemble: `heads` (scanners A, B, C and E, 40 to train on and 20 that no network sees),
`scanner_D` (10, of a scanner that no training head has), `bundles/0` to `3`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from voxlate.bundle.recipe import Recipe, parse_recipe
from voxlate.cases import Case, read_cases
from voxlate.simulation.files.dataset import Plan, write_dataset
from voxlate.training.folds import fold_cases, fold_of
from voxlate.training.loop import train_cases

ROOT = Path(__file__).resolve().parents[1] / "runs" / "ensemble"
FOLDS, MEMBERS, STEPS, TRAINED, UNSEEN, OTHERS = 5, 4, 240, 40, 20, 10
RECIPE = f"""
name: simulated_t1ce_to_t1
source: T1ce
target: T1nce
data_kind: simulated
data: {{cases: cases.tsv}}
model: {{name: translator, arguments: {{width: 16}}}}
loss: {{l1: 1.0, gradient: 0.25}}
training:
  {{steps: {STEPS}, window: [48, 48, 48], learning_rate: 0.001, warmup: 20, average: 0.99, validate_every: 10000}}
"""


def recipe() -> Recipe:
    return parse_recipe(RECIPE, name="ensemble.yaml")


def heads() -> list[Case]:
    """Returns the heads of scanners that training has; those that no network sees are split into two halves."""
    cases = dataset("heads", TRAINED + UNSEEN, seed=31)
    splits = ["train"] * TRAINED + ["validation"] * (UNSEEN // 2) + ["test"] * (UNSEEN // 2)
    return [replace(case, split=split) for case, split in zip(cases, splits, strict=True)]


def dataset(name: str, count: int, seed: int, scanner: str | None = None) -> list[Case]:
    """Returns simulated pairs, made at the first call."""
    folder = ROOT / name
    for _ in write_dataset(folder, Plan("t1ce_t1", count, seed=seed, scanner=scanner), jobs=2):
        pass
    return read_cases(folder / "cases.tsv")


def bundles() -> list[Path]:
    """Returns the folders of the four, trained at the first call."""
    made, chosen, cases = [], recipe(), heads()
    folds = fold_of(cases, FOLDS, seed=0)
    for index in range(MEMBERS):
        folder = ROOT / "bundles" / str(index)
        if not (folder / "bundle" / "manifest.json").exists():
            rows = [case for case in fold_cases(cases, folds, index) if case.split == "train"]
            seeded = chosen.model_copy(update={"training": chosen.training.model_copy(update={"seed": index})})
            train_cases(seeded, rows, folder)
        made.append(folder / "bundle")
    return made


if __name__ == "__main__":
    torch.set_num_threads(1)
    for each in bundles():
        print(each)
    dataset("scanner_D", OTHERS, seed=32, scanner="D")
