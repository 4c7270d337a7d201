"""Good, medium and low as Bottani et al. 2024 count them, with probabilities instead of certainties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from voxlate.archive.rows import TIERS

__all__ = ["GRADED", "SURE", "TIERS", "answer", "tier_of", "tier_probabilities"]

GRADED = ("contrast", "motion", "noise")
SURE = 0.9
"""An answer below this probability is `unknown`."""


def tier_of(grades: Mapping[str, int]) -> str:
    """Returns `low` if any grade is 2, else `medium` if any is 1, else `good`."""
    return TIERS[max(grades[name] for name in GRADED)]


def tier_probabilities(grades: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Returns the probability of each tier.

    Args:
        grades: for each of contrast, motion and noise the probabilities of 0, 1 and 2, taken as independent.
    """
    table = np.array([grades[name] for name in GRADED], dtype=np.float64)
    good = float(np.prod(table[:, 0]))
    not_low = float(np.prod(table[:, 0] + table[:, 1]))
    return {"good": good, "medium": max(not_low - good, 0.0), "low": max(1 - not_low, 0.0)}


def answer(probabilities: Mapping[str, float], *, sure: float = SURE) -> str:
    """Returns the likeliest answer, or `unknown` when it is less likely than `sure`."""
    name, value = max(probabilities.items(), key=lambda item: item[1])
    return name if value >= sure else "unknown"
