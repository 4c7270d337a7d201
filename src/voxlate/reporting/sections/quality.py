"""The tables of image quality: all methods, and how each compares with the synthetic image."""

from __future__ import annotations

from collections.abc import Sequence

from voxlate.evaluation.results import Comparison, Evaluation, ProtocolDefinition, SummaryRow
from voxlate.reporting import labels
from voxlate.web.html import Html, tag

LEVEL = 0.05
INTENSITIES = {
    "as_written": "Intensities as written",
    "linear_fit": "After the best linear fit of intensities",
}
_INTENSITY_NOTES = {
    "as_written": "The images are compared with the values they have.",
    "linear_fit": (
        "Each image was first fitted to the target by one gain and one offset inside the mask, which separates "
        "errors of structure from errors of scale. The fit uses the target, so this is not what a user would get."
    ),
}


def tables(evaluation: Evaluation) -> list[Html]:
    """Returns one block per protocol and intensity: heading, quality table, definition and comparisons."""
    blocks = []
    for protocol in evaluation.protocols:
        for intensity, title in INTENSITIES.items():
            rows = [r for r in evaluation.summary if (r.protocol, r.intensity) == (protocol.name, intensity)]
            if rows:
                tests = [c for c in evaluation.comparisons if (c.protocol, c.intensity) == (protocol.name, intensity)]
                blocks.append(_block(protocol, intensity, title, rows=rows, tests=tests, evaluation=evaluation))
    return blocks


def _block(
    protocol: ProtocolDefinition,
    intensity: str,
    title: str,
    *,
    rows: Sequence[SummaryRow],
    tests: Sequence[Comparison],
    evaluation: Evaluation,
) -> Html:
    notes = [
        _INTENSITY_NOTES[intensity],
        "Mean ± standard deviation over n patients.",
        "n is a range where images equal to their target, whose PSNR is infinite, are left out.",
        f"{labels.DATA_KINDS[evaluation.data_kind]}.",
        _mark_note(tests),
    ]
    return tag(
        "section",
        tag("h3", f"{title} ", tag("small", f"protocol {protocol.name}")),
        _quality_table(rows, tests, evaluation.methods),
        tag("p", " ".join(notes), class_="note"),
        tag("div", tag("b", f"Definition ({protocol.name}). "), _definition(protocol), class_="definition"),
        _comparison_details(tests),
        class_="block",
    )


def _mark_note(tests: Sequence[Comparison]) -> str:
    sizes = sorted({test.comparisons for test in tests} - {0})
    if not sizes:
        return "No test was run."
    differs = f"* p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}{LEVEL} against the synthetic image"
    adjusted = f"adjusted for {labels.count(sizes[0], 'comparison')}"
    if len(sizes) > 1:
        adjusted += f" (MAE, PSNR and SSIM in the mask; the others for {sizes[-1]})"
    is_primary = any(test.family == "primary" for test in tests)
    role = "The primary tests of this run are here" if is_primary else "All tests here are exploratory"
    return f"{differs}, {adjusted}; the sign says nothing about the direction, the means do. {role}."


def error_rate(evaluation: Evaluation) -> Html | None:
    """Returns what Holm's adjustment promises on this page, and what it does not; nothing without tests."""
    tested = [test for test in evaluation.comparisons if test.p_adjusted is not None]
    families = {(test.protocol, test.intensity, test.family, test.comparisons) for test in tested}
    if not families:
        return None
    exploratory = sum(family != "primary" for _, _, family, _ in families)
    primary = evaluation.primary
    named = (
        f"Chosen beforehand: {', '.join(labels.metric(name).label for name in primary.metrics)} in the "
        f"{primary.region.replace('_', ' ')} by protocol {primary.protocol}, {primary.intensity.replace('_', ' ')}. "
        if primary
        else ""
    )
    rate = (
        f"Holm's adjustment holds the chance of any false star at {100 * LEVEL:g} % within one family of tests. This "
        f"page has {labels.count(len(tested), 'test')} in {len(families)} families, {exploratory} of them exploratory: "
        f"if nothing differed at all, {LEVEL * len(families):.2g} families would still show a star on average."
    )
    return tag("p", f"{named}{rate}", class_="note")


def _definition(protocol: ProtocolDefinition) -> Html:
    if isinstance(protocol.definition, str):
        return tag("span", labels.without_paths(protocol.definition))
    pairs = [
        (tag("dt", key.replace("_", " ")), tag("dd", labels.without_paths(_plain(value))))
        for key, value in protocol.definition.items()
    ]
    return tag("dl", pairs)


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_plain(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(part) for part in value)
    return "none" if value is None else str(value)


def _quality_table(rows: Sequence[SummaryRow], tests: Sequence[Comparison], methods: Sequence[str]) -> Html:
    found = list(dict.fromkeys(row.method for row in rows))
    references = [method for method in found if method not in methods]  # such as the best intensity curve
    shown = [*references, *(method for method in methods if method in found)]
    head = [tag("th", "Metric", scope="col"), tag("th", "n", scope="col", class_="num")]
    head += [tag("th", labels.method(method), scope="col", class_=_column(method)) for method in shown]
    groups = []
    for region in dict.fromkeys(row.region for row in rows):
        inside = [row for row in rows if row.region == region]
        title = tag("th", f"Region: {_region(region)}", scope="rowgroup", colspan=2 + len(shown))
        lines = [_metric_line(m, inside, shown, tests=tests) for m in dict.fromkeys(row.metric for row in inside)]
        groups.append(tag("tbody", tag("tr", title, class_="group"), lines))
    return scrolling(tag("table", tag("thead", tag("tr", head)), groups), label="Image quality by method")


def _column(method: str) -> str:
    return "num ours" if method == "synthetic" else "num"


def _metric_line(
    metric: str, rows: Sequence[SummaryRow], methods: Sequence[str], *, tests: Sequence[Comparison]
) -> Html:
    known = labels.metric(metric)
    by_method = {row.method: row for row in rows if row.metric == metric}
    decimals = labels.decimals_for(row.mean for row in by_method.values())
    unit = next(row.unit for row in by_method.values())
    n = "\N{EN DASH}".join(str(n) for n in sorted({row.n for row in by_method.values()}))
    title = tag("th", f"{known.label} {known.arrow} ", tag("small", unit), scope="row", title=known.meaning or None)
    cells = [_value_cell(method, by_method.get(method), tests, decimals=decimals) for method in methods]
    return tag("tr", title, tag("td", n, class_="num"), cells)


def _value_cell(method: str, row: SummaryRow | None, tests: Sequence[Comparison], *, decimals: int) -> Html:
    if row is None:
        return tag("td", labels.MISSING, class_=_column(method))
    spread = "" if row.sd is None else f" ± {labels.number(row.sd, decimals)}"
    value = labels.number(row.mean, decimals) + spread
    star = tag("sup", "*") if _differs(row, tests) else tag("sup", class_="blank")
    return tag("td", value, star, class_=_column(method))


def _differs(row: SummaryRow, tests: Sequence[Comparison]) -> bool:
    pair = {row.method, "synthetic"}
    return any(
        test.p_adjusted is not None and test.p_adjusted < LEVEL
        for test in tests
        if {test.first, test.second} == pair and (test.metric, test.region) == (row.metric, row.region)
    )


def _number_of_tests(tests: Sequence[Comparison]) -> str:
    run = sum(test.p_permutation is not None for test in tests)
    if run == len(tests):
        return f"All {run} tests"
    return f"{len(tests)} comparisons, {run or 'none'} of them tested"


def _comparison_details(tests: Sequence[Comparison]) -> Html | None:
    if not tests:
        return None
    titles = ["Region", "Metric", "First", "Second", "n", "First − second", "95 % interval", "p (t)", "p (Wilcoxon)"]
    titles += ["p (permutation)", "p adjusted", "m", "Effect size", "Remark"]
    head = [
        tag("th", title, scope="col", class_="num" if at > 3 and title != "Remark" else None)
        for at, title in enumerate(titles)
    ]
    table = tag(
        "table", tag("thead", tag("tr", head)), tag("tbody", [_test_line(test) for test in tests]), class_="small"
    )
    note = (
        f"Paired over patients. {_interval_note(tests)}The adjusted p is that of the permutation test after Holm's "
        "correction for m comparisons."
    )
    return tag(
        "details",
        tag("summary", _number_of_tests(tests)),
        scrolling(table, label="Tests"),
        tag("p", note, class_="note"),
    )


def _interval_note(rows: Sequence[SummaryRow] | Sequence[Comparison]) -> str:
    """Returns how the intervals of a table were computed."""
    ways = sorted({row.interval for row in rows} - {""})
    return f"Intervals of 95 %: {', '.join(ways)}. " if ways else ""


def _test_line(test: Comparison) -> Html:
    decimals = labels.decimals_for([test.mean_difference])
    interval = f"{labels.number(test.ci_low, decimals)} to {labels.number(test.ci_high, decimals)}"
    known = test.ci_low is not None and test.ci_high is not None
    numbers = [
        str(test.n),
        labels.number(test.mean_difference, decimals),
        interval if known else labels.MISSING,
        labels.p_value(test.p_t),
        labels.p_value(test.p_wilcoxon),
        labels.p_value(test.p_permutation),
        labels.p_value(test.p_adjusted),
        str(test.comparisons),
        labels.number(test.effect_size, 2),
    ]
    names = [
        _region(test.region),
        labels.metric(test.metric).label,
        labels.method(test.first),
        labels.method(test.second),
    ]
    cells = [tag("td", name) for name in names] + [tag("td", text, class_="num") for text in numbers]
    return tag("tr", cells, tag("td", labels.without_paths(test.note or "")))


def _region(name: str) -> str:
    return name.replace("_", " ")


def scrolling(table: Html, *, label: str) -> Html:
    """Returns a table in a box that scrolls sideways on a narrow screen and can be reached by key."""
    return tag("div", table, class_="scroll", role="region", aria_label=label, tabindex=0)
