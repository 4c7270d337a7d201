"""Summary of the lesions of all cases: means by size, and lists of the worst cases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from voxlate.evaluation.schema.rows import CaseLesionRow, LesionRow, LesionSizeRow, WorstCaseRow, of_kind

WORST = 5
"""Cases in the list of worst cases for each criterion: as many as a reader looks at; chosen by hand."""


def summarize_lesions(rows: Sequence[CaseLesionRow]) -> list[LesionSizeRow | WorstCaseRow]:
    """Returns the `by_size` rows and the `worst_case` rows of all cases.

    Means are over patients; the lesions of one size of a patient are averaged first. The worst cases are the five with
    the largest volume of false structures, of leftovers, and with the largest error in a lesion.

    Args:
        rows: of all cases, each with its case and patient.
    """
    return [*_by_size(of_kind(rows, "lesion")), *_worst_cases(rows)]


def _by_size(lesions: Sequence[LesionRow]) -> Iterable[LesionSizeRow]:
    groups: dict[str, dict[str, list[LesionRow]]] = defaultdict(lambda: defaultdict(list))
    for lesion in lesions:
        groups[lesion["size"]][lesion["patient"]].append(lesion)
    smallest = {size: min(one["diameter_mm"] for own in groups[size].values() for one in own) for size in groups}
    for size in sorted(groups, key=smallest.__getitem__):
        patients = groups[size]
        everyone = [lesion for own in patients.values() for lesion in own]
        yield {
            "kind": "by_size",
            "size": size,
            "n_lesions": len(everyone),
            "n_patients": len(patients),
            "n_bright_in_target": sum(lesion["is_bright_in_target"] for lesion in everyone),
            "n_bright_kept": sum(bool(lesion["is_kept"]) for lesion in everyone if lesion["is_bright_in_target"]),
            "n_dark_in_target": sum(lesion["is_dark_in_target"] for lesion in everyone),
            "n_dark_kept": sum(bool(lesion["is_kept"]) for lesion in everyone if lesion["is_dark_in_target"]),
            "mae_source": _mean_over_patients(patients.values(), "mae_source"),
            "mae_synthetic": _mean_over_patients(patients.values(), "mae_synthetic"),
            "share_reached": _mean_over_patients(patients.values(), "share_reached"),
        }


def _mean_over_patients(
    patients: Iterable[Sequence[LesionRow]], column: Literal["mae_source", "mae_synthetic", "share_reached"]
) -> float | None:
    own = [[value for lesion in lesions if (value := lesion[column]) is not None] for lesions in patients]
    means = [float(np.mean(values)) for values in own if values]
    return float(np.mean(means)) if means else None


def _worst_cases(rows: Sequence[CaseLesionRow]) -> Iterable[WorstCaseRow]:
    worst_lesions: dict[str, LesionRow] = {}
    for lesion in of_kind(rows, "lesion"):
        if lesion["mae_synthetic"] >= worst_lesions.get(lesion["case"], lesion)["mae_synthetic"]:
            worst_lesions[lesion["case"]] = lesion
    structures = of_kind(rows, "structures")
    invented = [(row["false_structures_mm3"], row["case"], row["patient"]) for row in structures]
    left_over = [(row["leftovers_mm3"], row["case"], row["patient"]) for row in structures]
    wrong = [(row["mae_synthetic"], row["case"], row["patient"]) for row in worst_lesions.values()]
    yield from _ranked("false_structures_mm3", invented)
    yield from _ranked("leftovers_mm3", left_over)
    yield from _ranked("mae_synthetic", wrong)


def _ranked(criterion: str, cases: Sequence[tuple[float, str, str]]) -> Iterable[WorstCaseRow]:
    worst = sorted((entry for entry in cases if entry[0] > 0), key=lambda entry: -entry[0])[:WORST]
    for rank, (value, case, patient) in enumerate(worst, start=1):
        yield {
            "kind": "worst_case",
            "criterion": criterion,
            "rank": rank,
            "case": case,
            "patient": patient,
            "value": value,
        }
