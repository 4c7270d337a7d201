"""Compares how an image metric and the readers rank the cases (Lee 2020)."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.evaluation.metrics import METRICS
from voxlate.io.documents import MAX_TABLE_BYTES, InvalidDocument, read_text
from voxlate.readers.analysis.records import Record, Values, patients
from voxlate.readers.analysis.scoring import chose_synthetic, decided_synthetic, score
from voxlate.readers.study import Design, ForcedChoice, Quality, RealOrSynthetic, Similarity

_LEAST_CASES = 4
"""With fewer cases no rank correlation is given. Chosen by hand; not tuned."""

_BOOTSTRAPS = 2000
"""Bootstrap samples: some 50 of them lie beyond each end of the 95 % interval."""

MISSING = "n/a"
"""A score that a case does not have, as `voxlate evaluate` writes it."""

_SEED = 2020
"""Of the bootstrap, so that the same answers give the same interval. Chosen by hand."""


@dataclass(frozen=True, kw_only=True)
class RankedCase:
    """One case: the metric, the readers' score of its synthetic image, and both ranks (1 looks best)."""

    case: str
    metric: float
    readers: float
    metric_rank: float
    reader_rank: float


@dataclass(frozen=True, kw_only=True)
class RankComparison:
    """Ranks of the cases by a metric and by the readers.

    Attributes:
        n: cases.
        spearman: rank correlation; `None` when one of both does not vary.
        low, high: 95 % bootstrap interval over patients; `None` when it is not defined.
        cases: the largest difference of ranks first.
    """

    n: int
    spearman: float | None
    low: float | None
    high: float | None
    cases: Sequence[RankedCase]


def case_scores(path: Path, metric: str) -> dict[str, float]:
    """Returns one value of a metric per case, that of the synthetic image.

    Args:
        path: `scores.tsv` (columns case, method, metric, value), of which the first row of each case is taken: the
            first protocol, in the mask, as written; or a table with the columns case and `metric`. Tabs separate the
            columns of `.tsv`, commas those of any other file. The table of a comparison of systems is refused: its
            first row of a case is that of a baseline.
        metric: name of the metric.

    Raises:
        NoInput: `NO_INPUT` when the file does not exist.
        InputRefused: `TABLE` when the table cannot be read, has neither form or no value of this metric, has a row per
            metric without a column method, or has a value that is not a number.
    """
    if not path.is_file():
        raise NoInput("NO_INPUT", f"{path.name} does not exist; name the table of scores with --scores")
    try:
        text = read_text(path, max_bytes=MAX_TABLE_BYTES)
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix == ".tsv" else ","))
    except (InvalidDocument, OSError, csv.Error) as error:
        raise InputRefused("TABLE", f"{path.name}: {error}; write it as UTF-8") from error
    _require_method(path.name, rows)
    values: dict[str, str] = {}
    for row in rows:
        is_long = row.get("metric") == metric and row.get("method") == "synthetic"
        value = row.get("value") if is_long else row.get(metric)
        if value and row.get("case"):
            values.setdefault(row["case"], value)
    scores = {case: _number(value, path.name, case) for case, value in values.items() if value != MISSING}
    if not scores:
        raise InputRefused("TABLE", f"{path.name} has no {metric} of synthetic images; name another with --metric")
    return scores


def _require_method(table: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Refuses a table with a row per metric that does not name the synthetic image in a column `method`."""
    columns = rows[0] if rows else {}
    if "metric" in columns and "value" in columns and "method" not in columns:
        of_systems = "is of several systems" if "system" in columns else "has a row per metric"
        raise InputRefused(
            "TABLE",
            f"{table} {of_systems} and no column method; name the table of one system, systems/NAME/scores.tsv",
        )


def require_direction(metric: str) -> None:
    """Refuses a metric that cannot rank cases, because neither its low nor its high values are better.

    Raises:
        UsageError: `METRIC`.
    """
    if math.isnan(_loss(metric, 0.0)):
        ranking = ", ".join(name for name in METRICS if not math.isnan(_loss(name, 0.0)))
        raise UsageError("METRIC", f"no value of {metric} is better than another; choose one of {ranking}")


def compare_ranks(
    records: Sequence[Record], design: Design, scores: Mapping[str, float], *, metric: str
) -> RankComparison | None:
    """Returns the ranks of the cases by a metric and by the readers; `None` with fewer than four cases.

    Readers rank a case by how often its synthetic image was taken for real, by its mean similarity or by its mean
    grade. The case that looks best has rank 1 in both rankings. In Lee 2020 the image with the best MAE was never
    mistaken for real.

    Args:
        records: of one design; repeats are left out.
        design: of these records.
        scores: metric of each case.
        metric: its name in `voxlate.evaluation.metrics.METRICS`, which states the better direction; lower is better in
            a metric of another name.
    """
    by_case: dict[str, list[float]] = defaultdict(list)
    for record in records:
        value = _looks_real(record, design)
        if value is not None and np.isfinite(value) and not record.is_repeat:
            by_case[record.case].append(value)
    cases = sorted(case for case in by_case if case in scores)
    if len(cases) < _LEAST_CASES:
        return None
    read = np.array([np.mean(by_case[case]) for case in cases])
    losses = np.array([_loss(metric, scores[case]) for case in cases])
    ranks = stats.rankdata(losses), stats.rankdata(-read)
    low, high = _interval(losses, -read, patients(records, cases))
    rows = [
        RankedCase(case=case, metric=scores[case], readers=float(s), metric_rank=float(a), reader_rank=float(b))
        for case, s, a, b in zip(cases, read, *ranks, strict=True)
    ]
    rows.sort(key=lambda row: -abs(row.metric_rank - row.reader_rank))
    return RankComparison(n=len(cases), spearman=_spearman(losses, -read), low=low, high=high, cases=rows)


def _loss(metric: str, value: float) -> float:
    """Returns a value of a metric such that lower is better; NaN when the metric has no better direction."""
    return METRICS[metric].loss(value) if metric in METRICS else value


def _number(text: str, table: str, case: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise InputRefused("TABLE", f"{table}: the value {text!r} of {case} is not a number; correct or remove its row")
    return value


def _looks_real(record: Record, design: Design) -> float | None:
    """Returns how good the synthetic image looked, higher is better; `None` for an answer about something else."""
    if isinstance(design, ForcedChoice):
        return 1 - chose_synthetic(record)
    if isinstance(design, RealOrSynthetic):
        return 1 - decided_synthetic(record, design.levels) if record.version == "synthetic" else None
    if isinstance(design, Similarity):
        return score(record, design)
    return score(record, design) if isinstance(design, Quality) and record.version == "synthetic" else None


def _spearman(first: Values, second: Values) -> float | None:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(stats.spearmanr(first, second).statistic)


def _interval(first: Values, second: Values, of_case: Sequence[str]) -> tuple[float | None, float | None]:
    """Returns the 95 % percentile bootstrap interval of the rank correlation of two (cases,) arrays.

    Patients are drawn with all their cases; `of_case` (cases,) names the patient of each case.
    """
    generator = np.random.default_rng(_SEED)
    own = [np.flatnonzero(np.array(of_case) == patient) for patient in dict.fromkeys(of_case)]
    draws = generator.integers(len(own), size=(_BOOTSTRAPS, len(own)))
    if len(own) < len(first):
        samples = [np.concatenate([own[patient] for patient in draw]) for draw in draws]
        found = np.array([_spearman(first[sample], second[sample]) for sample in samples], dtype=np.float64)
        return _middle(found[np.isfinite(found)])
    x, y = stats.rankdata(first[draws], axis=1), stats.rankdata(second[draws], axis=1)
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    scale = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    is_defined = scale > 0
    return _middle((x * y).sum(axis=1)[is_defined] / scale[is_defined])


def _middle(values: Values) -> tuple[float | None, float | None]:
    """Returns the ends of the middle 95 %; None without a value."""
    return (float(np.percentile(values, 2.5)), float(np.percentile(values, 97.5))) if values.size else (None, None)
