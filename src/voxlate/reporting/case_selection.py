"""Which cases are shown: best, median and worst by the rank of one score, never by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass

from voxlate.evaluation.results import Evaluated, EvaluatedCase, ScoreRow
from voxlate.reporting import labels

_RANKING = ("mae", "rmse", "ssim", "psnr", "ms_ssim")
"""Metrics by which cases can be ranked: the first that the protocol has."""


@dataclass(frozen=True)
class View:
    """The scores a report leads with: one protocol, one region, intensities as the images have them.

    Attributes:
        metric: by which cases are ranked.
    """

    protocol: str
    region: str
    intensity: str = "as_written"
    metric: str = "mae"

    @property
    def rule(self) -> str:
        """Returns how the cases that are shown were chosen."""
        return (
            f"Cases are ranked by the {labels.metric(self.metric).label} of the synthetic image in region "
            f"{self.region.replace('_', ' ')} (ties by name). Shown are rank 1, the middle rank (the better one of "
            "two) and the last rank."
        )

    def holds(self, row: ScoreRow) -> bool:
        """Tells whether a score belongs to this view."""
        return (row.protocol, row.region, row.intensity) == (self.protocol, self.region, self.intensity)


@dataclass(frozen=True)
class Chosen:
    """A case that is shown, and why.

    Attributes:
        title: `Best`, `Median`, `Worst` or `Only`.
        rank: its place, 1 is the best.
        of: how many cases have a rank.
        metric: what it was ranked by.
        value: of that metric, in `unit`.
    """

    title: str
    case: EvaluatedCase
    rank: int
    of: int
    metric: str
    value: float
    unit: str


def leading_view(evaluated: Evaluated) -> View:
    """Returns the first protocol and region in which the synthetic image has a metric that cases can be ranked by."""
    names = [protocol.name for protocol in evaluated.evaluation.protocols]
    ours = [s for s in evaluated.scores if (s.method, s.intensity) == ("synthetic", "as_written")]
    for metric in _RANKING:
        for name in names:
            for score in ours:
                if (score.protocol, score.metric) == (name, metric):
                    return View(name, score.region, metric=metric)
    return View(names[0], evaluated.scores[0].region if evaluated.scores else "mask")


def ranked(evaluated: Evaluated, view: View) -> list[ScoreRow]:
    """Returns the scores of the synthetic images by the view's metric, best first, ties by case name; no NaN."""
    rows = [s for s in evaluated.scores if view.holds(s) and (s.method, s.metric) == ("synthetic", view.metric)]
    loss = labels.metric(view.metric).loss
    return sorted((s for s in rows if not math.isnan(s.value)), key=lambda s: (loss(s.value), s.case))


def choose(evaluated: Evaluated, view: View) -> list[Chosen]:
    """Returns the best, the median and the worst case; fewer when there are fewer than three."""
    rows = ranked(evaluated, view)
    cases = {case.case: case for case in evaluated.evaluation.cases}
    rows = [row for row in rows if row.case in cases]
    n = len(rows)
    places = {0: "Best", (n - 1) // 2: "Median", n - 1: "Worst"} if n > 2 else {0: "Best", 1: "Worst"}
    if n == 1:
        places = {0: "Only"}
    return [
        Chosen(title, cases[rows[at].case], at + 1, n, view.metric, rows[at].value, rows[at].unit)
        for at, title in sorted(places.items())
        if at < n
    ]
