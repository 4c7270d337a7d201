"""Options of a comparison: which p is adjusted and how, levels, margins, folds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from voxlate.errors import UsageError, nearest
from voxlate.evaluation.metrics import METRICS

Correction = Literal["none", "bonferroni", "holm"]
Test = Literal["permutation", "t", "wilcoxon"]

ALPHA = 0.05
"""The usual significance level."""

AT = "@"
"""Between the metric and the protocol of a margin."""


@dataclass(frozen=True)
class ComparisonSettings:
    """Options of a comparison of systems.

    Attributes:
        correction: how p is adjusted for the number of tests m of its family.
        test: the paired test whose p is adjusted and gives stars; the other two are printed beside it.
        alpha: level below which an adjusted p has a star.
        alphas: other levels, by metric; Bottani 2024 has 0.01 for the volume differences.
        margins: largest difference that does not matter, chosen before the data are seen, by `METRIC` in the unit of
            the first protocol that measures it, or by `METRIC@PROTOCOL`; each is tested for equivalence and
            non-inferiority, see `voxlate.evaluation.comparison.margins`.
        are_folds: whether the folders are those of a cross-validation, see `voxlate.evaluation.comparison.folds`.
        allows_training_cases: whether patients that a bundle was trained on may be among the cases.
    """

    correction: Correction = "holm"
    test: Test = "permutation"
    alpha: float = ALPHA
    alphas: Mapping[str, float] = field(default_factory=dict)
    margins: Mapping[str, float] = field(default_factory=dict)
    are_folds: bool = False
    allows_training_cases: bool = False

    def __post_init__(self) -> None:
        _require_one_of("CORRECTION", "correction", self.correction, get_args(Correction))
        _require_one_of("TEST", "test", self.test, get_args(Test))
        for metric, margin in self.margins.items():
            _require_metric("MARGIN", metric.partition(AT)[0])
            if not (math.isfinite(margin) and margin > 0):
                raise UsageError("MARGIN", f"the margin of {metric} is {margin:g}; it must be a number above 0")
        for metric in self.alphas:
            _require_metric("ALPHA", metric)
        for alpha in (self.alpha, *self.alphas.values()):
            if not 0 < alpha < 1:
                raise UsageError("ALPHA", f"the level {alpha:g} is not between 0 and 1; the usual one is {ALPHA}")

    def alpha_of(self, metric: str) -> float:
        """Returns the level of a metric."""
        return self.alphas.get(metric, self.alpha)


def _require_one_of(code: str, what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise UsageError(code, f"no {what} {given!r}{nearest(given, known)}; choose from {', '.join(known)}")


def _require_metric(code: str, name: str) -> None:
    if name not in METRICS:
        raise UsageError(code, f"no metric {name!r}{nearest(name, METRICS)}; choose from {', '.join(METRICS)}")
