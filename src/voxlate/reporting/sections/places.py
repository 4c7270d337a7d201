"""The places in which a report judges the synthetic images: the whole mask, lesions, their rim, enhancing vessels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from voxlate.evaluation.enhancement import PROTOCOL as ENHANCEMENT
from voxlate.evaluation.enhancement import RESIDUAL
from voxlate.evaluation.schema.results import Evaluated
from voxlate.reporting.case_selection import View
from voxlate.reporting.sections.verdicts import MethodComparison, compare_with

SIMPLE_METHODS = ("histogram_match", "constant")
"""Baselines that need no network; the better one of them is shown in each place."""

_NAMES = {
    "mask": ("inside the mask", "inside the mask"),
    "lesion": ("in lesions", "in lesions"),
    "lesion_rim": ("in the rim of lesions", "around lesions"),
    "enhanced": ("in enhancing voxels", "where contrast agent enhances"),
    "enhanced_lesion": ("in enhancing lesions", "in enhancing lesions"),
    "enhanced_elsewhere": ("in enhancing vessels and elsewhere", "in enhancing vessels"),
}
"""Names of regions within a sentence, long and short. `enhanced_elsewhere` lies beyond lesions and their rim: mostly
vessels, and dura and mucosa."""

_LESIONS = ("lesion", "lesion_rim")
_ENHANCED_PARTS: tuple[str, ...] = ("enhanced_lesion", "enhanced_elsewhere")


@dataclass(frozen=True)
class Place:
    """A place and how the synthetic images compare with the untouched source and the best simple method there.

    Attributes:
        name: such as `in lesions`.
        short: the name in a sentence of several places.
        metric: name of the metric.
        source: comparison with the untouched source; None when it has no scores.
        simple: comparison with the simple method that has the best mean; None without one.
    """

    name: str
    short: str
    metric: str
    source: MethodComparison | None
    simple: MethodComparison | None


def places_of(evaluated: Evaluated, view: View) -> list[Place]:
    """Returns the places that have scores of the synthetic images, the whole mask first.

    Args:
        evaluated: an evaluation folder.
        view: its region is the first place, its metric the one of that place, of lesions and of their rim.
    """
    found = [_place(evaluated, where) for where in _views(evaluated, view)]
    return [place for place in found if place is not None]


def _views(evaluated: Evaluated, view: View) -> Iterator[View]:
    yield view
    for region in _LESIONS:
        if region != view.region:
            yield View(view.protocol, region, metric=view.metric)
    rows = evaluated.evaluation.summary
    regions = {
        row.region for row in rows if (row.protocol, row.metric, row.method) == (ENHANCEMENT, RESIDUAL, "synthetic")
    }
    parts = [region for region in _ENHANCED_PARTS if region in regions]
    for region in parts or [region for region in ("enhanced",) if region in regions]:
        yield View(ENHANCEMENT, region, metric=RESIDUAL)


def _place(evaluated: Evaluated, view: View) -> Place | None:
    source = compare_with(evaluated, view, view.metric, "source")
    simple = [compare_with(evaluated, view, view.metric, other) for other in SIMPLE_METHODS]
    known = [comparison for comparison in simple if comparison is not None]
    best = min(known, key=lambda comparison: _or_last(comparison.their_loss), default=None)
    name, short = _NAMES.get(view.region, (f"in {view.region.replace('_', ' ')}",) * 2)
    return None if source is None and best is None else Place(name, short, view.metric, source, best)


def _or_last(loss: float) -> float:
    return math.inf if math.isnan(loss) else loss
