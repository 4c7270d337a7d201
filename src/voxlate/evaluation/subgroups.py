"""Subgroups of the cases: scanner, field strength, quality, age, lesion type, from a table or a simulation.

A table is tab-separated with a column `case`, `patient` or `participant_id` (BIDS); every other column is a factor.
Reports print the groups, so a column must not identify a person: a column whose texts are nearly all different is
refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxlate.cases import Case
from voxlate.errors import InputRefused, NoInput
from voxlate.evaluation.simulated_subgroups import factors_files, simulated_groups
from voxlate.io.documents import read_json
from voxlate.io.tables import read_rows

MOST_GROUPS = 12
"""A column with more different texts does not form groups and may hold names. Chosen by hand."""

LEAST_ALIKE = 4
"""From this many names on, a column of which more than three in four texts differ does not form groups either."""

MOST_NUMBERS = 6
"""A column of numbers with more different values is split in two at its median, so that groups are large enough."""

_KEYS = {"case": "case", "patient": "patient", "participant_id": "patient"}
_EMPTY = {"", "n/a", "nan"}


@dataclass(frozen=True)
class Factors:
    """Groups by case or by patient.

    Attributes:
        key: `case` or `patient`.
        groups: name of the case or patient to factor to group; unknown groups are left out.
    """

    key: str
    groups: Mapping[str, Mapping[str, str]]

    def of(self, case: Case) -> dict[str, str]:
        """Returns factor to group of a case; empty when its groups are unknown."""
        return dict(self.groups.get(case.case if self.key == "case" else case.patient, {}))


NO_FACTORS = Factors("case", {})


def read_factors(path: Path, cases: Sequence[Case]) -> Factors:
    """Reads the groups of `cases` from a table, or from the truth of a simulated data set when `path` is its folder.

    Numbers with more than six different values among the cases are split in two at their median.

    Args:
        path: of the table or the folder.
        cases: evaluated cases.

    Raises:
        NoInput: the file or folder does not exist, or contains none of the cases.
        InputRefused: `FACTORS` when the table cannot be read, names a case twice, or has a column of more than twelve
            different texts, or of texts that are nearly all different.
    """
    if not path.exists():
        raise NoInput("NO_INPUT", f"{path.name}: this table of factors does not exist; check the path")
    factors = Factors("case", _read_folder(path, cases)) if path.is_dir() else _read_table(path)
    names = {case.case if factors.key == "case" else case.patient for case in cases}
    selected = {name: groups for name, groups in factors.groups.items() if name in names}
    if not selected:
        raise NoInput("NO_INPUT", f"{path.name}: it has none of the {len(cases)} cases; check its names")
    if path.is_file():
        _require_groups(selected, path.name)
    return Factors(factors.key, _grouped(selected))


def _read_folder(folder: Path, cases: Sequence[Case]) -> dict[str, dict[str, str]]:
    groups = {}
    for case, path in factors_files(folder, cases):
        try:
            groups[case] = simulated_groups(_read_json(path), path.with_name(f"{case}_lesions.tsv"))
        except (ValueError, TypeError, AttributeError) as error:
            detail = f"{path.name} does not have the format of the simulator; simulate the data again"
            raise InputRefused("FACTORS", detail) from error
    return groups


def _read_json(path: Path) -> dict[str, object]:
    try:
        content = read_json(path)
    except ValueError as error:
        raise InputRefused("FACTORS", f"{path.name} is not JSON; simulate the data again") from error
    if not isinstance(content, dict):
        raise InputRefused("FACTORS", f"{path.name} does not hold a JSON object; simulate the data again")
    return content


def _read_table(path: Path) -> Factors:
    rows = read_rows(path, code="FACTORS")
    column = next((name for name in _KEYS if rows and name in rows[0]), None)
    if column is None:
        raise InputRefused("FACTORS", f"{path.name} needs a column {' or '.join(_KEYS)} and at least one row")
    groups: dict[str, dict[str, str]] = {}
    for line, row in enumerate(rows, start=2):
        if row[column] in groups:
            raise InputRefused("FACTORS", f"{path.name}: line {line} repeats the {_KEYS[column]} of an earlier line")
        groups[row[column]] = {
            key: value.strip() for key, value in row.items() if key not in _KEYS and value.strip().lower() not in _EMPTY
        }
    return Factors(_KEYS[column], groups)


def _require_groups(selected: Mapping[str, Mapping[str, str]], name: str) -> None:
    """Refuses a column of texts that do not form groups, because they may be names."""
    for factor, values in _by_factor(selected).items():
        different = len(set(values.values()))
        is_nearly_all = 4 * different > 3 * len(values) and len(values) >= LEAST_ALIKE
        if not _are_numbers(values) and (different > MOST_GROUPS or is_nearly_all):
            raise InputRefused(
                "FACTORS",
                f"{name}: column {factor} has {different} different texts for {len(values)} names; such a column may "
                "identify persons; leave it out",
            )


def _grouped(selected: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Returns the groups; a column of many numbers is split in two."""
    result: dict[str, dict[str, str]] = {key: {} for key in selected}
    for factor, values in _by_factor(selected).items():
        for key, group in _split_at_median(values).items():
            result[key][factor] = group
    return result


def _by_factor(selected: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    factors = dict.fromkeys(factor for groups in selected.values() for factor in groups)
    return {factor: {key: groups[factor] for key, groups in selected.items() if factor in groups} for factor in factors}


def _split_at_median(values: Mapping[str, str]) -> dict[str, str]:
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
