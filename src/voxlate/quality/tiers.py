"""Quality tiers (good, medium, low) as Bottani et al. 2024 define them, from grades or their probabilities.

A scan has a grade from 0 (good) to 2 (bad) for contrast, motion and noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from voxlate.archive.rows import TIERS

__all__ = ["GRADED", "SURE", "TIERS", "answer", "tier_of", "tier_probabilities"]

GRADED = ("contrast", "motion", "noise")
SURE = 0.9
"""Least probability of an answer other than `unknown`; chosen by hand, `benchmarks/bench_warehouse.py` measures it."""


def tier_of(grades: Mapping[str, int]) -> str:
    """Returns `low` if any grade is 2, else `medium` if any is 1, else `good`.

    Args:
        grades: 0, 1 or 2 by name of `GRADED`.
    """
    return TIERS[max(grades[name] for name in GRADED)]


def tier_probabilities(grades: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Returns the probability of each tier.

    Args:
        grades: probabilities of the grades 0, 1 and 2 by name of `GRADED`; contrast, motion and noise are taken as
            independent.

    Example:
        >>> certain = (1.0, 0.0, 0.0)
        >>> tier_probabilities({"contrast": (0.5, 0.25, 0.25), "motion": certain, "noise": certain})
        {'good': 0.5, 'medium': 0.25, 'low': 0.25}
    """
    table = np.array([grades[name] for name in GRADED], dtype=np.float64)
    good = float(np.prod(table[:, 0]))
    not_low = float(np.prod(table[:, 0] + table[:, 1]))
    return {"good": good, "medium": max(not_low - good, 0.0), "low": max(1 - not_low, 0.0)}


def answer(probabilities: Mapping[str, float]) -> str:
    """Returns the likeliest of some answers by its probability, or `unknown` when that is below `SURE`."""
    name, value = max(probabilities.items(), key=lambda item: item[1])
    return name if value >= SURE else "unknown"
