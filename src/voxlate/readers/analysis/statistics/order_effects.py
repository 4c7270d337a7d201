"""Tests whether answers and reading time depend on the order of the trials (learning, fatigue, memory of a case)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxlate.errors import InputRefused
from voxlate.evaluation.statistics import fit_mixed_model
from voxlate.readers.analysis.records import Record
from voxlate.readers.analysis.scoring import score
from voxlate.readers.study import Design


@dataclass(frozen=True, kw_only=True)
class OrderEffect:
    """One coefficient of the mixed model of order effects.

    Attributes:
        outcome: `score` or `viewed_s`.
        effect: `place`, from the first to the last trial, or `second version` of a case.
        change: of the outcome.
        standard_error, p: of the change.
    """

    outcome: str
    effect: str
    change: float
    standard_error: float
    p: float


def order_effects(records: Sequence[Record], design: Design) -> list[OrderEffect]:
    """Returns how score and viewing time (s) change over the design and for the second version of a case.

    The linear mixed model is value ~ place + second version + (1 | reader). `place` runs from 0, the first trial of
    the design, to 1, the last one. No model is fitted with fewer than three readers. Repeats are left out.
    """
    first = [record for record in records if not record.is_repeat]
    outcomes = {"score": [score(record, design) for record in first], "viewed_s": [r.viewed_s for r in first]}
    return [effect for name, values in outcomes.items() for effect in _fit(first, values, name)]


def _fit(records: Sequence[Record], values: Sequence[float], name: str) -> list[OrderEffect]:
    """Returns the effects on one outcome; empty when the model cannot be fitted."""
    answered = [(record, value) for record, value in zip(records, values, strict=True) if np.isfinite(value)]
    counts: dict[str, int] = defaultdict(int)
    positions = []
    for record, _ in answered:
        positions.append(counts[record.reader])
        counts[record.reader] += 1
    place = np.array(
        [at / max(counts[record.reader] - 1, 1) for at, (record, _) in zip(positions, answered, strict=True)]
    )
    columns = {"place": place, "second version": np.array([float(record.is_second) for record, _ in answered])}
    used = {key: column for key, column in columns.items() if column.size and np.ptp(column) > 0}
    predictors = np.column_stack([np.ones(len(answered)), *used.values()])
    try:
        model = fit_mixed_model([value for _, value in answered], predictors, [record.reader for record, _ in answered])
    except InputRefused:
        return []
    return [
        OrderEffect(outcome=name, effect=key, change=float(b), standard_error=float(e), p=float(p))
        for key, b, e, p in zip(used, model.coefficients[1:], model.standard_errors[1:], model.p[1:], strict=True)
    ]
