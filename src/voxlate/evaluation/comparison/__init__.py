"""Comparison of several systems on the same cases: one table, tests between all of them, test sets, folds."""

from voxlate.evaluation.comparison.run import ComparisonOutcome, compare_systems
from voxlate.evaluation.comparison.schema import Compared, SystemsComparison, read_comparison
from voxlate.evaluation.comparison.settings import ComparisonSettings

__all__ = [
    "Compared",
    "ComparisonOutcome",
    "ComparisonSettings",
    "SystemsComparison",
    "compare_systems",
    "read_comparison",
]
