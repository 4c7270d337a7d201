"""Schema of a comparison folder: `comparison.json` and the rows of `scores.tsv`, for writing and for reading.

The order of the fields is the order of the keys and columns on disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from voxlate.evaluation.comparison.settings import Correction, Test
from voxlate.evaluation.schema.files import SCORES, Kind, read_document, read_folder, read_rows
from voxlate.evaluation.schema.results import (
    RELATIVE,
    DataKind,
    Direction,
    Finite,
    ProtocolDefinition,
    SummaryRow,
)

COMPARISON = "comparison.json"
_KIND = Kind(COMPARISON, "COMPARISON", "voxlate evaluate with --synthetic NAME=FOLDER")

State = Literal["evaluated", "partly", "nothing"]
"""How far a system could be evaluated: every case, some, or none."""

Question = Literal["system and baseline", "two systems"]
"""What a test compares; each has families of tests of its own."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class SystemRow(_Record):
    """A system and how far it could be evaluated.

    Attributes:
        evaluation: path of its ordinary evaluation folder, relative to the comparison folder.
        n_collapsed: evaluated cases whose synthetic image has one value only.
        reason: why cases have no score, or that images have one value only, with their number; empty otherwise.
        bundles: hash of the manifest of each bundle, as the user gave them; empty if none was given.
    """

    name: str
    evaluation: str
    state: State
    n_evaluated: int
    n_missing: int
    n_refused: int
    n_collapsed: int = 0
    reason: str
    bundles: list[str] = Field(default_factory=list)

    @property
    def is_collapsed(self) -> bool:
        """Returns whether every evaluated case has one value only; a single such case does not speak for the system."""
        return 0 < self.n_evaluated == self.n_collapsed


class ComparedCase(_Record):
    """A case of the comparison; `fold` is None without a cross-validation."""

    case: str
    patient: str
    set: str
    fold: int | None = None


class ComparedSummary(SummaryRow):
    """A row of the table: one metric of one system, baseline or reference over the patients of a set.

    `method` is the name of the system, baseline or reference; see `SummaryRow` for the others.
    """

    set: str


class MarginRow(_Record):
    """Result of a test against a margin; `low` and `high` are the ends of its interval, None where there is no end."""

    margin: float
    low: Finite
    high: Finite
    p: Finite
    is_shown: bool


class ComparedTest(_Record):
    """Two methods compared on the scans that both have, averaged to patients; differences are first − second.

    Attributes:
        question: see `Question`; with protocol, intensity and `is_leading` it names the family.
        is_leading: whether the metric is among MAE, PSNR and SSIM of the whole compared region.
        n: patients of whom both have a scan.
        p_independent_t: independent-samples t-test over all scans of both, as Li 2022 printed it. It takes the scans of
            the two methods for scans of different people, and several scans of a patient for several patients
            (pseudo-replication). It never gives a star.
        n_scans: scans of the first and the second method in that test.
        p_independent_slices: the same test over all slices, as Li 2022 ran it; None for a metric that is no mean of
            slices. Slices of a patient are not independent, so this p is far too small. It never gives a star.
        n_slices: slices of the first and the second method in that test.
        m: tests in the family, the number of comparisons that p is adjusted for.
        p_none: the p of the chosen paired test.
        p_bonferroni: m times that p, at most 1.
        p_holm: the p after Holm's adjustment.
        p_adjusted: the one of the three that the comparison chose.
        is_significant: whether `p_adjusted` is below `alpha`.
        equivalence: two one-sided tests (TOST) against ± the stated margin; None without a margin for this protocol.
        non_inferiority: whether the first is worse by less than the margin; None without one, or without a direction.
        note: why no test was run, or a remark; empty otherwise.
    """

    set: str
    question: Question
    protocol: str
    intensity: str
    region: str
    metric: str
    unit: str
    is_leading: bool
    first: str
    second: str
    n: int
    mean_difference: Finite
    ci_low: Finite
    ci_high: Finite
    interval: str
    p_t: Finite
    p_wilcoxon: Finite
    p_permutation: Finite
    p_independent_t: Finite
    n_scans: tuple[int, int]
    p_independent_slices: Finite = None
    n_slices: tuple[int, int] = (0, 0)
    effect_size: Finite
    m: int
    p_none: Finite
    p_bonferroni: Finite
    p_holm: Finite
    p_adjusted: Finite
    alpha: float
    is_significant: bool
    equivalence: MarginRow | None = None
    non_inferiority: MarginRow | None = None
    note: str = ""


class _OfMethod(_Record):
    set: str
    protocol: str
    intensity: str
    region: str
    metric: str
    unit: str
    method: str


class FoldRow(_OfMethod):
    """One metric of one method over the patients of one fold of a cross-validation."""

    fold: int
    n: int
    mean: Finite
    sd: Finite


class JoinedRow(_OfMethod):
    """One metric of one method over a cross-validation.

    Attributes:
        folds: folds with a value.
        mean_of_folds: mean of the means of the folds, each fold counting once.
        sd_between_folds: standard deviation of those means; None for one fold.
        n, mean, sd: over all patients, each counting once.
    """

    folds: int
    mean_of_folds: Finite
    sd_between_folds: Finite
    n: int
    mean: Finite
    sd: Finite


class Unscored(_Record):
    """A case of a system without scores; `code` is empty for a missing file."""

    system: str
    case: str
    code: str
    reason: str


class SystemsComparison(_Record):
    """Content of `comparison.json`.

    Attributes:
        baselines: methods without a network that systems are tested against, in order.
        references: other rows of the tables, such as the best intensity curve; they are not tested.
        sets: names of the test sets in the order of the table of cases; one empty name without sets.
        correction, test, alpha, alphas, margins: see `ComparisonSettings`.
        unit: of the compared images: `relative`, `HU` or another.
    """

    voxlate_version: str
    data_kind: DataKind
    unit: str = RELATIVE
    direction: Direction
    protocols: list[ProtocolDefinition]
    systems: list[SystemRow]
    baselines: list[str]
    references: list[str]
    sets: list[str]
    correction: Correction
    test: Test
    alpha: float
    alphas: dict[str, float]
    margins: dict[str, float]
    cases: list[ComparedCase]
    summary: list[ComparedSummary]
    tests: list[ComparedTest]
    folds: list[FoldRow] = Field(default_factory=list)
    joined: list[JoinedRow] = Field(default_factory=list)
    unscored: list[Unscored] = Field(default_factory=list)

    @property
    def system_names(self) -> list[str]:
        """Returns the names of the systems, in order."""
        return [system.name for system in self.systems]

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, keys in the order of the file."""
        return self.model_dump(mode="json")


class ComparedScore(NamedTuple):
    """One line of `scores.tsv`; the value may be infinite, or NaN where it is not defined; `fold` may be empty.

    `system` is the name of a system, a baseline or a reference.
    """

    case: str
    patient: str
    set: str
    fold: str
    system: str
    region: str
    metric: str
    value: float
    unit: str
    protocol: str
    intensity: str


@dataclass(frozen=True)
class Compared:
    """A comparison folder that was read.

    Attributes:
        folder: path of the folder; reports never show it.
        comparison: content of `comparison.json`.
        scores: rows of `scores.tsv`, in order.
    """

    folder: Path
    comparison: SystemsComparison
    scores: tuple[ComparedScore, ...]


def is_comparison(folder: Path) -> bool:
    """Returns whether a folder holds a comparison of systems, and not the evaluation of one."""
    return (folder / COMPARISON).is_file()


def read_scores(folder: Path) -> tuple[ComparedScore, ...]:
    """Reads the scores of a comparison folder alone; none when it does not hold any.

    Raises:
        InputRefused: `COMPARISON_INVALID`.
    """
    path = folder / SCORES
    return read_rows(path, _KIND, ComparedScore, ComparedScore._fields) if path.is_file() else ()


def read_comparison(folder: Path) -> Compared:
    """Reads and checks both files of a comparison folder.

    Raises:
        NoInput: `COMPARISON_MISSING` when one of the files does not exist.
        InputRefused: `COMPARISON_INVALID` when a key is missing or a value has the wrong type; the message names it.
    """
    comparison, scores = read_folder(folder, _KIND, SystemsComparison, ComparedScore, ComparedScore._fields)
    return Compared(folder, comparison, scores)


def read_comparison_document(folder: Path) -> SystemsComparison:
    """Reads and checks `comparison.json` alone, without the scores of the cases.

    Raises:
        NoInput: `COMPARISON_MISSING`.
        InputRefused: `COMPARISON_INVALID`.
    """
    return read_document(folder, _KIND, SystemsComparison)
