"""Tables of the tests between methods, of equivalence within a margin, and of the folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from voxlate.evaluation.comparison.schema import ComparedTest, FoldRow, JoinedRow, SystemsComparison
from voxlate.evaluation.comparison.testing import WHOLE_REGIONS, is_leading
from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.protocols import AS_WRITTEN
from voxlate.evaluation.statistics import MINIMUM_PATIENTS
from voxlate.reporting.comparison.view import CORRECTIONS, TEST_NAMES, name_of, set_name
from voxlate.web import labels
from voxlate.web.document import note
from voxlate.web.html import Child, Html, tag
from voxlate.web.tables import Column, Group, table

_NUMBERS = (
    "n",
    "A − B (95 % interval)",
    "t",
    "Wilcoxon",
    "permutation",
    "m",
    "Bonferroni",
    "Holm",
    "d",
    "scans",
    "slices",
)
"""Numeric columns of the table of tests, behind the pair; `_SPANS` are the headings above them."""

_SPANS: tuple[tuple[Child, int], ...] = (
    (None, 3),
    ("p of the paired tests", 3),
    (None, 1),
    ("p adjusted", 2),
    (None, 1),
    ("p of the independent t", 2),
)

INDEPENDENT = (
    "Independent t is the independent-samples t-test, as Li 2022 printed it: it takes the images of two methods for "
    "images of different people, and several scans or all slices of a patient for several patients "
    "(pseudo-replication). Slices of a patient are not independent, so the p over slices is far too small. Both are "
    "here to be compared with such tables, and give no star."
)


def tests_between(comparison: SystemsComparison) -> Html | None:
    """Returns the tests of the leading metrics, those of two systems first; None without any."""
    tests = [test for test in comparison.tests if test.is_leading and test.intensity == AS_WRITTEN]
    questions = {"two systems": "systems against each other", "system and baseline": "systems against baselines"}
    first = comparison.protocols[0].name
    parts = []
    for protocol in _protocols(comparison, tests):
        for question, title in questions.items():
            own = [test for test in tests if (test.protocol, test.question) == (protocol, question)]
            if own:
                opened = True if protocol == first and question == "two systems" else None
                summary = tag("summary", f"{protocol}, {title}: {labels.count(len(own), 'test')}")
                parts.append(tag("details", summary, _tests_table(own), open=opened))
    if not parts:
        return None
    run = sum(test.m > 0 for test in comparison.tests)
    how = (
        f"Paired over patients. Stars and marks of this page use the {TEST_NAMES[comparison.test]}, "
        f"{CORRECTIONS[comparison.correction]}; m is the number of tests of the family: one protocol, one question, "
        "all sets, the leading metrics (MAE, PSNR, SSIM; AVD of tissues; residual enhancement) together. d: mean "
        f"difference over its standard deviation. {INDEPENDENT} comparison.json holds all {run:,} tests of this run, "
        "those of the other metrics and regions too."
    )
    return tag("div", parts, note(how))


def _tests_table(tests: Sequence[ComparedTest]) -> Html:
    columns = [Column("A and B"), *(Column(title, is_number=True) for title in _NUMBERS)]
    return table(columns, _grouped(tests, _test_row), label="Tests", class_="small", spans=_SPANS)


def _grouped(tests: Sequence[ComparedTest], row: Callable[[ComparedTest], Sequence[Child]]) -> list[Group]:
    """Returns the rows of tests under headings of set, metric and unit."""
    places = dict.fromkeys((test.set, test.region, test.metric) for test in tests)
    groups = []
    for place in places:
        own = [test for test in tests if (test.set, test.region, test.metric) == place]
        groups.append(Group(f"{set_name(place[0])} · {_metric(own[0])}", [row(test) for test in own]))
    return groups


def _test_row(test: ComparedTest) -> Sequence[Child]:
    decimals = labels.decimals_for([test.mean_difference])
    has_interval = test.ci_low is not None and test.ci_high is not None
    interval = f" ({labels.number(test.ci_low, decimals)} to {labels.number(test.ci_high, decimals)})"
    numbers: list[Child] = [
        str(test.n),
        [labels.number(test.mean_difference, decimals), "*" * test.is_significant, interval if has_interval else ""],
        *(labels.p_value(p) for p in (test.p_t, test.p_wilcoxon, test.p_permutation)),
        str(test.m or labels.MISSING),
        *(labels.p_value(p) for p in (test.p_bonferroni, test.p_holm)),
        labels.number(test.effect_size, 2),
        labels.p_value(test.p_independent_t),
        labels.p_value(test.p_independent_slices),
    ]
    return [_pair(test), *numbers]


def _pair(test: ComparedTest) -> str:
    return f"{name_of(test.first)} − {name_of(test.second)}"


def _metric(row: ComparedTest | FoldRow | JoinedRow) -> str:
    where = "" if row.region in (*WHOLE_REGIONS, "enhanced") else f" ({row.region.replace('_', ' ')})"
    unit = f", {labels.unit(row.unit)}" if row.unit else ""
    return f"{metric_of(row.metric).label}{where}{unit}"


def equivalence(comparison: SystemsComparison) -> Html | None:
    """Returns the tests against the stated margins; None without a margin."""
    tests = [t for t in comparison.tests if t.equivalence is not None and t.is_leading and t.intensity == AS_WRITTEN]
    if not tests:
        return None
    columns = [Column("A and B")]
    columns += [Column(title, is_number=True) for title in ("n", "A − B", "Margin", "Interval", "p (TOST)")]
    columns += [Column("Equivalent"), Column("p", is_number=True), Column("A not worse")]
    parts = []
    for protocol in _protocols(comparison, tests):
        own = [test for test in tests if test.protocol == protocol]
        rows = table(columns, _grouped(own, _equivalence_row), label="Equivalence", class_="small")
        opened = True if protocol == comparison.protocols[0].name else None
        parts.append(tag("details", tag("summary", f"{protocol}: {labels.count(len(own), 'pair')}"), rows, open=opened))
    text = (
        "Two one-sided tests (TOST) against a margin that was stated for this run. Shown: the difference is smaller "
        "than the margin, the interval (coverage 1 − 2 alpha) lies within it. Not shown: neither equality nor a "
        "difference. Not worse: A is worse than B by less than the margin (one-sided). These p are not adjusted."
    )
    return tag("div", parts, note(" ".join([text, *_other_protocols(comparison)])))


def _other_protocols(comparison: SystemsComparison) -> Iterator[str]:
    """Yields the protocols whose tests have no margin, because it was stated in the unit of another protocol."""
    by_metric: dict[str, dict[str, bool]] = {}
    for test in comparison.tests:
        if test.n >= MINIMUM_PATIENTS:
            protocols = by_metric.setdefault(test.metric, {})
            protocols[test.protocol] = protocols.get(test.protocol, False) or test.equivalence is not None
    for metric, protocols in by_metric.items():
        with_margin = [name for name, has in protocols.items() if has]
        without = [name for name, has in protocols.items() if not has]
        if with_margin and without:
            yield (
                f"The margin of {metric_of(metric).label} is in the unit of {' and '.join(with_margin)}; not tested "
                f"for equivalence: {', '.join(without)} (state --margin {metric}@{without[0]}=VALUE before a run)."
            )


def _protocols(comparison: SystemsComparison, tests: Sequence[ComparedTest]) -> list[str]:
    """Returns the protocols of the tests, that of the main table first."""
    names = {test.protocol for test in tests}
    return [protocol.name for protocol in comparison.protocols if protocol.name in names]


def _equivalence_row(test: ComparedTest) -> Sequence[Child]:
    result, not_worse = test.equivalence, test.non_inferiority
    if result is None:
        return []
    decimals = labels.decimals_for([result.margin, test.mean_difference])
    return [
        _pair(test),
        str(test.n),
        labels.number(test.mean_difference, decimals),
        f"± {result.margin:g} {labels.unit(test.unit)}".rstrip(),
        f"{labels.number(result.low, decimals)} to {labels.number(result.high, decimals)}",
        labels.p_value(result.p),
        "shown" if result.is_shown else "not shown",
        labels.MISSING if not_worse is None else labels.p_value(not_worse.p),
        labels.MISSING if not_worse is None else "shown" if not_worse.is_shown else "not shown",
    ]


def folds(comparison: SystemsComparison) -> Html | None:
    """Returns the leading metrics of each fold and joined over folds; None without a cross-validation."""
    joined = [row for row in comparison.joined if row.intensity == AS_WRITTEN and is_leading(row.region, row.metric)]
    if not joined:
        return None
    numbers = sorted({row.fold for row in comparison.folds})
    columns = [Column("Method", is_row_header=True)]
    columns += [Column(f"Fold {number}", is_number=True) for number in numbers]
    columns += [Column("Mean of folds ± SD between", is_number=True), Column("Patients ± SD", is_number=True)]
    means = {_fold_key(row): row for row in comparison.folds}
    groups = []
    for place in dict.fromkeys((row.protocol, row.set, row.region, row.metric) for row in joined):
        own = [row for row in joined if (row.protocol, row.set, row.region, row.metric) == place]
        title = f"{place[0]}{f' · {place[1]}' if place[1] else ''} · {_metric(own[0])}"
        groups.append(Group(title, [_joined_row(row, numbers, means) for row in own]))
    text = (
        "Each fold was translated by the network that never saw its patients; small figures: patients or folds. A mean "
        "of folds counts each fold once, the last column each patient once. The spread between folds is no standard "
        "error: their training cases overlap."
    )
    return tag("div", table(columns, groups, label="Folds", class_="small"), note(text))


FoldKey = tuple[str, str, str, str, str, str, int]


def _fold_key(row: FoldRow) -> FoldKey:
    return row.set, row.protocol, row.intensity, row.region, row.metric, row.method, row.fold


def _joined_row(row: JoinedRow, numbers: Sequence[int], means: dict[FoldKey, FoldRow]) -> Sequence[Child]:
    key = (row.set, row.protocol, row.intensity, row.region, row.metric, row.method)
    own = [means.get((*key, number)) for number in numbers]
    decimals = labels.decimals_for([row.mean_of_folds])
    cells = [
        labels.MISSING if fold is None else [labels.number(fold.mean, decimals), tag("small", f" {fold.n}")]
        for fold in own
    ]
    ends = ((row.mean_of_folds, row.sd_between_folds, row.folds), (row.mean, row.sd, row.n))
    joined = [
        [
            labels.mean_and_sd(mean, sd, decimals),
            tag("small", f" {n}"),
        ]
        for mean, sd, n in ends
    ]
    return [name_of(row.method), *cells, *joined]
