"""Does the change of a volume between two visits look the same in synthetic and in real images?

For each patient, method and structure the change is the value of the last session minus that of the first, in its own
unit or, where the unit is %, over the first value; a unit that ends in /year says that it is divided by the years
between them. Changes of a method are compared with those of the real images by Bland and Altman: the bias (method −
real) and the limits within which 95 % of the differences lie, with intervals.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxlate.errors import InputRefused
from voxlate.evaluation.downstream.measurements import (
    TARGET,
    Measurement,
    read_measurements,
    require_method,
    write_result,
)
from voxlate.evaluation.statistics import MINIMUM_PATIENTS, bland_altman, mean_interval


@dataclass(frozen=True)
class Change:
    """Change of one structure in one patient, by one method.

    Attributes:
        value: last − first session, in `unit`.
        percent: of the first value.
        sessions: names of the first and the last session.
        unit: of the values, with `/year` when the change is divided by time.
    """

    value: float
    percent: float
    sessions: tuple[str, str]
    unit: str


@dataclass(frozen=True)
class ChangeAgreement:
    """Agreement of the changes of one structure by a method with those of the real images, over `n` patients.

    Attributes:
        method, structure, unit: what is compared; all values but `n` are in `unit`.
        n: patients with two sessions by both methods.
        real_change, real_low, real_high: mean change in the real images with its 95 % interval.
        change, change_low, change_high: the same by the method.
        bias, bias_low, bias_high: mean of method − real.
        lower, lower_low, lower_high: lower limit of agreement.
        upper, upper_low, upper_high: upper limit.
        note: why it was not computed; the numbers are then NaN.
    """

    method: str
    structure: str
    unit: str
    n: int
    real_change: float = float("nan")
    real_low: float = float("nan")
    real_high: float = float("nan")
    change: float = float("nan")
    change_low: float = float("nan")
    change_high: float = float("nan")
    bias: float = float("nan")
    bias_low: float = float("nan")
    bias_high: float = float("nan")
    lower: float = float("nan")
    lower_low: float = float("nan")
    lower_high: float = float("nan")
    upper: float = float("nan")
    upper_low: float = float("nan")
    upper_high: float = float("nan")
    note: str = ""


def changes(
    measurements: Sequence[Measurement], *, is_per_year: bool = False
) -> dict[str, dict[str, dict[str, Change]]]:
    """Returns the changes of all patients with two sessions or more, by method, structure and patient.

    Sessions are in the order of their `years`, or else of their names, with numbers in them by size: M6 before M12.

    Args:
        measurements: of several sessions.
        is_per_year: divide by the years between the sessions.

    Raises:
        InputRefused: `SESSIONS` when no patient has two sessions, or when `is_per_year` and a time is missing or two
            are equal.
    """
    series: dict[tuple[str, str, str], list[Measurement]] = {}
    for one in measurements:
        series.setdefault((one.method, one.structure, one.patient), []).append(one)
    found: dict[str, dict[str, dict[str, Change]]] = {}
    for (method, structure, patient), values in series.items():
        if len(values) < 2:
            continue
        is_timed = all(one.years is not None for one in values)
        ordered = sorted(values, key=lambda one: (one.years if is_timed else 0, _by_number(one.session)))
        change = _change(ordered[0], ordered[-1], is_per_year=is_per_year)
        found.setdefault(method, {}).setdefault(structure, {})[patient] = change
    if not found:
        raise InputRefused(
            "SESSIONS", "no patient has two sessions; give the column session, with at least two of them"
        )
    return found


def _by_number(session: str) -> tuple[tuple[int, str], ...]:
    """Returns a key that sorts names with the numbers in them by size; a number comes before a word."""
    parts = re.findall(r"\d+|\D+", session)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)


def _change(first: Measurement, last: Measurement, *, is_per_year: bool) -> Change:
    value = last.value - first.value
    percent = 100 * value / first.value if first.value else float("nan")
    names = (first.session, last.session)
    if not is_per_year:
        return Change(value, percent, names, first.unit)
    if first.years is None or last.years is None or not last.years > first.years:
        raise InputRefused(
            "SESSIONS",
            f"{first.patient}: the years between sessions {names[0]} and {names[1]} are not known; add `years`",
        )
    span = last.years - first.years
    return Change(value / span, percent / span, names, f"{first.unit}/year")


def compare_changes(
    measurements: Sequence[Measurement], *, reference: str = TARGET, is_per_year: bool = False, is_percent: bool = False
) -> list[ChangeAgreement]:
    """Returns the agreement of each method's changes with those of the reference, by structure.

    Args:
        measurements: of several sessions.
        reference: the real images.
        is_per_year: see `changes`.
        is_percent: compare changes in percent of the first session.

    Raises:
        InputRefused: `SESSIONS`, `METHOD`.
    """
    require_method(measurements, reference)
    found = changes(measurements, is_per_year=is_per_year)
    if reference not in found:
        raise InputRefused("SESSIONS", f"no patient has two sessions of {reference}; measure the real images of both")
    rows = []
    for method, structures in found.items():
        if method == reference:
            continue
        for structure, ours in structures.items():
            real = found[reference].get(structure, {})
            rows.append(_agreement(method, structure, ours, real, is_percent=is_percent))
    return rows


def _agreement(
    method: str, structure: str, ours: Mapping[str, Change], real: Mapping[str, Change], *, is_percent: bool
) -> ChangeAgreement:
    patients = [name for name in ours if name in real and ours[name].sessions == real[name].sessions]
    unit = next(iter(ours.values())).unit
    if is_percent:
        unit = "%/year" if unit.endswith("/year") else "%"
    made, true = (
        np.array([each[name].percent if is_percent else each[name].value for name in patients]) for each in (ours, real)
    )
    if len(patients) < MINIMUM_PATIENTS:
        note = f"at least {MINIMUM_PATIENTS} patients with the same two sessions are needed; here {len(patients)}"
        return ChangeAgreement(method, structure, unit, len(patients), note=note)
    found, of_real, of_made = bland_altman(made, true), mean_interval(true), mean_interval(made)
    return ChangeAgreement(
        method,
        structure,
        unit,
        len(patients),
        *(float(true.mean()), of_real.low, of_real.high),
        *(float(made.mean()), of_made.low, of_made.high),
        *(found.bias, *found.bias_interval),
        *(found.lower, *found.lower_interval),
        *(found.upper, *found.upper_interval),
    )


def compare_changes_files(
    volumes: Path, out: Path, *, reference: str = TARGET, is_per_year: bool = False, is_percent: bool = False
) -> list[ChangeAgreement]:
    """Reads a table of measurements, and writes `longitudinal.tsv` and `longitudinal.json` into a folder.

    Args:
        volumes: see `read_measurements`; it needs the column `session`.
        out: folder; created when missing.
        reference: the real images.
        is_per_year: divide changes by the years between sessions; needs the column `years`.
        is_percent: changes in percent of the first session.

    Raises:
        NoInput, InputRefused: as the functions it calls.
    """
    measured = read_measurements(volumes)
    rows = compare_changes(measured, reference=reference, is_per_year=is_per_year, is_percent=is_percent)
    write_result(out, "longitudinal", ChangeAgreement, rows, doc=__doc__, reference=reference)
    return rows
