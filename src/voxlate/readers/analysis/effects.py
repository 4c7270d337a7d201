"""Does the answer depend on when it was given? And do metrics rank cases as readers do?"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from voxlate.errors import InputRefused, NoInput
from voxlate.evaluation.statistics import fit_mixed_model
from voxlate.readers.analysis.designs import decided_synthetic
from voxlate.readers.analysis.records import Record
from voxlate.readers.study import Design, ForcedChoice, RealOrSynthetic, Similarity

Found = dict[str, Any]
_BOOTSTRAPS = 2000
_SEED = 2020


def order_effects(records: Sequence[Record], design: Design) -> list[Found]:
    """Returns the change of score and time over the study and for the second version of a case.

    A linear mixed model, value ~ place + second version + (1 | reader), place running from 0 to 1 within the
    design. None is fitted with fewer than three readers.
    """
    first = [record for record in records if not record.is_repeat]
    outcomes = {"score": [outcome(record, design) for record in first], "viewed_s": [r.viewed_s for r in first]}
    return [row for name, values in outcomes.items() for row in _fit(first, values, name)]


def outcome(record: Record, design: Design) -> float:
    """Returns one figure of an answer: correct (0, 1), mean percent, mean grade, or marks."""
    match design:
        case RealOrSynthetic():
            decided = decided_synthetic(record, design.levels)
            return decided if np.isnan(decided) else float(decided == (record.version == "synthetic"))
        case ForcedChoice():
            return float(record.shown[("left", "right").index(record.answer["side"])] == "synthetic")
        case Similarity():
            known = [score for score in record.answer["scores"].values() if score is not None]
            return float(np.mean(known)) if known else float("nan")
    values = record.answer.get("grades", {}).values() or [len(record.answer.get("marks", []))]
    return float(np.mean(list(values)))


def case_scores(path: Path, metric: str) -> dict[str, float]:
    """Returns one figure per case of the synthetic image from `scores.tsv` or a table with a column of that name.

    Raises:
        NoInput: `NO_INPUT`.
        InputRefused: `TABLE` when it has neither form or nothing of this metric.
    """
    if not path.is_file():
        raise NoInput("NO_INPUT", f"{path.name}: there is no such table")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    found: dict[str, float] = {}
    for row in rows:
        is_long = row.get("metric") == metric and row.get("method", "synthetic") == "synthetic"
        value = row.get("value") if is_long else row.get(metric)
        if value and row.get("case") and row["case"] not in found:
            found[row["case"]] = float(value)
    if not found:
        raise InputRefused("TABLE", f"{path.name} has no {metric} of synthetic images; name another with --metric")
    return found


def discordance(records: Sequence[Record], design: Design, scores: Mapping[str, float]) -> Found | None:
    """Returns how a metric and the readers rank the cases (Lee 2020: the best MAE was never mistaken for real).

    Readers rank a case by how often its synthetic image was taken for real, or by its mean similarity or grade;
    both rankings put the case that looks best first, when a lower metric is better.
    """
    by_case: dict[str, list[float]] = defaultdict(list)
    for record in records:
        value = _looks_real(record, design)
        if value is not None and np.isfinite(value) and not record.is_repeat:
            by_case[record.case].append(value)
    cases = sorted(case for case in by_case if case in scores)
    if len(cases) < 4:
        return None
    seen = np.array([np.mean(by_case[case]) for case in cases])
    metric = np.array([scores[case] for case in cases])
    ranks = stats.rankdata(metric), stats.rankdata(-seen)
    low, high = _interval(metric, -seen)
    rows: list[dict[str, Any]] = [
        {"case": case, "metric": float(m), "readers": float(s), "metric_rank": float(a), "reader_rank": float(b)}
        for case, m, s, a, b in zip(cases, metric, seen, *ranks, strict=True)
    ]
    rows.sort(key=lambda row: -abs(row["metric_rank"] - row["reader_rank"]))
    return {"n": len(cases), "spearman": _spearman(metric, -seen), "low": low, "high": high, "cases": rows}


def _looks_real(record: Record, design: Design) -> float | None:
    if isinstance(design, ForcedChoice):
        return 1 - outcome(record, design)
    if isinstance(design, RealOrSynthetic):
        return 1 - decided_synthetic(record, design.levels) if record.version == "synthetic" else None
    if isinstance(design, Similarity):
        return outcome(record, design)
    return outcome(record, design) if design.kind == "quality" and record.version == "synthetic" else None


def _fit(records: Sequence[Record], values: Sequence[float], name: str) -> list[Found]:
    known = [(record, value) for record, value in zip(records, values, strict=True) if np.isfinite(value)]
    last: dict[str, int] = defaultdict(int)
    places = []
    for record, _ in known:
        places.append(last[record.reader])
        last[record.reader] += 1
    place = np.array([at / max(last[record.reader] - 1, 1) for at, (record, _) in zip(places, known, strict=True)])
    columns = {"place": place, "second version": np.array([float(record.is_second) for record, _ in known])}
    used = {key: column for key, column in columns.items() if column.size and np.ptp(column) > 0}
    design = np.column_stack([np.ones(len(known)), *used.values()])
    try:
        model = fit_mixed_model([value for _, value in known], design, [record.reader for record, _ in known])
    except InputRefused:
        return []
    return [
        {"outcome": name, "effect": key, "change": float(b), "standard_error": float(e), "p": float(p)}
        for key, b, e, p in zip(used, model.coefficients[1:], model.standard_errors[1:], model.p[1:], strict=True)
    ]


def _spearman(first: Any, second: Any) -> float | None:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(stats.spearmanr(first, second).statistic)


def _interval(first: Any, second: Any) -> tuple[float | None, float | None]:
    """Returns the percentile bootstrap interval of the rank correlation, over cases."""
    generator = np.random.default_rng(_SEED)
    draws = generator.integers(len(first), size=(_BOOTSTRAPS, len(first)))
    x, y = stats.rankdata(first[draws], axis=1), stats.rankdata(second[draws], axis=1)
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    scale = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    known = (x * y).sum(axis=1)[scale > 0] / scale[scale > 0]
    return (float(np.percentile(known, 2.5)), float(np.percentile(known, 97.5))) if known.size else (None, None)
