"""Cross-validation by patient: each fold is a run of its own that begins with new weights.

The published code of Bottani et al. passes the network of one fold on to the next, so that it is tested on cases that
it was trained on. Here the hash of the weights that each fold begins with is recorded and compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from voxlate.bundle.recipe import Recipe
from voxlate.cases import Case
from voxlate.errors import ModelInvalid, UsageError
from voxlate.io.atomic import write_text
from voxlate.io.documents import read_json
from voxlate.training.loop import Machine, Watcher, train_cases
from voxlate.training.preflight import FOLDS_TABLE, require_free_for_folds


@dataclass(frozen=True)
class Fold:
    """One trained fold.

    Attributes:
        index: from 0.
        bundle: its folder.
        held_out: names of its test cases, which have the split `test` in the `cases.tsv` of the fold.
    """

    index: int
    bundle: Path
    held_out: tuple[str, ...]


def fold_of(cases: Sequence[Case], count: int, seed: int) -> dict[str, int]:
    """Returns the fold of each training case by its name.

    All cases of a patient are in one fold, and the sizes of folds differ by one patient at most. The folds depend on
    the patients and the seed, not on the order of the table.

    Args:
        cases: of all splits.
        count: number of folds.
        seed: of the recipe.

    Raises:
        UsageError: `FOLDS` when there are fewer than two folds or fewer patients than folds.
    """
    training = [case for case in cases if case.split == "train"]
    if not all(case.is_pair for case in training):
        raise UsageError("FOLDS", "a held-out case needs a source and a target; train unpaired rows without folds")
    patients = {case.patient for case in training}
    if not 2 <= count <= len(patients):
        raise UsageError(
            "FOLDS", f"{count} folds of {len(patients)} training patients; pass 2 to {len(patients)} folds"
        )
    shuffled = sorted(patients, key=lambda patient: hashlib.sha256(f"{seed}:{patient}".encode()).hexdigest())
    fold = {patient: index % count for index, patient in enumerate(shuffled)}
    return {case.case: fold[case.patient] for case in training}


def fold_cases(cases: Sequence[Case], folds: dict[str, int], index: int) -> list[Case]:
    """Returns the cases of one fold.

    Its own cases get the split `test`, all other training cases `train`. Validation cases stay. Cases whose split is
    `test` are left out: they are reserved for the final test.

    Args:
        cases: of all splits.
        folds: the fold of each training case, see `fold_of`.
        index: of the fold, from 0.
    """
    mine = []
    for case in cases:
        if case.case in folds:
            mine.append(replace(case, split="test" if folds[case.case] == index else "train"))
        elif case.split == "validation":
            mine.append(case)
    return mine


def train_folds(
    recipe: Recipe,
    run: Path,
    count: int,
    *,
    root: Path | None = None,
    resume: bool = False,
    machine: Machine | None = None,
    watch: Watcher | None = None,
) -> Iterator[Fold]:
    """Trains folds one after the other below `run` and yields each; a resumed run keeps the finished ones.

    Args:
        recipe: the resolved recipe.
        run: gets `folds.tsv` and a folder `fold-<index>` for each fold.
        count: number of folds.
        root: replaces the data folder of the recipe.
        resume: go on with the folds in `run`.
        machine: accelerator and devices.
        watch: called after each step of each fold.

    Raises:
        UsageError: `RUN_EXISTS`, `FOLDS`, `FOLDS_CHANGED` when `run` holds other folds; what `train` raises.
        ModelInvalid: `WEIGHTS_CARRIED` when two folds did not begin with the same fresh weights.
    """
    machine = machine or Machine()
    machine = replace(machine, prepared=machine.prepared or run / "prepared")  # the folds hold the same cases
    cases = recipe.cases(root)
    folds = fold_of(cases, count, recipe.training.seed)
    _claim(run, folds, resume=resume)
    first = ""
    for index in range(count):
        folder = run / f"fold-{index}"
        mine = fold_cases(cases, folds, index)
        if not (folder / "bundle" / "manifest.json").exists():
            train_cases(recipe, mine, folder, root=root, machine=machine, watch=watch)
        began = str(read_json(folder / "start.json")["generator_sha256"])
        if first and began != first:
            raise ModelInvalid("WEIGHTS_CARRIED", f"fold {index} did not begin with the fresh weights of fold 0")
        first = began
        yield Fold(index, folder / "bundle", tuple(case.case for case in mine if case.split == "test"))


def _claim(run: Path, folds: dict[str, int], *, resume: bool) -> None:
    """Writes the table of folds, or checks that an existing one is the same."""
    text = "case\tfold\n" + "".join(f"{case}\t{fold}\n" for case, fold in sorted(folds.items()))
    require_free_for_folds(run, resume=resume)
    path = run / FOLDS_TABLE
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise UsageError("FOLDS_CHANGED", f"{run.name} holds folds of other cases; use another folder")
    write_text(path, text)
