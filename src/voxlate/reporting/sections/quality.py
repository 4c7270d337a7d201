"""Tables of image quality: the metrics of all methods, and the tests of each method against the synthetic image."""

from __future__ import annotations

from collections.abc import Sequence

from voxlate.evaluation.metrics import metric_of
from voxlate.evaluation.schema.results import Comparison, Evaluation, ProtocolDefinition, SummaryRow
from voxlate.evaluation.schema.table import is_leading_in_mask
from voxlate.web import labels
from voxlate.web.document import note
from voxlate.web.html import Child, Html, tag
from voxlate.web.tables import Cell, Column, Group, table

LEVEL = 0.05
"""Significance level of the adjusted p; the convention of the field."""

INTENSITIES = {
    "as_written": "Intensities as written",
    "linear_fit": "After the best linear fit of intensities",
}
_INTENSITY_NOTES = {
    "as_written": "The images are compared as they are.",
    "linear_fit": (
        "Each image was first fitted to the target by one gain and one offset inside the mask. This separates errors "
        "of structure from errors of scale. The fit uses the target, so a user cannot obtain these images."
    ),
}


def tables(evaluation: Evaluation) -> list[Html]:
    """Returns one block per protocol and kind of intensities: heading, table, definition and tests."""
    blocks = []
    for protocol in evaluation.protocols:
        for intensity, title in INTENSITIES.items():
            rows = [r for r in evaluation.summary if (r.protocol, r.intensity) == (protocol.name, intensity)]
            if rows:
                tests = [c for c in evaluation.comparisons if (c.protocol, c.intensity) == (protocol.name, intensity)]
                blocks.append(_block(protocol, intensity, title, rows=rows, tests=tests, evaluation=evaluation))
    return blocks


def definitions(evaluation: Evaluation) -> Html:
    """Returns the definitions of the protocols and metrics of a report, each once."""
    protocols = [
        tag("div", tag("b", f"Protocol {protocol.name}. "), definition_of(protocol), class_="definition")
        for protocol in evaluation.protocols
    ]
    scored = dict.fromkeys(row.metric for row in evaluation.summary)
    known = [metric_of(name) for name in scored]
    terms = [
        (tag("dt", metric.label), tag("dd", "; ".join(part for part in (metric.meaning, metric.direction) if part)))
        for metric in known
        if metric.meaning
    ]
    return tag(
        "div", protocols, tag("div", tag("b", "Metrics"), tag("dl", terms), class_="definition") if terms else None
    )


def _block(
    protocol: ProtocolDefinition,
    intensity: str,
    title: str,
    *,
    rows: Sequence[SummaryRow],
    tests: Sequence[Comparison],
    evaluation: Evaluation,
) -> Html:
    remarks = [_INTENSITY_NOTES[intensity], "Mean ± standard deviation over n patients."]
    if _has_infinite_psnr(rows):
        remarks.append("n is a range where an image equals its target: its PSNR is infinite and not part of the mean.")
    remarks += [f"{labels.DATA_KINDS[evaluation.data_kind]}.", _star_note(tests)]
    return tag(
        "section",
        tag("h3", f"{title} ", tag("small", f"protocol {protocol.name}")),
        _quality_table(rows, tests, evaluation.methods),
        note(" ".join(remarks)),
        _tests(tests),
        class_="block",
    )


def _has_infinite_psnr(rows: Sequence[SummaryRow]) -> bool:
    """Returns whether the methods have the PSNR of different numbers of patients in a region."""
    numbers: dict[str, set[int]] = {}
    for row in rows:
        if row.metric == "psnr":
            numbers.setdefault(row.region, set()).add(row.n)
    return any(len(found) > 1 for found in numbers.values())


def _star_note(tests: Sequence[Comparison]) -> str:
    tested = [test for test in tests if test.comparisons]
    if not tested:
        reasons = "; ".join(dict.fromkeys(test.note for test in tests if test.note))
        return f"No test was run: {labels.without_paths(reasons)}." if reasons else "No test was run."
    # The two families of the block, that of the leading metrics first: it can be the larger one (two of three metrics).
    sizes = [size for _, size in sorted({(not is_leading_in_mask(t.region, t.metric), t.comparisons) for t in tested})]
    differs = f"* p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}{LEVEL} against the synthetic image"
    adjusted = f"adjusted for {labels.count(sizes[0], 'comparison')}"
    if sizes[-1] != sizes[0]:
        adjusted += f" (MAE, PSNR and SSIM in the mask; the others for {sizes[-1]})"
    is_primary = any(test.family == "primary" for test in tests)
    role = "The primary tests of this run are here" if is_primary else "All tests here are exploratory"
    return f"{differs}, {adjusted}. The star does not show the direction; compare the means. {role}."


def error_rate(evaluation: Evaluation) -> Html | None:
    """Returns what Holm's adjustment controls on this page and what it does not; None without tests."""
    tested = [test for test in evaluation.comparisons if test.p_adjusted is not None]
    families = {(test.protocol, test.intensity, test.family, test.comparisons) for test in tested}
    if not families:
        return None
    exploratory = sum(family != "primary" for _, _, family, _ in families)
    primary = evaluation.primary
    named = (
        f"Chosen before the run: {', '.join(metric_of(name).label for name in primary.metrics)} in the "
        f"{primary.region.replace('_', ' ')} by protocol {primary.protocol}, {primary.intensity.replace('_', ' ')}. "
        if primary
        else ""
    )
    rate = (
        f"Holm's adjustment limits the probability of any false star to {100 * LEVEL:g} % within one family of tests. "
        f"This page has {labels.count(len(tested), 'test')} in {len(families)} families, {exploratory} of them "
        f"exploratory. Even without any true difference, {LEVEL * len(families):.2g} families would show a star on "
        "average."
    )
    return note(f"{named}{rate}")


def definition_of(protocol: ProtocolDefinition) -> Html:
    """Returns the definition of a protocol, as text or as a list of its parts."""
    if isinstance(protocol.definition, str):
        return tag("span", labels.without_paths(protocol.definition))
    pairs = [
        (tag("dt", key.replace("_", " ")), tag("dd", labels.without_paths(_as_text(value))))
        for key, value in protocol.definition.items()
    ]
    return tag("dl", pairs)


def _as_text(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_as_text(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(_as_text(part) for part in value)
    return "none" if value is None else str(value)


def _quality_table(rows: Sequence[SummaryRow], tests: Sequence[Comparison], methods: Sequence[str]) -> Html:
    present = list(dict.fromkeys(row.method for row in rows))
    references = [method for method in present if method not in methods]  # such as the best intensity curve
    shown = [*references, *(method for method in methods if method in present)]
    columns = [Column("Metric", is_row_header=True), Column("n", is_number=True)]
    columns += [
        Column(labels.method(method), is_number=True, class_="ours" if method == "synthetic" else "")
        for method in shown
    ]
    groups = []
    for region in dict.fromkeys(row.region for row in rows):
        inside = [row for row in rows if row.region == region]
        lines = [_metric_row(m, inside, shown, tests=tests) for m in dict.fromkeys(row.metric for row in inside)]
        groups.append(Group(f"Region: {_region(region)}", lines))
    return table(columns, groups, label="Image quality by method")


def _metric_row(
    name: str, rows: Sequence[SummaryRow], methods: Sequence[str], *, tests: Sequence[Comparison]
) -> Sequence[Child | Cell]:
    metric = metric_of(name)
    by_method = {row.method: row for row in rows if row.metric == name}
    decimals = labels.decimals_for(row.mean for row in by_method.values())
    unit = next(row.unit for row in by_method.values())
    n = labels.extent(row.n for row in by_method.values())
    title = Cell([f"{metric.label} {metric.arrow} ", tag("small", unit)], hint=metric.meaning or None)
    return [title, n, *(_value(by_method.get(method), tests, decimals=decimals) for method in methods)]


def _value(row: SummaryRow | None, tests: Sequence[Comparison], *, decimals: int) -> Child:
    """Returns mean ± SD, with a star when the method differs significantly from the synthetic image."""
    if row is None:
        return labels.MISSING
    value = labels.mean_and_sd(row.mean, row.sd, decimals)
    star = tag("sup", "*") if _differs(row, tests) else tag("sup", class_="blank")
    return [value, star]


def _differs(row: SummaryRow, tests: Sequence[Comparison]) -> bool:
    pair = {row.method, "synthetic"}
    return any(
        test.p_adjusted is not None and test.p_adjusted < LEVEL
        for test in tests
        if {test.first, test.second} == pair and (test.metric, test.region) == (row.metric, row.region)
    )


_TEST_NUMBERS = (
    "n",
    "First − second",
    "95 % interval",
    "p (t)",
    "p (Wilcoxon)",
    "p (permutation)",
    "p adjusted",
    "m",
    "Effect size",
)
"""Numeric columns of the table of tests."""


def _number_of_tests(tests: Sequence[Comparison]) -> str:
    run = sum(test.p_permutation is not None for test in tests)
    if run == len(tests):
        return labels.count(run, "test")
    return f"{labels.count(len(tests), 'comparison')}, {run or 'none'} of them tested"


def _tests(tests: Sequence[Comparison]) -> Html | None:
    """Returns the table of tests; None where no row would say more than the means: without a test and an interval."""
    if all(test.p_permutation is None and test.ci_low is None for test in tests):
        return None
    columns = [Column(title) for title in ("Region", "Metric", "First", "Second")]
    columns += [Column(title, is_number=True) for title in _TEST_NUMBERS]
    columns.append(Column("Remark"))
    remark = (
        f"Paired over patients. {_interval_note(tests)}The adjusted p is that of the permutation test after Holm's "
        "correction for m comparisons."
    )
    rows = table(columns, [_test_row(test) for test in tests], label="Tests", class_="small")
    return tag("details", tag("summary", _number_of_tests(tests)), rows, note(remark))


def _interval_note(rows: Sequence[SummaryRow] | Sequence[Comparison]) -> str:
    """Returns how the intervals of a table were computed."""
    methods = sorted({row.interval for row in rows} - {""})
    return f"95 % intervals: {', '.join(methods)}. " if methods else ""


def _test_row(test: Comparison) -> Sequence[str]:
    decimals = labels.decimals_for([test.mean_difference])
    interval = f"{labels.number(test.ci_low, decimals)} to {labels.number(test.ci_high, decimals)}"
    has_interval = test.ci_low is not None and test.ci_high is not None
    numbers = [
        str(test.n),
        labels.number(test.mean_difference, decimals),
        interval if has_interval else labels.MISSING,
        labels.p_value(test.p_t),
        labels.p_value(test.p_wilcoxon),
        labels.p_value(test.p_permutation),
        labels.p_value(test.p_adjusted),
        str(test.comparisons),
        labels.number(test.effect_size, 2),
    ]
    names = [
        _region(test.region),
        metric_of(test.metric).label,
        labels.method(test.first),
        labels.method(test.second),
    ]
    return [*names, *numbers, labels.without_paths(test.note or "")]


def _region(name: str) -> str:
    return name.replace("_", " ")
