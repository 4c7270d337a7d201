"""What each design's answers show: plain numbers in nested dictionaries, ready for JSON and for the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy import stats

from voxlate.errors import InputRefused
from voxlate.evaluation.statistics import clopper_pearson, icc
from voxlate.readers.analysis.agreement import fleiss_kappa, mean_pairwise, weighted_kappa
from voxlate.readers.analysis.auc import auc_influences, roc_points
from voxlate.readers.analysis.mrmc import differs, mean_influences, not_below, reader_mean, within_margin
from voxlate.readers.analysis.records import Record, Values, names, table
from voxlate.readers.study import ForcedChoice, Quality, RealOrSynthetic, Similarity

Found = dict[str, Any]
Grade = Callable[[Record], float]

CHANCE = 0.5
UNIT, PERCENT = (0.0, 1.0), (0.0, 100.0)
"""Bounds of an AUC or a share, and of a similarity in percent."""


def real_or_synthetic(records: Sequence[Record], design: RealOrSynthetic, alpha: float) -> Found:
    """Returns accuracy and AUC per reader, the mean AUC, its test against the margin, and agreement."""
    rating = _values(records, lambda record: float(record.answer["confidence"]))
    real, synthetic = table(records, rating, version="real"), table(records, rating, version="synthetic")
    correct = {at: _is_correct(record, design.levels) for at, record in enumerate(records)}
    readers, _ = names(records)
    aucs, influences = auc_influences(real, synthetic)
    both = np.concatenate([real, synthetic], axis=1)
    decided = np.where(both == (design.levels + 1) / 2, np.nan, (both > (design.levels + 1) / 2).astype(float))
    return {
        "kind": design.kind,
        "accuracy": _proportions(records, correct, readers),
        "auc": [_single_auc(reader, real[at], synthetic[at]) for at, reader in enumerate(readers)],
        "roc": {
            reader: roc_points(real[at], synthetic[at], design.levels).tolist() for at, reader in enumerate(readers)
        },
        "mean_auc": _mean_with_margin(readers, aucs, influences, margin=design.margin, alpha=alpha),
        "fleiss": asdict(fleiss_kappa(decided)),
        "weighted": asdict(mean_pairwise(both, levels=design.levels)),
        "within_reader": _within_reader(records, rating, levels=design.levels),
    }


def forced_choice(records: Sequence[Record], design: ForcedChoice, alpha: float) -> Found:
    """Returns the share of synthetic images found, per reader and on average, and whether a side is preferred."""
    correct = _values(records, lambda r: float(r.shown[("left", "right").index(r.answer["side"])] == "synthetic"))
    readers, _ = names(records)
    means, influences = mean_influences(table(records, correct))
    left = sum(record.answer["side"] == "left" for record in records)
    return {
        "kind": design.kind,
        "accuracy": _proportions(records, correct, readers),
        "mean_accuracy": _mean_with_margin(readers, means, influences, margin=design.margin, alpha=alpha),
        "chose_left": {"n": left, "of": len(records), "p": float(stats.binomtest(left, len(records)).pvalue)},
        "fleiss": asdict(fleiss_kappa(table(records, correct))),
    }


def similarity(records: Sequence[Record], design: Similarity, alpha: float) -> Found:
    """Returns the table of structures as in Lee 2020, Table 3, with what that table lacks: agreement and intervals."""
    rows = [_structure(records, name, design, alpha) for name in design.structures]
    return {"kind": design.kind, "structures": rows}


def quality(records: Sequence[Record], design: Quality, alpha: float) -> Found:
    """Returns mean grades of both versions and whether the synthetic ones are non-inferior."""
    return {"kind": design.kind, "items": [_graded(records, item, design, alpha) for item in design.items]}


def decided_synthetic(record: Record, levels: int) -> float:
    """Returns 1 when the reader took the image for synthetic, 0 for real, NaN for the middle of an odd scale."""
    middle = (levels + 1) / 2
    confidence = record.answer["confidence"]
    return float("nan") if confidence == middle else float(confidence > middle)


def _is_correct(record: Record, levels: int) -> float:
    decided = decided_synthetic(record, levels)
    return decided if np.isnan(decided) else float(decided == (record.version == "synthetic"))


def _values(records: Sequence[Record], grade: Grade) -> dict[int, float]:
    return {at: grade(record) for at, record in enumerate(records)}


def _proportions(records: Sequence[Record], correct: Mapping[int, float], readers: Sequence[str]) -> list[Found]:
    """Returns counts with Clopper-Pearson intervals; the last row pools all readers as if answers were independent."""
    rows = []
    for reader in [*readers, None]:
        own = [
            correct[at] for at, record in enumerate(records) if not record.is_repeat and reader in (None, record.reader)
        ]
        known = [value for value in own if np.isfinite(value)]
        right, n = int(sum(known)), len(known)
        row: Found = {"reader": reader or "all", "correct": right, "n": n, "undecided": len(own) - n}
        if n:
            low, high = clopper_pearson(right, n)
            row |= {"share": right / n, "low": low, "high": high, "p": float(stats.binomtest(right, n).pvalue)}
        rows.append(row)
    return rows


def _single_auc(reader: str, real: Values, synthetic: Values) -> Found:
    found = reader_mean(*auc_influences(real[None], synthetic[None]), bounds=UNIT)
    return {"reader": reader, "auc": found.mean, "low": found.low, "high": found.high, "note": found.note}


def _mean_with_margin(
    readers: Sequence[str], figures: Values, influences: Values, *, margin: float, alpha: float
) -> Found:
    """Returns the mean over readers of a share or an AUC, tested against chance (0.5)."""
    found = reader_mean(figures, influences, bounds=UNIT)
    test = within_margin(found, reference=CHANCE, margin=margin, alpha=alpha)
    return asdict(found) | {
        "undefined": [readers[at] for at in found.undefined],
        "p_different": differs(found, reference=CHANCE),
        "margin": margin,
        "test": asdict(test),
    }


def _within_reader(records: Sequence[Record], rating: Mapping[int, float], *, levels: int) -> list[Found]:
    first = {(r.reader, r.case, r.shown): rating[at] for at, r in enumerate(records) if not r.is_repeat}
    rows = []
    for reader in names(records)[0]:
        pairs = [
            (first[place], rating[at])
            for at, record in enumerate(records)
            if record.is_repeat and record.reader == reader
            for place in [(record.reader, record.case, record.shown)]
            if place in first
        ]
        if pairs:
            kappa = weighted_kappa([a for a, _ in pairs], [b for _, b in pairs], levels=levels)
            rows.append({"reader": reader} | asdict(kappa))
    return rows


def _structure(records: Sequence[Record], name: str, design: Similarity, alpha: float) -> Found:
    values = _values(records, lambda record: _percent(record.answer["scores"][name]))
    scores = table(records, values)
    known = scores[np.isfinite(scores)]
    row: Found = {"structure": name, "n": known.size, "not_assessable": sum(np.isnan(v) for v in values.values())}
    if known.size == 0:
        return row
    per_case = np.array([column[np.isfinite(column)].mean() for column in scores.T if np.isfinite(column).any()])
    row |= {
        "mean": float(known.mean()),
        "sd": float(known.std(ddof=1)) if known.size > 1 else None,
        "least": float(known.min()),
        "most": float(known.max()),
        "case_mean_least": float(per_case.min()),
        "case_mean_most": float(per_case.max()),
        "readers": [_mean_sd(reader, own) for reader, own in zip(names(records)[0], scores, strict=True)],
        "icc": _icc(scores),
    }
    read = scores[np.isfinite(scores).any(axis=1)]
    if per_case.size > 1:
        found = reader_mean(*mean_influences(read), bounds=PERCENT)
        test = not_below(found, reference=100 - design.margin, alpha=alpha)
        row["pooled"] = asdict(found) | {"margin": design.margin, "test": asdict(test)}
    return row


def _mean(values: Values) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _percent(score: int | None) -> float:
    return float("nan") if score is None else float(score)


def _mean_sd(reader: str, values: Values) -> Found:
    known = values[np.isfinite(values)]
    return {
        "reader": reader,
        "n": known.size,
        "mean": _mean(values),
        "sd": float(known.std(ddof=1)) if known.size > 1 else None,
    }


def _icc(scores: Values) -> Found | None:
    """Returns ICC(2,1) over the cases that every reader assessed; None when it is not defined."""
    complete = scores[:, np.isfinite(scores).all(axis=0)].T
    try:
        return asdict(icc(complete)[0]) | {"n": len(complete)}
    except InputRefused:
        return None


def _graded(records: Sequence[Record], item: str, design: Quality, alpha: float) -> Found:
    grades = _values(records, lambda record: float(record.answer["grades"][item]))
    real, synthetic = table(records, grades, version="real"), table(records, grades, version="synthetic")
    found = reader_mean(*mean_influences(synthetic - real))
    test = not_below(found, reference=-design.margin, alpha=alpha)
    agreement = mean_pairwise(np.concatenate([real, synthetic], axis=1), levels=design.levels)
    return {
        "item": item,
        "real": _mean(real),
        "synthetic": _mean(synthetic),
        "difference": asdict(found) | {"margin": design.margin, "test": asdict(test)},
        "weighted": asdict(agreement),
        "within_reader": _within_reader(records, grades, levels=design.levels),
    }
