"""Normalised mutual information of a joint histogram; registration and evaluation each count in their own way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def normalised_information(joint: NDArray[Any]) -> float:
    """Returns (H(X) + H(Y)) / H(X, Y) (Studholme et al., Pattern Recognit 1999;32:71).

    Args:
        joint: (bins, bins), counts in at least two cells; with one alone nothing is known and H(X, Y) is zero.
    """
    return (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / _entropy(joint)


def _entropy(counts: NDArray[Any]) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())
