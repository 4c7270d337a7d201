"""Risk-coverage curve: the share of wrong scans among those that a score accepts, at every threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Coverage:
    """A risk-coverage curve over n scans; scans with the lowest scores are accepted first.

    Attributes:
        thresholds: of the score; all scans at or below a threshold are accepted.
        coverage: share of all scans that are accepted.
        risk: share of the accepted scans that are wrong.
        area: area under the curve (AURC), the mean of the risk over all numbers of accepted scans.
        least_area: AURC if every right scan had a lower score than every wrong one.
    """

    thresholds: list[float]
    coverage: list[float]
    risk: list[float]
    area: float
    least_area: float


def coverage_curve(scores: NDArray[np.float64], wrong: NDArray[np.bool_]) -> Coverage:
    """Returns the risk-coverage curve of El-Yaniv and Wiener (JMLR 2010).

    Scans with the same score are accepted together; the area is the mean over their possible orders.

    Args:
        scores: (n,); the lower the score, the more certain the scan.
        wrong: (n,), whether each scan is wrong.
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
