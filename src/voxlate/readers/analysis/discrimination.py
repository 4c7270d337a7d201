"""Analyses whether readers can tell synthetic from real images: the designs `real_or_synthetic` and `forced_choice`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from voxlate.evaluation.statistics import clopper_pearson
from voxlate.evaluation.statistics.auc import auc_influences, roc_points
from voxlate.readers.analysis.records import Record, Values, names, patients, table
from voxlate.readers.analysis.results import (
    Accuracy,
    ChanceComparison,
    ForcedChoiceResult,
    ReaderAuc,
    RealOrSyntheticResult,
    ShareEstimate,
    SideChoices,
)
from voxlate.readers.analysis.scoring import chose_left, chose_synthetic, confidence, is_correct
from voxlate.readers.analysis.statistics.agreement import fleiss_kappa, mean_pairwise, within_reader
from voxlate.readers.analysis.statistics.mrmc import differs, mean_influences, reader_mean, within_margin
from voxlate.readers.study import ForcedChoice, RealOrSynthetic

CHANCE = 0.5
"""AUC and share of correct answers of a reader who guesses."""

UNIT = (0.0, 1.0)
"""Bounds of an AUC and of a share."""


def real_or_synthetic(records: Sequence[Record], design: RealOrSynthetic, alpha: float) -> RealOrSyntheticResult:
    """Returns accuracy and AUC per reader, the mean AUC and its equivalence with chance, and agreement.

    Args:
        records: answers to this design.
        design: as frozen in the study.
        alpha: of the equivalence test.
    """
    confidences = [float(confidence(record)) for record in records]
    real, synthetic = table(records, confidences, version="real"), table(records, confidences, version="synthetic")
    readers, cases = names(records)
    clusters = patients(records, cases)
    aucs, influences = auc_influences(real, synthetic)
    both = np.concatenate([real, synthetic], axis=1)
    middle = (design.levels + 1) / 2
    decided = np.where(both == middle, np.nan, (both > middle).astype(float))
    return RealOrSyntheticResult(
        accuracy=_accuracy(records, [is_correct(record, design.levels) for record in records]),
        auc=[_reader_auc(reader, real[at], synthetic[at], clusters) for at, reader in enumerate(readers)],
        roc={reader: roc_points(real[at], synthetic[at], design.levels).tolist() for at, reader in enumerate(readers)},
        mean_auc=_against_chance(
            readers,
            aucs,
            influences,
            read=_has_rated(real, synthetic),
            clusters=clusters,
            margin=design.margin,
            alpha=alpha,
        ),
        fleiss=fleiss_kappa(decided),
        weighted=mean_pairwise(both, levels=design.levels),
        within_reader=within_reader(records, confidences, levels=design.levels),
    )


def forced_choice(records: Sequence[Record], design: ForcedChoice, alpha: float) -> ForcedChoiceResult:
    """Returns the share of correct choices per reader, their mean and its equivalence with chance, and side bias.

    Side bias is tested on the first readings alone: each case counts once for each reader. A repeat shows the same
    images on the same sides, so its answer is no new toss of the coin. A binomial test of the first readings keeps its
    level: the synthetic image is on the left in half of a reader's cases, which makes the number of left choices of a
    reader without a preference vary no more than tosses do.

    Args:
        records: answers to this design.
        design: as frozen in the study.
        alpha: of the equivalence test.
    """
    correct = [chose_synthetic(record) for record in records]
    readers, cases = names(records)
    correct_table = table(records, correct)
    means, influences = mean_influences(correct_table)
    sides = [chose_left(record) for record in records if not record.is_repeat]
    return ForcedChoiceResult(
        accuracy=_accuracy(records, correct),
        mean_accuracy=_against_chance(
            readers,
            means,
            influences,
            read=np.isfinite(correct_table),
            clusters=patients(records, cases),
            margin=design.margin,
            alpha=alpha,
        ),
        chose_left=_side_choices(sides),
        fleiss=fleiss_kappa(correct_table),
    )


def _side_choices(are_left: Sequence[bool]) -> SideChoices:
    left, n = sum(are_left), len(are_left)
    return SideChoices(n=left, of=n, p=float(stats.binomtest(left, n).pvalue))


def _accuracy(records: Sequence[Record], correct: Sequence[float]) -> list[Accuracy]:
    """Returns correct answers per reader and of all readers, first readings only; `correct` is one per record."""
    rows = []
    for reader in [*names(records)[0], None]:
        own = [
            value
            for record, value in zip(records, correct, strict=True)
            if not record.is_repeat and reader in (None, record.reader)
        ]
        decided = [value for value in own if np.isfinite(value)]
        right, n = int(sum(decided)), len(decided)
        estimate = _share(right, n) if n else None
        rows.append(Accuracy(reader=reader or "all", correct=right, n=n, undecided=len(own) - n, estimate=estimate))
    return rows


def _share(right: int, n: int) -> ShareEstimate:
    low, high = clopper_pearson(right, n)
    return ShareEstimate(share=right / n, low=low, high=high, p=float(stats.binomtest(right, n).pvalue))


def _reader_auc(reader: str, real: Values, synthetic: Values, clusters: Sequence[str]) -> ReaderAuc:
    """Returns the AUC of one reader from (cases,) confidences."""
    read = _has_rated(real, synthetic)[None]
    auc = reader_mean(*auc_influences(real[None], synthetic[None]), read=read, patients=clusters, bounds=UNIT)
    return ReaderAuc(reader=reader, auc=auc.mean, low=auc.low, high=auc.high, note=auc.note)


def _has_rated(real: Values, synthetic: Values) -> NDArray[np.bool_]:
    """Returns whether a reader rated the real or the synthetic image of each case."""
    return np.isfinite(real) | np.isfinite(synthetic)


def _against_chance(
    readers: Sequence[str],
    figures: Values,
    influences: Values,
    *,
    read: NDArray[np.bool_],
    clusters: Sequence[str],
    margin: float,
    alpha: float,
) -> ChanceComparison:
    """Returns the mean of (readers,) figures with (readers, cases) influences, compared with chance."""
    mean = reader_mean(figures, influences, read=read, patients=clusters, bounds=UNIT)
    return ChanceComparison(
        mean=mean,
        undefined=tuple(readers[at] for at in mean.undefined),
        p_different=differs(mean, reference=CHANCE),
        margin=margin,
        alpha=alpha,
        test=within_margin(mean, reference=CHANCE, margin=margin, alpha=alpha),
    )
