"""Tables of an experiment, as a paper prints them: mean ± standard deviation of each method, with stars of a test.

The test is the paired t-test of the papers, on one value per patient; its family is the table, so that the number of
comparisons m stands below each table.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from voxlate.evaluation.statistics import MINIMUM_PATIENTS, bonferroni, holm, paired_t
from voxlate.experiments.settings import Column, Experiment, Table
from voxlate.web.labels import method as method_label

SCORES = "scores.tsv"
BASELINES = ("source", "histogram_match", "constant", "blurred_target")
"""Rows before the systems, in this order; those that the evaluation has."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        mean, sd: over patients; None without a patient, or without two.
        n: number of patients with a finite value.
        p: of the paired t-test against `Table.against`; None without a test.
        p_adjusted: after the table's correction.
        printed: what the paper prints; empty without.
    """

    mean: float | None
    sd: float | None
    n: int
    p: float | None = None
    p_adjusted: float | None = None
    printed: str = ""


@dataclass(frozen=True)
class Row:
    """One method: its key, its label, one cell per column, and why it has none."""

    method: str
    label: str
    cells: tuple[Cell, ...]
    state: str = ""


@dataclass(frozen=True)
class Block:
    """The rows of one evaluation and one test set."""

    evaluation: str
    set: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class MadeTable:
    """A table with its values.

    Attributes:
        key: of `Experiment.tables`.
        heads: titles of the columns.
        digits: decimals of each column.
        tests: number of comparisons m.
    """

    key: str
    title: str
    heads: tuple[str, ...]
    digits: tuple[int, ...]
    blocks: tuple[Block, ...]
    against: str
    correction: str
    alpha: float
    tests: int

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return asdict(self)


Values = dict[tuple[str, str], dict[str, float]]
"""(set, method) to patient to value."""


def make_table(experiment: Experiment, key: str, folder: Path, states: Mapping[str, str]) -> MadeTable | None:
    """Returns a table with its values, or None when none of its evaluations is there.

    Args:
        experiment: of the table.
        key: of the table.
        folder: of the evaluations, with `scores.tsv` in a folder for each.
        states: why a system has no images, by its key.
    """
    table = experiment.tables[key]
    blocks: list[Block] = []
    for name in table.evaluations or (next(iter(experiment.evaluations)),):
        scores = folder / name / SCORES
        if scores.is_file():
            values = [read_values(scores, column) for column in table.columns]
            blocks += _blocks(experiment, table, name, values, states)
    if not blocks:
        return None
    blocks, tests = _with_tests(table, blocks, folder)
    heads, digits = zip(*((column.head, column.digits) for column in table.columns), strict=True)
    return MadeTable(
        key, table.title, heads, digits, tuple(blocks), table.against, table.correction, table.alpha, tests
    )


def read_values(scores: Path, column: Column, *, by: Literal["patient", "case"] = "patient") -> Values:
    """Returns the mean of a metric over the cases of each patient, by set and method; only finite values count.

    Args:
        scores: `scores.tsv` of an evaluation.
        column: which metric.
        by: `case` for a value of each case.
    """
    found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    wanted = (column.protocol, column.region, column.metric, column.intensity)
    with scores.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\"):
            if (row["protocol"], row["region"], row["metric"], row["intensity"]) != wanted:
                continue
            value = float(row["value"]) if row["value"] not in ("", "n/a") else math.nan
            if math.isfinite(value):
                found[row["set"], row["system"]][row[by]].append(value * column.factor)
    return {
        place: {patient: float(np.mean(values)) for patient, values in patients.items()}
        for place, patients in found.items()
    }


def label_of(experiment: Experiment, method: str) -> str:
    """Returns how tables and figures name a method."""
    system = experiment.systems.get(method)
    return (system.label or method) if system is not None else method_label(method)


def _blocks(
    experiment: Experiment, table: Table, evaluation: str, values: Sequence[Values], states: Mapping[str, str]
) -> Iterable[Block]:
    sets = table.sets or tuple(dict.fromkeys(place[0] for column in values for place in column))
    there = {place[1] for column in values for place in column}
    systems = experiment.systems_of(evaluation)
    rows = table.rows or (*(name for name in BASELINES if name in there), *systems)
    for name in sets:
        yield Block(
            evaluation,
            name,
            tuple(
                _row(experiment, method, [column.get((name, method), {}) for column in values], states, printed)
                for method in rows
                if method in there or method in systems
                for printed in [_printed(table, evaluation, name).get(method, ())]
            ),
        )


def _printed(table: Table, evaluation: str, name: str) -> Mapping[str, tuple[str, ...]]:
    for key in (f"{evaluation}/{name}", name, evaluation):
        if key in table.printed:
            return table.printed[key]
    return {}


def _row(
    experiment: Experiment,
    method: str,
    columns: Sequence[Mapping[str, float]],
    states: Mapping[str, str],
    printed: Sequence[str],
) -> Row:
    cells = []
    for index, patients in enumerate(columns):
        values = np.array(list(patients.values()))
        mean = float(values.mean()) if values.size else None
        sd = float(values.std(ddof=1)) if values.size > 1 else None
        cells.append(Cell(mean, sd, values.size, printed=printed[index] if index < len(printed) else ""))
    return Row(method, label_of(experiment, method), tuple(cells), states.get(method, ""))


def _with_tests(table: Table, blocks: Sequence[Block], folder: Path) -> tuple[list[Block], int]:
    """Returns the blocks with p values of the paired t-tests against `table.against`, and the number of tests."""
    if not table.against:
        return list(blocks), 0
    p_of: dict[tuple[int, int, int], float] = {}
    for b, block in enumerate(blocks):
        for c, column in enumerate(table.columns):
            values = read_values(folder / block.evaluation / SCORES, column)
            base = values.get((block.set, table.against), {})
            for r, row in enumerate(block.rows):
                other = values.get((block.set, row.method), {})
                shared = sorted(set(base) & set(other))
                if row.method != table.against and len(shared) >= MINIMUM_PATIENTS:
                    p = paired_t([other[key] for key in shared], [base[key] for key in shared]).p
                    if math.isfinite(p):
                        p_of[b, r, c] = p
    adjust = {"bonferroni": bonferroni, "holm": holm}.get(table.correction, np.array)
    adjusted = dict(zip(p_of, np.asarray(adjust(list(p_of.values())), dtype=float).tolist(), strict=True))
    tested = [
        Block(
            block.evaluation,
            block.set,
            tuple(
                Row(
                    row.method,
                    row.label,
                    tuple(
                        Cell(**{**asdict(cell), "p": p_of.get((b, r, c)), "p_adjusted": adjusted.get((b, r, c))})
                        for c, cell in enumerate(row.cells)
                    ),
                    row.state,
                )
                for r, row in enumerate(block.rows)
            ),
        )
        for b, block in enumerate(blocks)
    ]
    return tested, len(p_of)


def table_from_json(content: dict[str, Any]) -> MadeTable:
    """Returns the table whose `to_json` gave the content."""
    blocks = tuple(
        Block(
            block["evaluation"],
            block["set"],
            tuple(
                Row(row["method"], row["label"], tuple(Cell(**cell) for cell in row["cells"]), row["state"])
                for row in block["rows"]
            ),
        )
        for block in content["blocks"]
    )
    return MadeTable(
        **{**content, "blocks": blocks, "heads": tuple(content["heads"]), "digits": tuple(content["digits"])}
    )
