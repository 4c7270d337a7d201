"""Tests between the methods of a comparison, families of tests, and tests against a margin.

A family holds the tests of one protocol, one kind of intensities and one question (systems against baselines, or
systems against each other), over all sets and metrics, the leading metrics apart from the rest: adjusted together with
dozens of other tests, the few that a paper prints could not show any difference.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from voxlate.evaluation.comparison.margins import Margins
from voxlate.evaluation.comparison.schema import ComparedTest, MarginRow, Question
from voxlate.evaluation.comparison.settings import ComparisonSettings
from voxlate.evaluation.comparison.tables import ScoreTables
from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.protocols import SLICE_COUNT, SLICE_SD
from voxlate.evaluation.schema.table import (
    PRIMARY_METRICS,
    MetricKey,
    ScoreTable,
)
from voxlate.evaluation.statistics import (
    MINIMUM_PATIENTS,
    MarginResult,
    Summary,
    bonferroni,
    holm,
    independent_t,
    independent_t_of_groups,
    non_inferiority,
    tost,
)
from voxlate.evaluation.statistics.samples import Values

WHOLE_REGIONS = ("mask", "box", "slices")
"""Regions over which protocols measure the whole image."""

_LEADING_ELSEWHERE = {"avd": ("GM", "WM", "CSF"), "residual_enhancement": ("enhanced",)}
"""Leading metrics of tissue volumes and of the contrast agent, and their regions."""


def is_leading(region: str, metric: str) -> bool:
    """Returns whether a metric is one that a comparison is about, in the whole region that it is measured in."""
    if metric in PRIMARY_METRICS:
        return region in WHOLE_REGIONS
    return region in _LEADING_ELSEWHERE.get(metric, ())


def compare_methods(
    tables: ScoreTables,
    systems: Sequence[str],
    baselines: Sequence[str],
    settings: ComparisonSettings,
    *,
    protocols: Sequence[str] = (),
) -> list[ComparedTest]:
    """Returns the tests of every system against every baseline and every other system, adjusted within families.

    Args:
        tables: scores by set.
        systems: names in order; a difference is that of the earlier minus the later system.
        baselines: names in order; a difference is system − baseline.
        settings: correction, levels and margins.
        protocols: names in the order of the run, of which the first that measures a metric has its margin; without
            them the order of the scores counts.
    """
    pairs: list[tuple[Question, str, str]] = [
        ("system and baseline", system, baseline) for system in systems for baseline in baselines
    ]
    pairs += [("two systems", first, second) for first, second in combinations(systems, 2)]
    margins = Margins(settings.margins, tables, protocols)
    tests = [
        _test(name, table, key, pair, settings, margins.of(key, table.unit(key)))
        for name, table in tables.items()
        for key in table.measured()
        for pair in pairs
        if table.scores(key, pair[1]) and table.scores(key, pair[2])
    ]
    return list(_adjusted(tests, settings))


def _test(
    set_name: str,
    table: ScoreTable,
    key: MetricKey,
    pair: tuple[Question, str, str],
    settings: ComparisonSettings,
    margin: float | None,
) -> ComparedTest:
    question, first, second = pair
    paired = table.test(key, first, second)
    chosen = {"permutation": paired.p_permutation, "t": paired.p_t, "wilcoxon": paired.p_wilcoxon}[settings.test]
    scans = [np.array([v for own in table.scores(key, name).values() for v in own]) for name in (first, second)]
    slices = [_slices(table, key, name) for name in (first, second)]
    against_margin = _against_margin(table, key, (first, second), margin, settings.alpha_of(key.metric))
    return ComparedTest(
        set=set_name,
        question=question,
        **key._asdict(),
        unit=table.unit(key),
        is_leading=is_leading(key.region, key.metric),
        first=first,
        second=second,
        n=paired.n,
        mean_difference=paired.mean_difference,
        ci_low=paired.ci_low,
        ci_high=paired.ci_high,
        interval=paired.interval,
        p_t=paired.p_t,
        p_wilcoxon=paired.p_wilcoxon,
        p_permutation=paired.p_permutation,
        p_independent_t=_independent(scans),
        n_scans=(scans[0].size, scans[1].size),
        p_independent_slices=_independent_slices(slices),
        n_slices=(_number(slices[0]), _number(slices[1])),
        effect_size=paired.effect_size,
        m=0,
        p_none=chosen,
        p_bonferroni=None,
        p_holm=None,
        p_adjusted=None,
        alpha=settings.alpha_of(key.metric),
        is_significant=False,
        equivalence=against_margin[0],
        non_inferiority=against_margin[1],
        note=paired.note or "",
    )


def _independent(scans: Sequence[Values]) -> float | None:
    if min(values.size for values in scans) < MINIMUM_PATIENTS:
        return None
    return independent_t(*scans).p


def _slices(table: ScoreTable, key: MetricKey, method: str) -> list[Summary]:
    """Returns number, mean and spread of the slices of each scan; none for a metric that is no mean of slices."""
    places = (key._replace(region=SLICE_COUNT), key, key._replace(region=SLICE_SD))
    counts, means, sds = ([v for own in table.scores(place, method).values() for v in own] for place in places)
    if key.region != "slices" or not counts:
        return []
    return [Summary(int(n), mean, sd) for n, mean, sd in zip(counts, means, sds, strict=True)]


def _number(slices: Sequence[Summary]) -> int:
    return sum(group.number for group in slices)


def _independent_slices(slices: Sequence[Sequence[Summary]]) -> float | None:
    if min(len(groups) for groups in slices) < MINIMUM_PATIENTS:
        return None
    return independent_t_of_groups(*slices).p


def _against_margin(
    table: ScoreTable, key: MetricKey, names: tuple[str, str], margin: float | None, alpha: float
) -> tuple[MarginRow | None, MarginRow | None]:
    """Returns the tests of equivalence and of non-inferiority; None without a margin or with too few patients."""
    first, second = table.paired(key, *names)
    if margin is None or first.size < MINIMUM_PATIENTS:
        return None, None
    equivalent = _margin_row(tost(first, second, margin=margin, alpha=alpha), margin)
    match metric_of(key.metric).better:
        case "lower" | "higher" as better:
            not_worse = non_inferiority(first, second, margin=margin, better=better, alpha=alpha)
            return equivalent, _margin_row(not_worse, margin)
    return equivalent, None


def _margin_row(result: MarginResult, margin: float) -> MarginRow:
    return MarginRow(margin=margin, low=result.low, high=result.high, p=result.p, is_shown=result.is_shown)


def _adjusted(tests: Sequence[ComparedTest], settings: ComparisonSettings) -> Iterator[ComparedTest]:
    """Yields the tests with their p adjusted for the number of tests of the family that have a p."""
    families: dict[tuple[str, str, str, bool], list[int]] = defaultdict(list)
    for index, test in enumerate(tests):
        if test.p_none is not None and math.isfinite(test.p_none):
            families[test.protocol, test.intensity, test.question, test.is_leading].append(index)
    changes: dict[int, dict[str, float | int | bool]] = {}
    for members in families.values():
        raw = [tests[index].p_none or 0.0 for index in members]
        adjusted = {"none": np.array(raw), "bonferroni": bonferroni(raw), "holm": holm(raw)}
        for place, index in enumerate(members):
            p = float(adjusted[settings.correction][place])
            changes[index] = {
                "m": len(members),
                "p_bonferroni": float(adjusted["bonferroni"][place]),
                "p_holm": float(adjusted["holm"][place]),
                "p_adjusted": p,
                "is_significant": p < tests[index].alpha,
            }
    for index, test in enumerate(tests):
        yield test.model_copy(update=changes.get(index, {}))
