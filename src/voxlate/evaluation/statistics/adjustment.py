"""Several comparisons at once: p values adjusted so that any false finding among all m of them is rare."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from voxlate.evaluation.statistics.samples import Values


def bonferroni(p_values: ArrayLike) -> Values:
    """Returns m p, at most 1, m the number of comparisons."""
    p = np.asarray(p_values, dtype=np.float64)
    return np.minimum(p * p.size, 1.0)


def holm(p_values: ArrayLike) -> Values:
    """Returns Holm's step-down adjustment: never less strict than needed, and valid wherever Bonferroni's is."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
