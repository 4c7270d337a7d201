"""The results of a reader study, as `analysis.json` holds them.

The names and the order of the fields are those of the JSON keys. A number that is not defined is NaN or `None` here
and null in the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from voxlate.evaluation.statistics import IntraclassCorrelation, MarginResult
from voxlate.readers.analysis.output.json_values import INLINE, OMITTED
from voxlate.readers.analysis.records import Record
from voxlate.readers.analysis.statistics.agreement import Kappa, ReaderKappa
from voxlate.readers.analysis.statistics.mrmc import ReaderMean
from voxlate.readers.analysis.statistics.order_effects import OrderEffect
from voxlate.readers.analysis.statistics.rank_comparison import RankComparison


@dataclass(frozen=True, kw_only=True)
class ChanceComparison:
    """A mean over readers of an AUC or a share, compared with chance (0.5).

    Attributes:
        mean: with its interval.
        undefined: readers whose own value is undefined; they are not part of the mean.
        p_different: two-sided p of the difference from 0.5; NaN when nothing can be inferred.
        margin: of equivalence with 0.5.
        alpha: of the test of equivalence, whose interval has coverage 1 − 2 alpha.
        test: of equivalence; its interval is that of the difference from 0.5.
    """

    mean: ReaderMean = field(metadata=INLINE)
    undefined: tuple[str, ...]  # replaces the places of these readers, which `mean` has under the same key
    p_different: float
    margin: float
    alpha: float
    test: MarginResult


@dataclass(frozen=True, kw_only=True)
class MarginComparison:
    """A mean over readers and its one-sided test against a margin.

    Attributes:
        mean: with its two-sided 95 % interval.
        margin: as fixed in the study.
        alpha: of the test.
        one_sided_low: end of the one-sided interval of the test, in units of the mean; its coverage is 1 − alpha.
        test: without an adjustment; its interval is that of the difference from the reference.
        m: tests of the design, one per structure or item.
        p_adjusted: p after Holm's adjustment for m tests.
        is_shown: whether `p_adjusted` is below `alpha`.
    """

    mean: ReaderMean = field(metadata=INLINE)
    margin: float
    alpha: float
    one_sided_low: float
    test: MarginResult
    m: int
    p_adjusted: float
    is_shown: bool


@dataclass(frozen=True, kw_only=True)
class CountInterval:
    """The Clopper-Pearson interval of a share."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ShareEstimate:
    """A share with its Clopper-Pearson interval.

    Attributes:
        share: correct answers among the decided ones.
        p: of the two-sided binomial test against a share of one half.
    """

    share: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Correct answers of one reader, or of all.

    Attributes:
        reader: `all` for the answers of all readers, pooled as if they were independent.
        correct: correct answers.
        n: decided answers.
        undecided: answers in the middle of the scale.
        estimate: `None` when no answer was decided.
    """

    reader: str
    correct: int
    n: int
    undecided: int
    estimate: ShareEstimate | None = field(metadata=INLINE)


@dataclass(frozen=True, kw_only=True)
class ReaderAuc:
    """The AUC of one reader with its 95 % interval; `note` says why there is no interval."""

    reader: str
    auc: float
    low: float
    high: float
    note: str


@dataclass(frozen=True, kw_only=True)
class RealOrSyntheticResult:
    """Results of the design `real_or_synthetic`.

    Attributes:
        accuracy: one row per reader, then one for all.
        auc: one per reader.
        roc: per reader, points (false positive rate, true positive rate); a synthetic image is positive.
        mean_auc: over readers.
        fleiss: agreement of all readers on real or synthetic.
        weighted: agreement of pairs of readers on the confidence.
        within_reader: agreement of readers with themselves; only readers with repeats.
    """

    kind: Literal["real_or_synthetic"] = "real_or_synthetic"
    accuracy: Sequence[Accuracy]
    auc: Sequence[ReaderAuc]
    roc: Mapping[str, Sequence[Sequence[float]]]
    mean_auc: ChanceComparison
    fleiss: Kappa
    weighted: Kappa
    within_reader: Sequence[ReaderKappa]


@dataclass(frozen=True, kw_only=True)
class SideChoices:
    """How often the left image was chosen in first readings, `n` of `of`, and the two-sided binomial p against half."""

    n: int
    of: int
    p: float


@dataclass(frozen=True, kw_only=True)
class ForcedChoiceResult:
    """Results of the design `forced_choice`."""

    kind: Literal["forced_choice"] = "forced_choice"
    accuracy: Sequence[Accuracy]
    mean_accuracy: ChanceComparison
    chose_left: SideChoices
    fleiss: Kappa


@dataclass(frozen=True, kw_only=True)
class ReaderScore:
    """Mean and sample standard deviation of one reader's similarity scores, in percent; `None` when undefined."""

    reader: str
    n: int
    mean: float | None
    sd: float | None


@dataclass(frozen=True, kw_only=True)
class CaseAgreement:
    """ICC(2,1) over the `n` cases that every reader assessed."""

    icc: IntraclassCorrelation = field(metadata=INLINE)
    n: int


@dataclass(frozen=True, kw_only=True)
class ScoreSummary:
    """Similarity scores of one structure, in percent.

    Attributes:
        mean, sd: over all scores, so that a reader with more scores counts more; `sd` is `None` for a single score.
        least, most: range of all scores.
        case_mean_least, case_mean_most: range of the means of the cases.
        readers: mean and standard deviation per reader.
        icc: `None` when it is not defined.
    """

    mean: float
    sd: float | None
    least: float
    most: float
    case_mean_least: float
    case_mean_most: float
    readers: Sequence[ReaderScore]
    icc: CaseAgreement | None


@dataclass(frozen=True, kw_only=True)
class StructureResult:
    """Similarity of one structure.

    Attributes:
        structure: its name.
        n: scores.
        not_assessable: answers without a score.
        summary: `None` without a score.
        pooled: mean of the readers' means, tested against 100 − margin; `None` with fewer than two cases.
    """

    structure: str
    n: int
    not_assessable: int
    summary: ScoreSummary | None = field(metadata=INLINE)
    pooled: MarginComparison | None = field(metadata=OMITTED)


@dataclass(frozen=True, kw_only=True)
class SimilarityResult:
    """Results of the design `similarity`."""

    kind: Literal["similarity"] = "similarity"
    structures: Sequence[StructureResult]


@dataclass(frozen=True, kw_only=True)
class QualityItemResult:
    """Grades of one item.

    Attributes:
        item: its name.
        real, synthetic: mean grade of the version; `None` without a grade.
        difference: mean over readers of synthetic − real, tested for non-inferiority.
        weighted: agreement of pairs of readers.
        within_reader: agreement of readers with themselves; only readers with repeats.
    """

    item: str
    real: float | None
    synthetic: float | None
    difference: MarginComparison
    weighted: Kappa
    within_reader: Sequence[ReaderKappa]


@dataclass(frozen=True, kw_only=True)
class QualityResult:
    """Results of the design `quality`."""

    kind: Literal["quality"] = "quality"
    items: Sequence[QualityItemResult]


@dataclass(frozen=True, kw_only=True)
class MarkCounts:
    """Marks of one reader on the images of one version.

    Attributes:
        found: lesions that were marked.
        of: lesions in these images.
        false_per_image: marks that are near no lesion, per image; `None` without an image.
        interval: of the sensitivity; `None` without a lesion.
    """

    found: int
    of: int
    false_per_image: float | None
    interval: CountInterval | None = field(metadata=INLINE)


@dataclass(frozen=True, kw_only=True)
class ReaderMarks:
    """Marks of one reader; `mcnemar_p` compares the lesions found in both versions of the same cases."""

    reader: str
    real: MarkCounts
    synthetic: MarkCounts
    mcnemar_p: float


@dataclass(frozen=True, kw_only=True)
class MarksResult:
    """Results of the design `marks`.

    Attributes:
        readers: one row per reader.
        lesions: in all cases read.
        difference: mean over readers of sensitivity(synthetic) − sensitivity(real); `None` without a lesion.
    """

    kind: Literal["marks"] = "marks"
    readers: Sequence[ReaderMarks]
    lesions: int
    difference: MarginComparison | None = field(metadata=OMITTED)


DesignResult = RealOrSyntheticResult | ForcedChoiceResult | SimilarityResult | QualityResult | MarksResult


@dataclass(frozen=True, kw_only=True)
class DesignAnalysis:
    """All results of one design.

    Attributes:
        result: depends on the kind of design.
        order_effects: empty when no model was fitted.
        discordance: `None` without a metric, or with too few cases.
    """

    result: DesignResult = field(metadata=INLINE)
    order_effects: Sequence[OrderEffect]
    discordance: RankComparison | None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Answers so far, `answered` of `of`."""

    answered: int
    of: int


@dataclass(frozen=True, kw_only=True)
class ReaderProgress:
    """A reader and the answers so far; `viewed_s` is the time that all cases together were viewed."""

    reader: str
    group: str
    experience_years: float | None
    answered: int
    of: int
    viewed_s: float


@dataclass(frozen=True, kw_only=True)
class LogState:
    """State of the hash chain of the answer log; `first_broken_row` is `None` when the chain is intact."""

    rows: int
    last_hash: str
    first_broken_row: int | None


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """All results of a study: the content of `analysis.json`.

    Attributes:
        voxlate_version: that made the analysis.
        study, title, data_kind, alpha: see `Study`.
        protocol_sha256: hash of the frozen protocol.
        interim: answers so far of an unfinished study; `None` for a finished one.
        metric: that the readers are compared with; `None` without one.
        readers: of the study.
        cases: that were read.
        patients: of these cases, the clusters of intervals and tests; `None` where the study names none, and each case
            is a cluster.
        designs: the analysed designs by name; those without answers are left out.
        comments: answers with a comment.
        record: state of the answer log.
    """

    voxlate_version: str
    study: str
    title: str
    data_kind: str
    protocol_sha256: str
    alpha: float
    interim: Progress | None
    metric: str | None
    readers: Sequence[ReaderProgress]
    cases: int
    patients: int | None
    designs: Mapping[str, DesignAnalysis]
    comments: Sequence[Record]
    record: LogState
