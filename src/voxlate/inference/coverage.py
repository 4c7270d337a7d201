"""Risk against coverage: what is wrong among the scans that a score lets through, at every threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Coverage:
    """A curve over n scans, the nearest accepted first.

    Attributes:
        thresholds: of the score; all scans at or below are accepted.
        coverage: share of all scans that are accepted.
        risk: share of the accepted that are wrong.
        area: mean of the risk over all shares accepted (AURC).
        least_area: the same if every right scan came before every wrong one.
    """

    thresholds: list[float]
    coverage: list[float]
    risk: list[float]
    area: float
    least_area: float


def coverage_curve(scores: NDArray[np.float64], wrong: NDArray[np.bool_]) -> Coverage:
    """Returns the curve of scores, the smaller the surer, both (n,); scans of one score are accepted together.

    The area is El-Yaniv and Wiener's (2010), with ties counted by the mean over their orders.
    """
    order = np.argsort(scores, kind="stable")
    ordered, bad = scores[order], wrong[order].astype(np.float64)
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    counts = np.diff(np.append(-1, ends))
    starts = ends - counts + 1
    smooth = np.concatenate(
        [np.full(count, bad[start : start + count].mean()) for start, count in zip(starts, counts, strict=True)]
    )
    accepted = np.arange(1, len(bad) + 1)
    right_first = np.sort(bad)
    return Coverage(
        [float(value) for value in np.where(np.isfinite(ordered[ends]), ordered[ends], 1e9)],
        ((ends + 1) / len(bad)).tolist(),
        (np.cumsum(bad)[ends] / (ends + 1)).tolist(),
        float(np.mean(np.cumsum(smooth) / accepted)),
        float(np.mean(np.cumsum(right_first) / accepted)),
    )
