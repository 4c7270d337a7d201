"""Normalised mutual information of a joint histogram, shared by registration and evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def normalised_information(joint: NDArray[Any]) -> float:
    """Returns (H(X) + H(Y)) / H(X, Y) (Studholme et al., Pattern Recognit 1999;32:71).

    Args:
        joint: (bins, bins), counts. At least two cells must be filled: with one, H(X, Y) is zero.
    """
    return (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / _entropy(joint)


def _entropy(counts: NDArray[Any]) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())
