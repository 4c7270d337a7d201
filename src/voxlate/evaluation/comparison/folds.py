"""The synthetic images of a cross-validation: each case was translated by the one fold that never saw its patient.

RUN/folds.tsv                    case and fold, as `voxlate train --folds` writes it; may be absent
RUN/fold-0/synthetic/<case>.…    images of the test cases of the fold; also directly in RUN/fold-0/
RUN/fold-0/bundle/               the bundle of the fold; its run states which cases it was trained on
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from voxlate.cases import Case
from voxlate.errors import InputRefused, NoInput
from voxlate.evaluation.comparison.systems import System, require_made_by, require_unseen
from voxlate.io.tables import read_rows

TABLE, SYNTHETIC, BUNDLE = "folds.tsv", "synthetic", "bundle"
_PREFIX = "fold-"


def with_folds(system: System, cases: Sequence[Case], *, allows_training_cases: bool) -> System:
    """Returns the system with the folder and the fold of each case.

    Args:
        system: its folder is the run of a cross-validation.
        cases: all rows of the table.
        allows_training_cases: whether a fold may be tested on its training cases.

    Raises:
        NoInput: `FOLDS_MISSING` when the folder has no fold.
        InputRefused: `FOLDS` for a table that cannot be read, `FOLDS_OVERLAP` when two folds hold an image of one case,
            `TRAINED_ON_TEST`, `OTHER_MODEL`.
    """
    parts = {_index(path): path for path in system.folder.glob(f"{_PREFIX}*") if path.is_dir() and _index(path) >= 0}
    if not parts:
        raise NoInput(
            "FOLDS_MISSING", f"{system.name}: no folder {_PREFIX}0 in it; give the run of voxlate train --folds"
        )
    folders = {index: part / SYNTHETIC if (part / SYNTHETIC).is_dir() else part for index, part in parts.items()}
    stated = _read_table(system.folder / TABLE)
    folds: dict[str, int] = {}
    for case in cases:
        holding = [index for index, folder in sorted(folders.items()) if (folder / f"{case.case}.nii.gz").is_file()]
        if len(holding) > 1 and case.case not in stated:
            raise InputRefused(
                "FOLDS_OVERLAP",
                f"{system.name}: folds {holding[0]} and {holding[1]} both have an image of {case.case}; keep that of "
                "the fold that was not trained on it",
            )
        if case.case in stated:
            folds[case.case] = stated[case.case]
        elif holding:
            folds[case.case] = holding[0]
    bundles = {index: part / BUNDLE for index, part in sorted(parts.items()) if (part / BUNDLE).is_dir()}
    for index, bundle in bundles.items():
        tested = [case for case in cases if folds.get(case.case) == index]
        if tested and not allows_training_cases:
            require_unseen(f"fold {index} of {system.name}", bundle, tested)
        made = {case.case: folders[index] for case in tested}
        require_made_by(f"the model of fold {index} of {system.name}", [bundle], made)
    nowhere = system.folder / f"{_PREFIX}0"
    return replace(
        system,
        bundles=tuple(bundles.values()),
        folds=folds,
        folders={name: folders.get(index, nowhere) for name, index in folds.items()},
        case_bundles={name: bundles[index] for name, index in folds.items() if index in bundles},
    )


def require_same_folds(systems: Sequence[System]) -> dict[str, int]:
    """Returns the fold of each case over all systems.

    Raises:
        InputRefused: `FOLDS_DIFFER` when two systems have one case in two folds; their rows could not be compared.
    """
    folds: dict[str, int] = {}
    for system in systems:
        for case, fold in system.folds.items():
            if folds.setdefault(case, fold) != fold:
                raise InputRefused(
                    "FOLDS_DIFFER",
                    f"{case} is in fold {folds[case]} and, of {system.name}, in fold {fold}; train with the same seed",
                )
    return folds


def _index(folder: Path) -> int:
    number = folder.name.removeprefix(_PREFIX)
    return int(number) if number.isdecimal() else -1


def _read_table(path: Path) -> dict[str, int]:
    """Returns the fold of each case; empty without a table."""
    if not path.is_file():
        return {}
    rows = read_rows(path, code="FOLDS", needed=("case", "fold"))
    try:
        return {row["case"]: int(row["fold"]) for row in rows}
    except ValueError as error:
        raise InputRefused("FOLDS", f"{path.name} is not a table of the columns case and fold; train again") from error
