"""Analyses scores that readers gave: the designs `similarity` and `quality`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from voxlate.errors import InputRefused
from voxlate.evaluation.statistics import icc
from voxlate.readers.analysis.margin_tests import adjusted, compared
from voxlate.readers.analysis.records import Record, Values, names, patients, table
from voxlate.readers.analysis.results import (
    CaseAgreement,
    MarginComparison,
    QualityItemResult,
    QualityResult,
    ReaderScore,
    ScoreSummary,
    SimilarityResult,
    StructureResult,
)
from voxlate.readers.analysis.scoring import grade, percent
from voxlate.readers.analysis.statistics.agreement import mean_pairwise, within_reader
from voxlate.readers.analysis.statistics.mrmc import mean_influences, reader_mean
from voxlate.readers.study import Quality, Similarity

PERCENT = (0.0, 100.0)
"""Bounds of a similarity."""


def similarity(records: Sequence[Record], design: Similarity, alpha: float) -> SimilarityResult:
    """Returns the figures of Lee 2020, Table 3, for each structure, and also agreement, intervals and a test.

    Args:
        records: answers to this design.
        design: as frozen in the study.
        alpha: of the tests that the means are above 100 − margin, adjusted for the number of structures.
    """
    structures = [_structure(records, name, design, alpha) for name in design.structures]
    tests = iter(adjusted([one.pooled for one in structures if one.pooled]))
    return SimilarityResult(structures=[replace(one, pooled=next(tests)) if one.pooled else one for one in structures])


def quality(records: Sequence[Record], design: Quality, alpha: float) -> QualityResult:
    """Returns for each item the mean grades of both versions, and whether the synthetic ones are non-inferior.

    Args:
        records: answers to this design.
        design: as frozen in the study.
        alpha: of the tests of non-inferiority, adjusted for the number of items.
    """
    items = [_item(records, item, design, alpha) for item in design.items]
    tests = adjusted([item.difference for item in items])
    return QualityResult(items=[replace(item, difference=test) for item, test in zip(items, tests, strict=True)])


def _structure(records: Sequence[Record], name: str, design: Similarity, alpha: float) -> StructureResult:
    answers = [percent(record, name) for record in records]
    scores = table(records, answers)
    of_case = patients(records, names(records)[1])
    case_means = np.array([column[np.isfinite(column)].mean() for column in scores.T if np.isfinite(column).any()])
    return StructureResult(
        structure=name,
        n=int(np.isfinite(scores).sum()),
        not_assessable=sum(
            math.isnan(answer) and not record.is_repeat for record, answer in zip(records, answers, strict=True)
        ),
        summary=_summary(names(records)[0], scores, case_means) if case_means.size else None,
        pooled=_pooled(scores, of_case, design.margin, alpha) if case_means.size > 1 else None,
    )


def _summary(readers: Sequence[str], scores: Values, case_means: Values) -> ScoreSummary:
    """Returns the summary of (readers, cases) scores, of which at least one is finite."""
    given = scores[np.isfinite(scores)]
    return ScoreSummary(
        mean=float(given.mean()),
        sd=_sd(given),
        least=float(given.min()),
        most=float(given.max()),
        case_mean_least=float(case_means.min()),
        case_mean_most=float(case_means.max()),
        readers=[_reader_score(reader, own) for reader, own in zip(readers, scores, strict=True)],
        icc=_icc(scores),
    )


def _pooled(scores: Values, of_case: Sequence[str], margin: float, alpha: float) -> MarginComparison:
    """Returns the mean over the readers with a score, tested against 100 − margin."""
    given = scores[np.isfinite(scores).any(axis=1)]
    mean = reader_mean(*mean_influences(given), read=np.isfinite(given), patients=of_case, bounds=PERCENT)
    return compared(mean, reference=100 - margin, margin=margin, alpha=alpha)


def _reader_score(reader: str, scores: Values) -> ReaderScore:
    given = scores[np.isfinite(scores)]
    return ReaderScore(reader=reader, n=given.size, mean=_mean(scores), sd=_sd(given))


def _mean(values: Values) -> float | None:
    given = values[np.isfinite(values)]
    return float(given.mean()) if given.size else None


def _sd(values: Values) -> float | None:
    return float(values.std(ddof=1)) if values.size > 1 else None


def _icc(scores: Values) -> CaseAgreement | None:
    """Returns ICC(2,1) over the cases that every reader assessed; `None` when it is not defined."""
    complete = scores[:, np.isfinite(scores).all(axis=0)].T
    try:
        return CaseAgreement(icc=icc(complete)[0], n=len(complete))
    except InputRefused:
        return None


def _item(records: Sequence[Record], item: str, design: Quality, alpha: float) -> QualityItemResult:
    grades = [grade(record, item) for record in records]
    real, synthetic = table(records, grades, version="real"), table(records, grades, version="synthetic")
    change = synthetic - real
    of_case = patients(records, names(records)[1])
    mean = reader_mean(*mean_influences(change), read=np.isfinite(change), patients=of_case)
    return QualityItemResult(
        item=item,
        real=_mean(real),
        synthetic=_mean(synthetic),
        difference=compared(mean, reference=-design.margin, margin=design.margin, alpha=alpha),
        weighted=mean_pairwise(np.concatenate([real, synthetic], axis=1), levels=design.levels),
        within_reader=within_reader(records, grades, levels=design.levels),
    )
