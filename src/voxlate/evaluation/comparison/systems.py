"""The systems of a comparison: their names, folders and bundles, and whether a bundle saw the test patients."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voxlate.cases import Case, read_cases, require_case_name
from voxlate.errors import InputRefused, UsageError
from voxlate.evaluation.card import CARD
from voxlate.evaluation.cases.scores import CURVE, METHODS
from voxlate.evaluation.tissues.volumes import RESCANNED, TARGET
from voxlate.io.log import warn

RESERVED = frozenset({*METHODS, CURVE, RESCANNED, TARGET})
"""Names of baselines and references in every table; no system can have one."""

_TRAINED_ON = re.compile(r"^\| trained on \| \d+ cases \((?!simulated)[^)]*\): ([^;|]*)", re.MULTILINE)
"""The line of a model card that names the training cases; simulated patients have the same names in each data set."""

_MOST_NAMED = 5
"""Cases that a message names."""


@dataclass(frozen=True)
class System:
    """A system of a comparison.

    Attributes:
        name: as in every table, unique and safe as a folder.
        folder: of its synthetic images.
        bundles: bundles that made them; empty if unknown. A cross-validation has one per fold.
        folders: the folder of each case of a cross-validation.
        folds: the fold of each case of a cross-validation, from 0.
        case_bundles: the bundle of the fold of each case, where it is there.
    """

    name: str
    folder: Path
    bundles: tuple[Path, ...] = ()
    folders: Mapping[str, Path] = field(default_factory=dict, hash=False)
    folds: Mapping[str, int] = field(default_factory=dict, hash=False)
    case_bundles: Mapping[str, Path] = field(default_factory=dict, hash=False)


def require_names(names: Iterable[str]) -> None:
    """Refuses names of systems that tables or folders cannot hold.

    Raises:
        UsageError: `SYSTEM_NAME` for a name that is not valid or is that of a baseline, `SYSTEM_TWICE`.
    """
    seen: set[str] = set()
    for name in names:
        try:
            require_case_name(name)
        except InputRefused as error:
            raise UsageError(
                "SYSTEM_NAME", f"{name!r} is not a valid name of a system; use letters, digits, '-' and '_'"
            ) from error
        if name in RESERVED:
            raise UsageError("SYSTEM_NAME", f"{name!r} is the name of a baseline or reference; choose another")
        # Folders of some file systems do not tell the case of letters; figures print blanks for underscores.
        shown = name.casefold().replace("_", " ")
        if shown in seen:
            raise UsageError("SYSTEM_TWICE", f"two systems are named {name!r} or nearly so; give each its own name")
        seen.add(shown)


def training_cases(bundle: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Returns the names of the cases and of the patients that a bundle was trained on, as far as it states them.

    The run of a training has a table `cases.tsv` beside the bundle; a bundle alone names its cases in its card.

    Args:
        bundle: folder of the bundle.
    """
    table = bundle.resolve().parent / "cases.tsv"
    if table.is_file() and (bundle.resolve().parent / "recipe.yaml").is_file():  # the run of the bundle
        learned = [case for case in read_cases(table, paired=False) if case.split != "test"]
        return frozenset(case.case for case in learned), frozenset(case.patient for case in learned)
    card = bundle / CARD
    if not card.is_file():
        return frozenset(), frozenset()
    found = _TRAINED_ON.search(card.read_text(encoding="utf-8"))
    return frozenset(found[1].strip().split(", ") if found else ()), frozenset()


def require_unseen(system: str, bundle: Path, cases: Sequence[Case]) -> None:
    """Refuses test cases whose patients the bundle was trained or chosen on.

    Args:
        system: its name.
        bundle: folder of the bundle.
        cases: that the bundle is tested on.

    Raises:
        InputRefused: `TRAINED_ON_TEST`.
    """
    fault = _seen(system, bundle, cases)
    if fault:
        raise InputRefused("TRAINED_ON_TEST", f"{fault}; test it on others, or pass --allow-training-cases")


def flag_seen(bundle: Path, cases: Sequence[Case]) -> None:
    """Warns with `TRAINED_ON_TEST` where cases are of patients that the one model evaluated was trained or chosen on.

    Args:
        bundle: folder of its bundle.
        cases: that it is tested on.
    """
    fault = _seen("the model", bundle, cases)
    if fault:
        warn("TRAINED_ON_TEST", f"{fault}; the scores say nothing of other patients: test it on others")


def _seen(system: str, bundle: Path, cases: Sequence[Case]) -> str:
    """Returns which cases are of patients that a bundle was trained or chosen on, or "" for none."""
    names, patients = training_cases(bundle)
    seen = [case.case for case in cases if case.case in names or case.patient in patients]
    more = f" and {len(seen) - _MOST_NAMED} more" if len(seen) > _MOST_NAMED else ""
    listed = f"{', '.join(seen[:_MOST_NAMED])}{more}"
    told = f"{system} was trained or chosen on the patients of {len(seen)} of {len(cases)} cases ({listed})"
    return told if seen else ""
