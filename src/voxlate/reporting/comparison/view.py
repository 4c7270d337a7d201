"""What the report of a comparison shows: tables and their columns, names of methods, rows, tests, best values."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from voxlate.evaluation.comparison.schema import ComparedSummary, ComparedTest, SystemsComparison
from voxlate.evaluation.comparison.testing import WHOLE_REGIONS, is_leading
from voxlate.evaluation.enhancement import PROTOCOL as ENHANCEMENT
from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.protocols import AS_WRITTEN, LINEAR_FIT
from voxlate.reporting.sections.quality import INTENSITIES
from voxlate.web import labels

SOURCE = "source"
TISSUES = "tissues_"
"""Beginning of the protocols of tissue volumes, each of one segmenter."""

MOST_COLUMNS = 6
"""Columns of the first table beside its leading metrics; chosen by hand, as many as fit on a page."""

TEST_NAMES = {
    "permutation": "sign-flip permutation test",
    "t": "paired t-test",
    "wilcoxon": "Wilcoxon signed-rank test",
}
CORRECTIONS = {"none": "not adjusted", "bonferroni": "adjusted by Bonferroni", "holm": "adjusted by Holm"}

Place = tuple[str, str]
"""Region and metric: a column of a table."""


@dataclass(frozen=True)
class TableView:
    """A table: one protocol and kind of intensities, and its columns.

    Attributes:
        title: heading.
        places: columns in order.
        has_regions: whether headings name the regions, because columns differ in them.
    """

    title: str
    protocol: str
    intensity: str
    places: tuple[Place, ...]
    has_regions: bool = False


def name_of(method: str) -> str:
    """Returns how tables name a method: baselines by their labels, systems as the user named them."""
    return labels.METHODS.get(method, method)


def set_name(name: str) -> str:
    """Returns the title of a set; cases without one have a title too."""
    return name or "All cases"


def methods_of(comparison: SystemsComparison) -> list[str]:
    """Returns baselines, references and systems, in the order of every table."""
    return [*comparison.baselines, *comparison.references, *comparison.system_names]


def main_view(comparison: SystemsComparison) -> TableView:
    """Returns the table that a paper would print: the first protocol, intensities as written, leading metrics first.

    A published protocol has few metrics, which are all shown, such as the PSNR of the tumour in Chen 2022 and the
    Tenengrad in Li 2022; of the many metrics of the default protocol the leading ones are.
    """
    protocol = comparison.protocols[0].name
    places = _places(comparison, protocol, AS_WRITTEN)
    leading = [place for place in places if is_leading(*place)]
    rest = [place for place in places if place not in leading]
    shown = (*leading, *rest) if len(places) <= MOST_COLUMNS else tuple(leading or places[:MOST_COLUMNS])
    has_regions = len({region for region, _ in shown}) > 1
    return TableView(f"Protocol {protocol}", protocol, AS_WRITTEN, shown, has_regions)


def other_views(comparison: SystemsComparison) -> Iterator[TableView]:
    """Yields all tables but the main one: contrast agent, tissue volumes, and every protocol by region."""
    main = main_view(comparison)
    for protocol in [one.name for one in comparison.protocols]:
        for intensity in (AS_WRITTEN, LINEAR_FIT):
            places = _places(comparison, protocol, intensity)
            if not places:
                continue
            if protocol == ENHANCEMENT:
                yield TableView("Contrast agent", protocol, intensity, tuple(places), has_regions=True)
            elif protocol.startswith(TISSUES):
                yield from _tissue_views(protocol, intensity, places)
            else:
                title = f"Protocol {protocol}, {INTENSITIES[intensity][:1].lower()}{INTENSITIES[intensity][1:]}"
                for view in _by_region(protocol, intensity, places, title):
                    in_main = (view.protocol, view.intensity) == (main.protocol, main.intensity)
                    if not in_main or not set(view.places) <= set(main.places):
                        yield view


def _tissue_views(protocol: str, intensity: str, places: Sequence[Place]) -> Iterator[TableView]:
    name = protocol.removeprefix(TISSUES)
    for metric in dict.fromkeys(metric for _, metric in places):
        own = tuple(place for place in places if place[1] == metric)
        title = f"Tissues segmented by {name}: {metric_of(metric).label}"
        yield TableView(title, protocol, intensity, own, has_regions=True)


def _by_region(protocol: str, intensity: str, places: Sequence[Place], title: str) -> Iterator[TableView]:
    for region in dict.fromkeys(region for region, _ in places):
        where = f"{title}, region {region.replace('_', ' ')}"
        yield TableView(where, protocol, intensity, tuple(place for place in places if place[0] == region))


def _places(comparison: SystemsComparison, protocol: str, intensity: str) -> list[Place]:
    rows = comparison.summary
    found = [(row.region, row.metric) for row in rows if (row.protocol, row.intensity) == (protocol, intensity)]
    whole = [place for place in dict.fromkeys(found) if place[0] in WHOLE_REGIONS]
    return whole + [place for place in dict.fromkeys(found) if place not in whole]


class Results:
    """The rows and tests of a comparison, found by set, method and column."""

    def __init__(self, comparison: SystemsComparison) -> None:
        """Args: comparison: content of `comparison.json`."""
        self.comparison = comparison
        self._rows = {_row_key(row): row for row in comparison.summary}
        self._columns: dict[tuple[str, str, str, str], list[ComparedSummary]] = defaultdict(list)
        for row in comparison.summary:
            self._columns[row.protocol, row.intensity, row.region, row.metric].append(row)
        self._tests = {
            _test_key(test, first, second): test for test in comparison.tests for first, second in _both(test)
        }

    def row(self, view: TableView, name: str, method: str, place: Place) -> ComparedSummary | None:
        """Returns a row of the summary; None when the method has no score there."""
        return self._rows.get((name, view.protocol, view.intensity, *place, method))

    def column(self, view: TableView, place: Place) -> list[ComparedSummary]:
        """Returns the rows of all sets and methods in one column."""
        return self._columns[view.protocol, view.intensity, *place]

    def test(self, view: TableView, name: str, first: str, second: str, place: Place) -> ComparedTest | None:
        """Returns the test of two methods, in either order; None when they were not compared."""
        return self._tests.get((name, view.protocol, view.intensity, *place, first, second))

    def best(self, view: TableView, name: str, place: Place) -> str:
        """Returns the baseline or system with the best mean; an empty text when the metric has no direction."""
        candidates = [*self.comparison.baselines, *self.comparison.system_names]
        means = {}
        for method in candidates:
            row = self.row(view, name, method, place)
            if row is not None and not math.isnan(row.loss):
                means[method] = row.loss
        return min(means, key=lambda method: means[method]) if len(means) > 1 else ""

    def n(self, view: TableView, name: str) -> str:
        """Returns the number of patients of a set over all methods, as a range where it differs."""
        place = (name, view.protocol, view.intensity)
        return labels.extent(row.n for key, row in self._rows.items() if key[:3] == place)


Key = tuple[str, str, str, str, str, str]


def _row_key(row: ComparedSummary) -> Key:
    return row.set, row.protocol, row.intensity, row.region, row.metric, row.method


def _both(test: ComparedTest) -> Iterator[tuple[str, str]]:
    yield test.first, test.second
    yield test.second, test.first


def _test_key(test: ComparedTest, first: str, second: str) -> tuple[str, str, str, str, str, str, str]:
    return test.set, test.protocol, test.intensity, test.region, test.metric, first, second
