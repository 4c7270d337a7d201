"""The result of a comparison as lines of text: the leading metrics of every method, set by set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voxlate.evaluation.comparison.schema import ComparedSummary, SystemsComparison
from voxlate.evaluation.comparison.testing import is_leading
from voxlate.evaluation.enhancement import PROTOCOL as ENHANCEMENT
from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.protocols import AS_WRITTEN


def leading_rows(comparison: SystemsComparison, name: str) -> list[ComparedSummary]:
    """Returns the rows of the leading metrics of a set, intensities as written."""
    return [
        row
        for row in comparison.summary
        if (row.set, row.intensity) == (name, AS_WRITTEN) and is_leading(row.region, row.metric)
    ]


def result_lines(comparison: SystemsComparison) -> Iterator[str]:
    """Yields one line per system that lacks scores or has collapsed, and one per set and metric of the main protocols.

    Those are the first protocol and, where a contrast agent is removed or added, what is left of its enhancement.
    """
    for system in comparison.systems:
        if system.reason:
            yield f"{system.name}: {system.reason}"
    shown = (ENHANCEMENT, comparison.protocols[0].name)
    for name in comparison.sets:
        rows = [row for row in leading_rows(comparison, name) if row.protocol in shown]
        for place in dict.fromkeys((row.protocol, row.region, row.metric) for row in rows):
            own = [row for row in rows if (row.protocol, row.region, row.metric) == place]
            metric = metric_of(place[2])
            title = f"{metric.label} {own[0].unit}".rstrip()
            where = f"{place[0]}, {place[1]}{f', {name}' if name else ''}"
            yield f"{title} ({where}): {'; '.join(_cells(own))}"


def _cells(rows: Sequence[ComparedSummary]) -> Iterator[str]:
    for row in rows:
        if row.mean is not None:
            spread = "" if row.sd is None else f" ± {row.sd:.3g}"
            yield f"{row.method} {row.mean:.3g}{spread} (n = {row.n})"
