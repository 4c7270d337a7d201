"""Finds pairs of scans in a folder by their file names, and makes a table of cases of them."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from voxlate.bundle.starter import contrast_in_name
from voxlate.cases import Case, check_cases
from voxlate.errors import InputRefused, NoInput, TemporaryFailure
from voxlate.io.bids import CONTRAST_ALIASES, is_simulated
from voxlate.io.nifti import is_marked_synthetic, nifti_suffix

TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1
"""Of the patients; usual shares, chosen by hand."""

_LABELS = re.compile(r"(^|[^a-z])(seg|dseg|labels?)([^a-z]|$)")
_MASK = re.compile(r"(^|[^a-z])mask([^a-z]|$)")


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        cases: one for each folder that holds one source and one target, with splits.
        left_out: number of folders with a source or a target that make no pair, by the reason.
    """

    cases: list[Case]
    left_out: Mapping[str, int]


def find_pairs(folder: Path, source: str, target: str) -> Found:
    """Finds pairs: every folder, at any depth, with one scan of either contrast by its name.

    The first folder below `folder` is the patient. The folder of the pair, with `_` between its levels, is the case.
    In BIDS the folders `anat` and `ct` of a session are one. One file named `seg` or `labels` is taken for the lesion
    labels. Synthetic scans are left out.

    Args:
        folder: of the scans, NIfTI.
        source: contrast such as `T1ce`, see `voxlate.bundle.starter.contrast_in_name`.
        target: likewise; `T1nce` is the same as `T1w`.

    Raises:
        NoInput: `NO_INPUT` when there is no such folder; `NO_PAIRS` when it holds no pair.
        InputRefused: `CASE_DUPLICATE` when two folders give one name.
    """
    if not folder.is_dir():
        raise NoInput("NO_INPUT", f"{folder.name}: no such folder")
    wanted = [CONTRAST_ALIASES.get(name, name) for name in (source, target)]
    cases, left_out, seen = [], Counter[str](), Counter[str]()
    for place, files in sorted(_by_session(folder).items()):
        labels = [path for path in files if _LABELS.search(path.name.lower())]
        scans = [path for path in files if path not in labels and not _MASK.search(path.name.lower())]
        stated = {path: name for path in scans if (name := _contrast(path)) is not None and not _is_synthetic(path)}
        seen.update(stated.values())
        by_contrast = [[path for path, found in stated.items() if found == name] for name in wanted]
        if not any(by_contrast):
            continue
        reason = _fault(by_contrast, wanted)
        if reason:
            left_out[reason] += 1
            continue
        levels = place.relative_to(folder).parts or (folder.name,)
        case = Case("_".join(map(_safe, levels)), _safe(levels[0]), "train", by_contrast[0][0], by_contrast[1][0])
        kind = "simulated" if is_simulated(folder) else "unknown"
        cases.append(replace(case, labels=labels[0] if len(labels) == 1 else None, data_kind=kind))
    if not cases:
        counts = ", ".join(f"{count} {name}" for name, count in sorted(seen.items())) or "no scan with a known name"
        raise NoInput(
            "NO_PAIRS",
            f"{folder.name}: no folder holds one {source} and one {target} by name; found {counts}; see "
            "docs/reference/cases.md for the table to write by hand",
        )
    return Found(check_cases(split_by_patient(cases)), left_out)


def split_by_patient(cases: Sequence[Case]) -> list[Case]:
    """Returns the cases with splits: a fifth of the patients for the test, a tenth for validation, at least one each.

    Patients are ordered by a hash of their names, so that the order of sites or dates in the names plays no part. Below
    three patients all are for training.

    Args:
        cases: the rows; their own splits are ignored.
    """
    names = sorted({case.patient for case in cases}, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    tests = max(1, round(TEST_SHARE * len(names))) if len(names) > 2 else 0
    validations = max(1, round(VALIDATION_SHARE * len(names))) if len(names) > 2 else 0
    split = dict.fromkeys(names, "train")
    split |= dict.fromkeys(names[:tests], "test") | dict.fromkeys(names[tests : tests + validations], "validation")
    return [replace(case, split=split[case.patient]) for case in cases]


def _by_session(folder: Path) -> dict[Path, list[Path]]:
    """Returns the NIfTI files below a folder by the folder of their session."""
    found: dict[Path, list[Path]] = {}
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "derivatives")
        place = Path(where)
        session = place.parent if place.name in ("anat", "ct") else place
        for name in sorted(names):
            path = place / name
            if nifti_suffix(path) and not name.startswith("."):
                found.setdefault(session, []).append(path)
    return found


def _is_synthetic(path: Path) -> bool:
    try:
        return is_marked_synthetic(path)
    except (InputRefused, TemporaryFailure):
        return False  # `voxlate prepare` refuses it with the reason


def _contrast(path: Path) -> str | None:
    name = contrast_in_name(path)
    return None if name is None else CONTRAST_ALIASES.get(name, name)


def _fault(by_contrast: Iterable[Sequence[Path]], wanted: Sequence[str]) -> str:
    """Returns why files make no pair, or ""."""
    for paths, name in zip(by_contrast, wanted, strict=True):
        if len(paths) != 1:
            return f"no {name}" if not paths else f"several {name}"
    return ""


def _safe(name: str) -> str:
    """Returns a name of a folder as part of the name of a case."""
    return re.sub(r"[^\w.-]", "-", name).lstrip(".") or "case"
