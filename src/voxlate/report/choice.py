"""Which cases are shown: best, median and worst by the rank of one score, never by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass

from voxlate.report.reading import Case, Evaluated, Score

RULE = (
    "Cases are ranked by the MAE of the synthetic image inside the mask (ties by name). Shown are rank 1, the middle "
    "rank (the better one of two) and the last rank."
)


@dataclass(frozen=True)
class View:
    """The scores a report leads with: one protocol, one region, intensities as the images have them."""

    protocol: str
    region: str
    intensity: str = "as_written"

    def holds(self, row: Score) -> bool:
        """Tells whether a score belongs to this view."""
        return (row.protocol, row.region, row.intensity) == (self.protocol, self.region, self.intensity)


@dataclass(frozen=True)
class Chosen:
    """A case that is shown, and why.

    Attributes:
        title: `Best`, `Median`, `Worst` or `Only`.
        rank: its place by MAE, 1 is the best.
        of: how many cases have a rank.
        mae: the score it was ranked by, in `unit`.
    """

    title: str
    case: Case
    rank: int
    of: int
    mae: float
    unit: str


def leading_view(evaluated: Evaluated) -> View:
    """Returns the first protocol and the first region that scores the synthetic image's MAE in it."""
    names = [protocol.name for protocol in evaluated.evaluation.protocols]
    scored = [s for s in evaluated.scores if (s.method, s.metric, s.intensity) == ("synthetic", "mae", "as_written")]
    for name in names:
        for score in scored:
            if score.protocol == name:
                return View(name, score.region)
    return View(names[0], evaluated.scores[0].region if evaluated.scores else "mask")


def ranked(evaluated: Evaluated, view: View) -> list[Score]:
    """Returns the finite MAE scores of the synthetic images, best first, ties by case name."""
    rows = [s for s in evaluated.scores if view.holds(s) and (s.method, s.metric) == ("synthetic", "mae")]
    return sorted((s for s in rows if math.isfinite(s.value)), key=lambda s: (s.value, s.case))


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
        Chosen(title, cases[rows[at].case], at + 1, n, rows[at].value, rows[at].unit)
        for at, title in sorted(places.items())
        if at < n
    ]
