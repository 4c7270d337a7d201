"""Selection of what a report shows: the leading scores, the usual metrics, and the best, median and worst case.

Cases are selected by the rank of one score, never by hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.schema.results import Evaluated, EvaluatedCase, ScoreRow

_USUAL_METRICS = ("mae", "psnr", "ssim", "ms_ssim", "sharpness_ratio", "gradient_error")
"""Metrics that plots and tables show first."""

_RANKING = ("mae", "rmse", "ssim", "psnr", "ms_ssim")
"""Metrics by which cases can be ranked; the report uses the first that the protocol has."""


@dataclass(frozen=True)
class View:
    """The scores that a report shows first.

    Attributes:
        protocol: name of the protocol.
        region: name of the region, such as `mask`.
        intensity: `as_written` or `linear_fit`.
        metric: name of the metric by which cases are ranked.
    """

    protocol: str
    region: str
    intensity: str = "as_written"
    metric: str = "mae"

    @property
    def rule(self) -> str:
        """The rule by which cases were selected, for the reader of the report."""
        return (
            f"Cases are ranked by the {metric_of(self.metric).label} of the synthetic image in region "
            f"{self.region.replace('_', ' ')} (ties by name). The report shows the middle rank (the better one of two) "
            "at the top, then rank 1 and the last rank."
        )

    def holds(self, row: ScoreRow) -> bool:
        """Returns whether a score belongs to this view."""
        return (row.protocol, row.region, row.intensity) == (self.protocol, self.region, self.intensity)


@dataclass(frozen=True)
class Chosen:
    """A selected case.

    Attributes:
        title: `Best`, `Median`, `Worst` or `Only`.
        case: the case.
        rank: rank of the case; 1 is the best.
        of: number of ranked cases.
        metric: name of the metric of the rank.
        value: value of the metric, in `unit`.
    """

    title: str
    case: EvaluatedCase
    rank: int
    of: int
    metric: str
    value: float
    unit: str


def usual_first(metrics: Iterable[str], most: int) -> list[str]:
    """Returns at most `most` metrics: the usual ones first, then the others in their own order."""
    given = list(dict.fromkeys(metrics))
    usual = [name for name in _USUAL_METRICS if name in given]
    return (usual + [name for name in given if name not in _USUAL_METRICS])[:most]


def leading_view(evaluated: Evaluated) -> View:
    """Returns the first protocol and region in which the synthetic images have a metric for ranking."""
    names = [protocol.name for protocol in evaluated.evaluation.protocols]
    ours = [s for s in evaluated.scores if (s.method, s.intensity) == ("synthetic", "as_written")]
    for metric in _RANKING:
        for name in names:
            for score in ours:
                if (score.protocol, score.metric) == (name, metric):
                    return View(name, score.region, metric=metric)
    return View(names[0], evaluated.scores[0].region if evaluated.scores else "mask")


def ranked(evaluated: Evaluated, view: View) -> list[ScoreRow]:
    """Returns the scores of the synthetic images in the view's metric, best first, ties by case name, without NaN."""
    rows = [s for s in evaluated.scores if view.holds(s) and (s.method, s.metric) == ("synthetic", view.metric)]
    loss = metric_of(view.metric).loss
    return sorted((s for s in rows if not math.isnan(s.value)), key=lambda s: (loss(s.value), s.case))


def choose(evaluated: Evaluated, view: View) -> list[Chosen]:
    """Returns the best, the median and the worst case; fewer when the evaluation has fewer than three."""
    rows = ranked(evaluated, view)
    cases = {case.case: case for case in evaluated.evaluation.cases}
    rows = [row for row in rows if row.case in cases]
    n = len(rows)
    titles = {0: "Best", (n - 1) // 2: "Median", n - 1: "Worst"} if n > 2 else {0: "Best", 1: "Worst"}
    if n == 1:
        titles = {0: "Only"}
    return [
        Chosen(title, cases[rows[at].case], at + 1, n, view.metric, rows[at].value, rows[at].unit)
        for at, title in sorted(titles.items())
        if at < n
    ]


def middle_rank(chosen: Sequence[Chosen]) -> int:
    """Returns the middle rank, the better one of two; 0 without a case.

    Args:
        chosen: see `choose`.
    """
    return (chosen[0].of + 1) // 2 if chosen else 0
