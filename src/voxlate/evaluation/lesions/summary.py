"""What the lesions of all cases come to: by size, and the cases to look at first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

WORST = 5
"""How many cases the list of worst cases names for each criterion."""


def summarize_lesions(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns what the lesions of all cases come to: `by_size` rows and the `worst_case` lists.

    Means are over patients, a patient's lesions of one size averaged first. Worst are the five cases with the
    greatest volume of false structures, of leftovers, and with the greatest error in a lesion.
    """
    return [*_by_size([r for r in records if r["kind"] == "lesion"]), *_worst_cases(records)]


def _by_size(lesions: Sequence[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    groups: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for lesion in lesions:
        groups[lesion["size"]][lesion["patient"]].append(lesion)
    for size in sorted(groups):
        patients = groups[size]
        everyone = [lesion for own in patients.values() for lesion in own]
        row: dict[str, Any] = {
            "kind": "by_size",
            "size": size,
            "n_lesions": len(everyone),
            "n_patients": len(patients),
            "n_bright_in_target": sum(lesion["is_bright_in_target"] for lesion in everyone),
            "n_bright_kept": sum(bool(lesion["is_kept"]) for lesion in everyone if lesion["is_bright_in_target"]),
            "n_dark_in_target": sum(lesion["is_dark_in_target"] for lesion in everyone),
            "n_dark_kept": sum(bool(lesion["is_kept"]) for lesion in everyone if lesion["is_dark_in_target"]),
        }
        for name in ("mae_source", "mae_synthetic", "share_reached"):
            row[name] = _mean_over_patients(patients.values(), name)
        yield row


def _mean_over_patients(patients: Iterable[Sequence[dict[str, Any]]], name: str) -> float | None:
    own = [[lesion[name] for lesion in lesions if lesion[name] is not None] for lesions in patients]
    means = [float(np.mean(values)) for values in own if values]
    return float(np.mean(means)) if means else None


def _worst_cases(records: Sequence[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    structures = [record for record in records if record["kind"] == "structures"]
    lesions: dict[str, dict[str, Any]] = {}
    for record in records:
        if (
            record["kind"] == "lesion"
            and record["mae_synthetic"] >= lesions.get(record["case"], record)["mae_synthetic"]
        ):
            lesions[record["case"]] = record
    yield from _ranked(structures, "false_structures_mm3")
    yield from _ranked(structures, "leftovers_mm3")
    yield from _ranked(list(lesions.values()), "mae_synthetic")


def _ranked(records: Sequence[dict[str, Any]], criterion: str) -> Iterable[dict[str, Any]]:
    worst = sorted((r for r in records if r[criterion] > 0), key=lambda r: -r[criterion])[:WORST]
    for rank, record in enumerate(worst, start=1):
        yield {
            "kind": "worst_case",
            "criterion": criterion,
            "rank": rank,
            "case": record["case"],
            "patient": record["patient"],
            "value": record[criterion],
        }
