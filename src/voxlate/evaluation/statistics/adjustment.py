"""Adjustment of p values for the number of comparisons.

Both functions control the family-wise error rate: the probability that any of m true null hypotheses is rejected. They
take and return vectors of shape (m,), p values in their order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from voxlate.evaluation.statistics.samples import Values


def bonferroni(p_values: ArrayLike) -> Values:
    """Returns m p, at most 1 (Bonferroni)."""
    p = np.asarray(p_values, dtype=np.float64)
    return np.minimum(p * p.size, 1.0)


def holm(p_values: ArrayLike) -> Values:
    """Returns the step-down adjustment of Holm (1979).

    It controls the same error rate as Bonferroni's adjustment, and no adjusted value is larger than Bonferroni's.

    Example:
        >>> holm([0.01, 0.04]).tolist()
        [0.02, 0.04]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
