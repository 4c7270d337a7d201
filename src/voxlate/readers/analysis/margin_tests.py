"""One-sided tests of a mean over readers against a margin, adjusted for the number of structures or items.

A design with nine structures has nine tests; without an adjustment one of them would be shown by chance far more often
than alpha says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from voxlate.evaluation.statistics import holm
from voxlate.readers.analysis.results import MarginComparison
from voxlate.readers.analysis.statistics.mrmc import ReaderMean, not_below


def compared(mean: ReaderMean, *, reference: float, margin: float, alpha: float) -> MarginComparison:
    """Returns the test that a mean is above `reference`, as the only test of its design.

    Args:
        mean: over readers.
        reference: in units of the figure: 100 − margin of a similarity, −margin of a difference.
        margin: as fixed in the study.
        alpha: of the test.
    """
    test = not_below(mean, reference=reference, alpha=alpha)
    return MarginComparison(
        mean=mean,
        margin=margin,
        alpha=alpha,
        one_sided_low=reference + test.low,
        test=test,
        m=1,
        p_adjusted=test.p,
        is_shown=test.is_shown,
    )


def adjusted(comparisons: Sequence[MarginComparison]) -> list[MarginComparison]:
    """Returns the comparisons of one design with their p adjusted by Holm; those without a p are no tests.

    Args:
        comparisons: one per structure or item.
    """
    tested = [at for at, one in enumerate(comparisons) if math.isfinite(one.test.p)]
    found = list(comparisons)
    for at, p in zip(tested, holm([comparisons[at].test.p for at in tested]).tolist(), strict=True):
        found[at] = replace(found[at], m=len(tested), p_adjusted=p, is_shown=p < found[at].alpha)
    return found
