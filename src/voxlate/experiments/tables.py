"""Tables of an experiment, as a paper prints them: mean ± standard deviation of each method, with stars of a test.

The test is the paired t-test of the papers, on one value per patient; its family is the table, so that the number of
comparisons m stands below each table.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from voxlate.evaluation.comparison.schema import ComparedScore, ComparedTest
from voxlate.evaluation.statistics import MINIMUM_PATIENTS, bonferroni, holm, paired_t
from voxlate.experiments.settings import BASELINES, Column, Experiment, Table


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        mean, sd: over patients; None without a patient, or without two.
        n: number of patients with a finite value.
        p: of the paired t-test against `Table.against`; None without a test.
        p_adjusted: after the table's correction.
        printed: what the paper prints; empty without.
        p_slices: of the independent-samples t-test over all slices, not adjusted; None unless the table shows it.
    """

    mean: float | None
    sd: float | None
    n: int
    p: float | None = None
    p_adjusted: float | None = None
    printed: str = ""
    p_slices: float | None = None


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
        has_slice_test: see `Table.has_slice_test`.
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
    has_slice_test: bool = False

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return asdict(self)


Values = dict[tuple[str, str], dict[str, float]]
"""(set, method) to patient to value."""

Scores = Mapping[str, Sequence[ComparedScore]]
"""The scores of each evaluation that is there, by its key."""

Tests = Mapping[str, Sequence[ComparedTest]]
"""The tests of each evaluation, by its key; only tables with `has_slice_test` need them."""


@dataclass(frozen=True)
class _Draft:
    """A block before its tests: the values of each column."""

    evaluation: str
    set: str
    methods: tuple[str, ...]
    columns: tuple[Values, ...]

    def values(self, column: int, method: str) -> dict[str, float]:
        """Returns value by patient."""
        return self.columns[column].get((self.set, method), {})


def make_table(
    experiment: Experiment, key: str, scores: Scores, states: Mapping[str, str], tests: Tests | None = None
) -> MadeTable | None:
    """Returns a table with its values, or None when none of its evaluations is there.

    Args:
        experiment: of the table.
        key: of the table.
        scores: of the evaluations.
        states: why a system has no images, by its key.
        tests: of the evaluations, for `Table.has_slice_test`.
    """
    table = experiment.tables[key]
    names = table.evaluations or (next(iter(experiment.evaluations)),)
    drafts = [draft for name in names if name in scores for draft in _drafts(experiment, table, name, scores[name])]
    if not drafts:
        return None
    p_of = _p_values(table, drafts)
    adjust = {"bonferroni": bonferroni, "holm": holm}.get(table.correction, np.array)
    p_slices = _p_slices(table, drafts, tests or {}) if table.has_slice_test else {}
    adjusted = dict(zip(p_of, np.asarray(adjust(list(p_of.values())), dtype=float).tolist(), strict=True))

    def row(b: int, draft: _Draft, method: str) -> Row:
        printed = _printed(table, draft).get(method, ())
        cells = []
        for c in range(len(table.columns)):
            place = (b, method, c)
            cell = _cell(draft.values(c, method), p_of.get(place), adjusted.get(place), printed[c : c + 1])
            cells.append(replace(cell, p_slices=p_slices.get(place)))
        return Row(method, experiment.label_of(method), tuple(cells), states.get(method, ""))

    blocks = tuple(
        Block(draft.evaluation, draft.set, tuple(row(b, draft, method) for method in draft.methods))
        for b, draft in enumerate(drafts)
    )
    heads, digits = zip(*((column.head, column.digits) for column in table.columns), strict=True)
    chosen = (table.against, table.correction, table.alpha)
    return MadeTable(key, table.title, heads, digits, blocks, *chosen, len(p_of), table.has_slice_test)


def read_values(
    scores: Iterable[ComparedScore], column: Column, *, by: Literal["patient", "case"] = "patient"
) -> Values:
    """Returns the mean of a metric over the cases of each patient, by set and method; only finite values count.

    Args:
        scores: of an evaluation.
        column: which metric.
        by: `case` for a value of each case.
    """
    found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    wanted = (column.protocol, column.region, column.metric, column.intensity)
    for row in scores:
        if (row.protocol, row.region, row.metric, row.intensity) == wanted and math.isfinite(row.value):
            found[row.set, row.system][getattr(row, by)].append(row.value * column.factor)
    return {place: {name: float(np.mean(values)) for name, values in named.items()} for place, named in found.items()}


def _drafts(experiment: Experiment, table: Table, evaluation: str, scores: Sequence[ComparedScore]) -> Iterator[_Draft]:
    columns = tuple(read_values(scores, column) for column in table.columns)
    there = {method for column in columns for _, method in column}
    systems = experiment.systems_of(evaluation)
    rows = table.rows or (*(name for name in BASELINES if name in there), *systems)
    methods = tuple(method for method in rows if method in there or method in systems)
    for name in table.sets or dict.fromkeys(place[0] for column in columns for place in column):
        yield _Draft(evaluation, name, methods, columns)


def _printed(table: Table, draft: _Draft) -> Mapping[str, tuple[str, ...]]:
    for key in (f"{draft.evaluation}/{draft.set}", draft.set, draft.evaluation):
        if key in table.printed:
            return table.printed[key]
    return {}


def _cell(patients: Mapping[str, float], p: float | None, p_adjusted: float | None, printed: Sequence[str]) -> Cell:
    values = np.array(list(patients.values()))
    mean = float(values.mean()) if values.size else None
    sd = float(values.std(ddof=1)) if values.size > 1 else None
    return Cell(mean, sd, values.size, p, p_adjusted, "".join(printed))


def _p_values(table: Table, drafts: Sequence[_Draft]) -> dict[tuple[int, str, int], float]:
    """Returns p of the paired t-tests against `table.against`, by block, method and column."""
    found = {}
    for b, draft in enumerate(drafts):
        for c in range(len(table.columns)):
            base = draft.values(c, table.against)
            for method in draft.methods:
                other = draft.values(c, method)
                shared = sorted(set(base) & set(other))
                if method != table.against and len(shared) >= MINIMUM_PATIENTS:
                    p = paired_t([other[name] for name in shared], [base[name] for name in shared]).p
                    if math.isfinite(p):
                        found[b, method, c] = p
    return found


def _p_slices(table: Table, drafts: Sequence[_Draft], tests: Tests) -> dict[tuple[int, str, int], float]:
    """Returns p of the independent-samples t-tests over all slices, by block, method and column."""
    found = {}
    for b, draft in enumerate(drafts):
        for c, column in enumerate(table.columns):
            wanted = (draft.set, column.protocol, column.region, column.metric, column.intensity)
            for test in tests.get(draft.evaluation, ()):
                pair = {test.first, test.second}
                place = (test.set, test.protocol, test.region, test.metric, test.intensity)
                if place == wanted and table.against in pair and test.p_independent_slices is not None:
                    (method,) = pair - {table.against}
                    found[b, method, c] = test.p_independent_slices
    return found


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
