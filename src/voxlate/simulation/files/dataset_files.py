"""Writes the files that describe a simulated data set: description, participants, table of cases, oracle error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxlate.io import bids
from voxlate.io.atomic import write_json, write_text
from voxlate.io.documents import read_json
from voxlate.simulation.files.bids import (
    IGNORED,
    IGNORED_TRUTH,
    TRUTH,
    image_path,
    session_name,
    truth_path,
)
from voxlate.simulation.truth import LABELS

PAIRS = {
    "t1ce_t1": ("T1ce", "T1w"),
    "virtual_contrast": ("T1w", "T1ce"),
    "ct_to_mr": ("CT", "T1w"),
    "spine": ("CT", "T2w"),
}
"""Source and target contrast of each task."""

MORE = {"virtual_contrast": ("T2w", "FLAIR", "ADC"), "ct_to_mr": ("T2w",)}
"""Contrasts of the further images of a task: additional sources, or a second target."""

_NOTICE = """
The heads are deformed from the ICBM 2009a template: Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging
Centre, Montreal Neurological Institute, McGill University. Permission to use, copy, modify, and distribute is granted
for any purpose without fee, provided that this notice appears in all copies; provided "as is" without any warranty.
"""
"""Added to the README of heads deformed from the embedded one."""

_README = """Simulated data. Nothing here was measured on a person.

Made by voxlate simulate, from formulas for tissues and scanners (derivatives/truth/simulation.json holds the
settings). The truth of each case lies in derivatives/truth, and cases.tsv lists the pairs.

The images show what their physics says and nothing more: no claim about any real scanner or patient follows from them.
Computed tomography lies in folders ct, which BIDS does not define yet.
"""


def write_description_files(root: Path, task: str, settings: dict[str, Any], settings_file: Path) -> None:
    """Writes the files that do not depend on the subjects.

    Args:
        root: folder of the data set.
        task: a key of `PAIRS`.
        settings: settings of the simulation.
        settings_file: path of the settings below `root`.
    """
    is_embedded = "embedded" in (settings.get("anatomies") or {})
    common = {
        "BIDSVersion": bids.BIDS_VERSION,
        "License": "CC0, with the notice of the ICBM template in README" if is_embedded else "CC0",
        "GeneratedBy": bids.generated_by(bids.SIMULATED_BY),
    }
    name = f"Simulated scans for the task {task}"
    write_json(root / settings_file, settings)
    bids.write_description(root, Name=name, DatasetType="raw", Authors=["voxlate"], **common)
    write_text(root / "README", _README + _NOTICE * is_embedded)
    bids.write_ignored(root, IGNORED)
    bids.write_ignored(root / TRUTH, IGNORED_TRUTH)
    links = {"raw": "../.."}
    bids.write_description(
        root / TRUTH, Name=f"{name}: the truth", DatasetType="derivative", DatasetLinks=links, **common
    )
    rows = [{"index": number, "name": label} for label, number in LABELS.items()]
    write_text(root / TRUTH / "dseg.tsv", bids.table(rows, ["index", "name"]))


def write_summary_files(root: Path, task: str, sessions: int, subjects: Sequence[str]) -> None:
    """Writes the files that need all subjects: participants, cases with their splits, and the mean oracle error.

    Args:
        root: folder of the data set.
        task: a key of `PAIRS`.
        sessions: number of sessions of each subject.
        subjects: names, in order.
    """
    factors = [[_factors(root, subject, session) for session in range(sessions)] for subject in subjects]
    people = [{"participant_id": name, "age": _age(visits[0])} for name, visits in zip(subjects, factors, strict=True)]
    bids.write_participants(root, people, {"age": {"Description": "simulated age", "Units": "years"}})
    pairs = [
        row
        for number, name in enumerate(subjects)
        for session in range(sessions)
        for row in _pair(root, task, name, session, split_of(number, len(subjects)))
    ]
    columns = ["case", "patient", "split", "source", "target", "mask", "labels"]
    write_text(root / "cases.tsv", bids.table(pairs, columns))
    write_json(root / TRUTH / "oracle.json", mean_oracle([visit["oracle"] for visits in factors for visit in visits]))


def _age(factors: Mapping[str, Any]) -> float | None:
    """Returns the age in years of a head; None for a spine and for a head from a folder of label maps."""
    age = factors.get("head", {}).get("age_years")
    return None if age is None else round(age, 1)


def split_of(number: int, count: int) -> str:
    """Returns the split of a subject: the last fifth is `test`, the tenth before it `validation`, the rest `train`.

    Args:
        number: of the subject, from 0.
        count: of all subjects.
    """
    if number >= count - max(count // 5, 1):
        return "test"
    return "validation" if number >= count - max(count // 5, 1) - max(count // 10, 1) else "train"


def mean_oracle(errors: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the oracle's errors averaged over cases, a lower bound for the mean error of any model."""
    result: dict[str, Any] = {"cases": len(errors)}
    for target in errors[0]:
        result[target] = {"unit": errors[0][target]["unit"]}
        for region in ("all", "uncertain"):
            regional = [error[target][region] for error in errors if region in error[target]]
            if regional:
                result[target][region] = {
                    name: float(np.mean([each[name] for each in regional])) for name in regional[0]
                } | {"cases": len(regional)}
    return result


def _factors(root: Path, subject: str, session: int) -> dict[str, Any]:
    factors: dict[str, Any] = read_json(root / truth_path(subject, session, "factors.json"))
    return factors


def _pair(root: Path, task: str, subject: str, session: int, split: str) -> list[dict[str, Any]]:
    """Returns the row of a session in the table of cases; empty if its source or target is missing."""
    source, target = (image_path(subject, session, shown) for shown in PAIRS[task])
    if not ((root / source).is_file() and (root / target).is_file()):
        return []
    table_of_lesions = (root / truth_path(subject, session, "lesions.tsv")).read_text(encoding="utf-8")
    has_lesions = len(table_of_lesions.splitlines()) > 1
    labels = truth_path(subject, session, "desc-lesion_dseg.nii.gz").as_posix() if has_lesions else ""
    more = {name: image_path(subject, session, name) for name in MORE.get(task, ())}
    row = {
        "case": f"{subject}_{session_name(session)}",
        "patient": subject,
        "split": split,
        "source": source.as_posix(),
        "target": target.as_posix(),
        "mask": truth_path(subject, session, "desc-brain_mask.nii.gz").as_posix(),
        "labels": labels,
        **{f"more:{name}": path.as_posix() if (root / path).is_file() else "" for name, path in more.items()},
    }
    return [row]
