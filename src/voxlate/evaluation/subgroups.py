"""Which groups a case belongs to: scanner, field strength, quality, age, lesion type, from a table or a simulation.

A table is tab-separated with a column `case`, `patient` or `participant_id` (BIDS); every other column is a factor.
Groups are printed in the report, so a column must not identify a person: one whose texts are nearly all different
is refused.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxlate.cases import Case
from voxlate.errors import InputRefused, NoInput
from voxlate.evaluation.simulated_subgroups import simulated_groups
from voxlate.io.documents import MAX_TABLE_BYTES, InvalidDocument, read_json, read_text

MOST_GROUPS = 12
"""A column with more different texts is no grouping, and perhaps a name."""

LEAST_ALIKE = 4
"""From this many names on, texts of which more than three in four are different are no groups either."""

MOST_NUMBERS = 6
"""A column of numbers with more different values is cut in two at its median."""

_KEYS = {"case": "case", "patient": "patient", "participant_id": "patient"}
_EMPTY = {"", "n/a", "nan"}


@dataclass(frozen=True)
class Factors:
    """Groups by case or by patient.

    Attributes:
        key: `case` or `patient`.
        groups: its name to factor to group; what is not known is left out.
    """

    key: str
    groups: Mapping[str, Mapping[str, str]]

    def of(self, case: Case) -> dict[str, str]:
        """Returns factor to group of a case; empty when nothing is known of it."""
        return dict(self.groups.get(case.case if self.key == "case" else case.patient, {}))


NO_FACTORS = Factors("case", {})


def read_factors(path: Path, cases: Sequence[Case]) -> Factors:
    """Reads the groups of `cases` from a table, or from the truth of a simulated data set when `path` is its folder.

    Numbers with more than six different values among the cases are cut in two at their median.

    Raises:
        NoInput: there is no such file or folder, or none of the cases stands in it.
        InputRefused: `FACTORS` when the table cannot be read, names a case twice, or has a column of more than twelve
            different texts, or of hardly any two that are alike.
    """
    if not path.exists():
        raise NoInput("NO_INPUT", f"{path.name}: there is no such table of factors")
    factors = Factors("case", _read_folder(path, cases)) if path.is_dir() else _read_table(path)
    names = {case.case if factors.key == "case" else case.patient for case in cases}
    known = {name: groups for name, groups in factors.groups.items() if name in names}
    if not known:
        raise NoInput("NO_INPUT", f"{path.name}: none of the {len(cases)} cases stands in it; check its names")
    if path.is_file():
        _require_groups(known, path.name)
    return Factors(factors.key, _grouped(known))


def _read_folder(folder: Path, cases: Sequence[Case]) -> dict[str, dict[str, str]]:
    wanted = {f"{case.case}_factors.json": case.case for case in cases}
    found = {}
    for path in sorted(folder.rglob("*_factors.json")):
        if path.name in wanted:
            lesions = path.with_name(f"{wanted[path.name]}_lesions.tsv")
            try:
                found[wanted[path.name]] = simulated_groups(_read_json(path), lesions)
            except (ValueError, TypeError, AttributeError) as error:
                raise InputRefused("FACTORS", f"{path.name} is not as the simulator writes it") from error
    return found


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path)
    except ValueError as error:
        raise InputRefused("FACTORS", f"{path.name} is not JSON; simulate the data again") from error
    if not isinstance(content, dict):
        raise InputRefused("FACTORS", f"{path.name} holds no object; simulate the data again")
    return content


def _read_table(path: Path) -> Factors:
    try:
        text = read_text(path, max_bytes=MAX_TABLE_BYTES)
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", strict=True))
    except (InvalidDocument, OSError) as error:
        raise InputRefused("FACTORS", f"{path.name}: {error}") from error
    except csv.Error as error:
        raise InputRefused("FACTORS", f"{path.name}: {error}") from error
    column = next((name for name in _KEYS if rows and name in rows[0]), None)
    if column is None:
        raise InputRefused("FACTORS", f"{path.name} has no column {', '.join(_KEYS)}, or no row")
    groups: dict[str, dict[str, str]] = {}
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise InputRefused("FACTORS", f"{path.name}: line {line} has more or fewer fields than the heading")
        if row[column] in groups:
            raise InputRefused("FACTORS", f"{path.name}: line {line} names a {_KEYS[column]} for the second time")
        groups[row[column]] = {
            key: value.strip() for key, value in row.items() if key not in _KEYS and value.strip().lower() not in _EMPTY
        }
    return Factors(_KEYS[column], groups)


def _require_groups(known: Mapping[str, Mapping[str, str]], name: str) -> None:
    """Refuses a column of texts that are no groups, as they may be names."""
    for factor, values in _by_factor(known).items():
        different = len(set(values.values()))
        is_nearly_all = 4 * different > 3 * len(values) and len(values) >= LEAST_ALIKE
        if not _are_numbers(values) and (different > MOST_GROUPS or is_nearly_all):
            raise InputRefused(
                "FACTORS",
                f"{name}: column {factor} has {different} different texts for {len(values)} names, which are no "
                "groups; leave it out",
            )


def _grouped(known: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Returns the groups, columns of many numbers cut in two."""
    result: dict[str, dict[str, str]] = {key: {} for key in known}
    for factor, values in _by_factor(known).items():
        for key, group in _in_two(values).items():
            result[key][factor] = group
    return result


def _by_factor(known: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    factors = dict.fromkeys(factor for groups in known.values() for factor in groups)
    return {factor: {key: groups[factor] for key, groups in known.items() if factor in groups} for factor in factors}


def _in_two(values: Mapping[str, str]) -> dict[str, str]:
    if not _are_numbers(values) or len(set(values.values())) <= MOST_NUMBERS:
        return dict(values)
    middle = float(np.median([float(text) for text in values.values()]))
    names = {True: f"below {middle:.4g}", False: f"{middle:.4g} and above"}
    return {key: names[float(text) < middle] for key, text in values.items()}


def _are_numbers(values: Mapping[str, str]) -> bool:
    try:
        return all(math.isfinite(float(text)) for text in values.values())
    except ValueError:
        return False
