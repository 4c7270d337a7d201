"""The tables of a comparison: means of every method, over all patients of a set and over the folds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from voxlate.evaluation.comparison.schema import ComparedScore, ComparedSummary, FoldRow, JoinedRow
from voxlate.evaluation.schema.results import ScoreRow
from voxlate.evaluation.schema.table import MetricKey, ScoreTable, patient_means
from voxlate.evaluation.statistics.samples import Values

ScoreTables = Mapping[str, ScoreTable]
"""The scores of the cases of each set, by the name of the set."""


def tables_by_set(scores: Iterable[ComparedScore], sets: Sequence[str]) -> dict[str, ScoreTable]:
    """Returns the scores by set, in the order of the sets.

    Args:
        scores: of all methods.
        sets: names of the sets.
    """
    tables = {name: ScoreTable("") for name in sets}
    for score in scores:
        tables[score.set].add(
            ScoreRow(
                score.case,
                score.patient,
                score.system,
                score.region,
                score.metric,
                score.value,
                score.unit,
                score.protocol,
                score.intensity,
            )
        )
    return tables


def summarize(tables: ScoreTables, methods: Sequence[str]) -> list[ComparedSummary]:
    """Returns one row per set, metric and method; methods in the given order within a metric.

    Args:
        tables: scores by set.
        methods: baselines, references and systems in the order of every table.
    """
    place = {name: index for index, name in enumerate(methods)}
    rows = []
    for name, table in tables.items():
        of_metric: dict[MetricKey, list[ComparedSummary]] = {}
        for row in table.summarize():
            key = MetricKey(row.protocol, row.intensity, row.region, row.metric)
            of_metric.setdefault(key, []).append(ComparedSummary(set=name, **row.model_dump()))
        for own in of_metric.values():
            rows += sorted(own, key=lambda row: place[row.method])
    return rows


def fold_rows(
    scores: Sequence[ComparedScore], sets: Sequence[str], methods: Sequence[str]
) -> tuple[list[FoldRow], list[JoinedRow]]:
    """Returns the rows of each fold, and the rows that join all folds; none without folds.

    Args:
        scores: of all methods.
        sets: names of the sets.
        methods: in the order of every table.
    """
    folds = sorted({score.fold for score in scores if score.fold}, key=int)
    if not folds:
        return [], []
    tables = {fold: tables_by_set((s for s in scores if s.fold == fold), sets) for fold in folds}
    whole = tables_by_set((score for score in scores if score.fold), sets)
    rows: list[FoldRow] = []
    joined: list[JoinedRow] = []
    for name in sets:
        for key in whole[name].measured():
            for method in methods:
                own = [_fold_row(name, tables[fold][name], key, method, int(fold)) for fold in folds]
                kept = [row for row in own if row is not None]
                if kept:
                    rows += kept
                    joined.append(_joined(kept, _means_of(whole[name], key, method)))
    return rows, joined


def _fold_row(name: str, table: ScoreTable, key: MetricKey, method: str, fold: int) -> FoldRow | None:
    values = _means_of(table, key, method)
    if values.size == 0:
        return None
    return FoldRow(
        set=name,
        **key._asdict(),
        unit=table.unit(key),
        method=method,
        fold=fold,
        n=values.size,
        mean=float(values.mean()),
        sd=_sd(values),
    )


def _means_of(table: ScoreTable, key: MetricKey, method: str) -> Values:
    return np.array(list(patient_means(table.scores(key, method)).values()), dtype=np.float64)


def _joined(rows: Sequence[FoldRow], values: Values) -> JoinedRow:
    """Returns the row over folds; a mean of folds differs from the mean of patients where folds have unequal sizes."""
    means = np.array([row.mean for row in rows], dtype=np.float64)
    return JoinedRow(
        **rows[0].model_dump(exclude={"fold", "n", "mean", "sd"}),
        folds=len(rows),
        mean_of_folds=float(means.mean()),
        sd_between_folds=_sd(means),
        n=values.size,
        mean=float(values.mean()),
        sd=_sd(values),
    )


def _sd(values: Values) -> float | None:
    return float(values.std(ddof=1)) if values.size > 1 else None
