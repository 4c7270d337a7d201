"""What a training refuses before torch is loaded, which takes seconds: a folder that is taken, absent files."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import DEFAULT_TABLE
from voxlate.cases import ABSENT, Case
from voxlate.errors import NoInput, UsageError

log = logging.getLogger("voxlate")

CHECKPOINT = "checkpoint.safetensors"
"""In the folder of a run: its whole state."""

FOLDS_TABLE = "folds.tsv"
"""In the folder of a cross-validation: the fold of each training case."""

_RANKS = ("RANK", "NODE_RANK", "GROUP_RANK", "LOCAL_RANK", "SLURM_PROCID")
"""Environment variables by which torchrun, SLURM and Lightning Fabric number the processes or machines of a run."""


def require_free(run: Path, *, resume: bool) -> None:
    """Refuses a folder that holds folds, or a run that is not resumed.

    Raises:
        UsageError: `RUN_EXISTS`.
    """
    if (run / FOLDS_TABLE).exists():
        raise UsageError(
            "RUN_EXISTS",
            f"{run.name} holds the folds of a cross-validation; pass --folds and --resume to go on with them, or name "
            "another folder",
        )
    if (run / CHECKPOINT).exists() and not resume:
        raise UsageError("RUN_EXISTS", f"{run.name} holds a run; pass --resume to go on, or name another folder")


def tell_where_it_begins(run: Path, *, resume: bool) -> None:
    """Logs that a run that should be resumed begins at step 0, where it has no checkpoint."""
    if resume and not (run / CHECKPOINT).exists():
        log.info("%s has no checkpoint to resume; the run begins at step 0", run.name)


def require_free_for_folds(run: Path, *, resume: bool) -> None:
    """Refuses a folder that holds a run without folds, or folds that are not resumed.

    Raises:
        UsageError: `RUN_EXISTS`.
    """
    # Of several processes the first one alone can find the folds of an earlier run; the others may find its table.
    is_partner = any(os.environ.get(name, "0") != "0" for name in _RANKS)
    if (run / CHECKPOINT).exists():
        raise UsageError("RUN_EXISTS", f"{run.name} holds a run without folds; name another folder")
    if (run / FOLDS_TABLE).exists() and not resume and not is_partner:
        raise UsageError("RUN_EXISTS", f"{run.name} holds a run; pass --resume to go on, or name another folder")


def require_files(cases: Sequence[Case], recipe: Recipe, folder: Path) -> None:
    """Refuses a training whose files do not exist, before any of them is read.

    Args:
        cases: of all splits; files of the test split are not needed.
        recipe: names the cases.
        folder: the data folder.

    Raises:
        NoInput: `NO_INPUT`, with the number of cases, the first file, what names it, and the remedy.
    """
    needed = [case for case in cases if case.split != "test"]
    absent = [(case.case, path) for case in needed for path in _files(case, recipe) if not path.is_file()]
    if not absent:
        return
    case, path = absent[0]
    data, place = recipe.data, folder.resolve().name
    start = f"{len(dict(absent))} of {len(needed)} cases lack a file, first {case}: {path.name} does not exist"
    if not data.names_cases and not (folder / DEFAULT_TABLE).is_file():
        raise NoInput("NO_INPUT", f"{start}; correct its path in the list of cases")
    if data.source is not None:
        origin = f"the recipe {recipe.name} looks for {data.source} and {data.target} in the folder {place}"
        table = f"{place}/{DEFAULT_TABLE}" if (folder / DEFAULT_TABLE).is_file() else DEFAULT_TABLE
        remedy = f"`voxlate init {table} my.yaml` writes a recipe for a table of your own; or pass --data"
    else:
        origin = f"the table {data.cases or DEFAULT_TABLE} in the folder {place} names it"
        remedy = "paths in a table are relative to its folder; correct the table, or pass --data"
    raise NoInput("NO_INPUT", f"{start}; {origin}; {remedy} with the folder of the data")


def _files(case: Case, recipe: Recipe) -> list[Path]:
    """Returns the files of a case that the training of a recipe reads."""
    if recipe.data.paired or case.split != "train":
        paths = [case.source, case.target, case.mask, case.labels, *map(case.more.get, recipe.more_sources)]
    else:
        paths = [case.source, case.target, case.mask, target_mask(case)]
    return [path for path in paths if path is not None and path != ABSENT]


def target_mask(case: Case) -> Path | None:
    """Returns the brain mask of an unpaired target; in a row without a source, `mask` is that of the target."""
    return case.mask if case.source == ABSENT else case.target_mask
