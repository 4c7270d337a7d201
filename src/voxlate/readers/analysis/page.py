"""The report of a reader study: one HTML file, with the same document, tables and figures as the evaluation report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from voxlate.evaluation.metrics import metric_of
from voxlate.readers.analysis.conclusions import indistinguishable, interval, not_inferior, similar_enough
from voxlate.readers.analysis.figures import reader_plot, roc_plot
from voxlate.readers.study import Study
from voxlate.web import labels
from voxlate.web.document import WARNING, Section, document, header, note, warning_banner
from voxlate.web.html import Child, Html, tag
from voxlate.web.labels import number, p_value
from voxlate.web.tables import Column, facts_table, table

Results = Mapping[str, Any]
TITLES = {
    "real_or_synthetic": "Real or synthetic, with confidence",
    "forced_choice": "Which of two is synthetic",
    "similarity": "Similarity per structure",
    "quality": "Quality",
    "marks": "Lesions marked",
}
INTERIM = (
    "This study is not finished. Its figures and tests include the answers so far and will change. Do not decide from "
    "them whether to stop or to continue: the tests of the finished study would be invalid."
)


def report(analysis: Results, study: Study) -> str:
    """Returns the report as HTML text.

    Args:
        analysis: content of `analysis.json`.
        study: the study that was analysed.
    """
    interim = analysis["interim"]
    facts = [labels.DATA_KINDS[analysis["data_kind"]], labels.count(len(analysis["readers"]), "reader")]
    if interim:
        facts.insert(0, f"Interim: {interim['answered']} of {interim['of']} answered")
    top = header(analysis["title"], facts, warning_banner(INTERIM) if interim else None)
    sections = [
        Section("readers", "Readers", _readers(analysis)),
        *(_design(name, entry, analysis) for name, entry in analysis["designs"].items()),
        Section("comments", "Comments", _comments(analysis)),
        Section("record", "Record", _record(analysis, study)),
    ]
    return document(f"{analysis['title']} · voxlate reader study", top, sections, footer=WARNING)


def _table(headings: Sequence[str], rows: Sequence[Sequence[Child]], *, is_text: bool = False) -> Html:
    """Returns a table whose first column names the rows and whose other columns hold numbers, or text."""
    columns = [
        Column(title, is_row_header=at == 0, is_number=at > 0 and not is_text) for at, title in enumerate(headings)
    ]
    return table(columns, rows, label=headings[0])


def _readers(analysis: Results) -> Html:
    rows = [
        (
            entry["reader"],
            entry["group"] or labels.MISSING,
            number(entry["experience_years"], 0),
            f"{entry['answered']} of {entry['of']}",
            number(entry["viewed_s"] / max(entry["answered"], 1), 1),
        )
        for entry in analysis["readers"]
    ]
    return _table(("Reader", "Group", "Years", "Answered", "Seconds per case"), rows)


def _design(name: str, entry: Results, analysis: Results) -> Section:
    parts: dict[str, Callable[[str, Results], list[Child]]] = {
        "real_or_synthetic": _confidence,
        "forced_choice": _choice,
        "similarity": _similarity,
        "quality": _quality,
        "marks": _marks,
    }
    content = [*parts[entry["kind"]](name, entry), _effects(entry), _discordance(entry, analysis)]
    return Section(name, TITLES[entry["kind"]], tag("div", content))


def _confidence(name: str, entry: Results) -> list[Child]:
    mean = entry["mean_auc"]
    rows = [(row["reader"], number(row["auc"], 2), interval(row)) for row in entry["auc"]]
    plots = [roc_plot(entry["roc"], name=f"{name}-roc"), reader_plot(entry["auc"], mean, "auc", name=f"{name}-auc")]
    return [
        tag("p", indistinguishable(mean, "Mean AUC"), class_="lead"),
        tag("div", plots, class_="plots"),
        _table(("Reader", "AUC", "95 % interval"), rows),
        note(_inference(mean)),
        _accuracy(entry),
        _agreement(entry),
    ]


def _inference(mean: Results) -> str:
    """Returns the method of inference for the mean over readers, and the readers without a defined value."""
    degrees = "" if mean["note"] else f", {number(mean['freedom'], 1)} degrees of freedom"
    left_out = f" Undefined and left out: {', '.join(mean['undefined'])}." if mean["undefined"] else ""
    return f"Mean: {mean['form']}{degrees}.{left_out}"


def _choice(name: str, entry: Results) -> list[Child]:
    mean, left = entry["mean_accuracy"], entry["chose_left"]
    side = f"Left was chosen {left['n']} of {left['of']} times (p {p_value(left['p'])})."
    rows = [row for row in entry["accuracy"] if row["reader"] != "all" and row["n"]]
    return [
        tag("p", indistinguishable(mean, "Share of synthetic images found"), class_="lead"),
        tag("div", reader_plot(rows, mean, "share", name=f"{name}-share"), class_="plots"),
        _accuracy(entry),
        note(f"{_inference(mean)} {side}"),
        _agreement(entry),
    ]


def _accuracy(entry: Results) -> Html:
    rows = [
        (
            row["reader"],
            f"{row['correct']} of {row['n']}",
            number(row.get("share"), 2),
            interval(row) if row["n"] else labels.MISSING,
            p_value(row.get("p")),
            row["undecided"],
        )
        for row in entry["accuracy"]
    ]
    remark = (
        "Intervals by Clopper and Pearson; p against a share of one half. The last row treats all answers as "
        "independent, which they are not; use the mean over readers instead. Undecided answers are counted separately."
    )
    headings = ("Reader", "Correct", "Share", "95 % interval", "p", "Undecided")
    return tag("div", _table(headings, rows), note(remark))


def _agreement(entry: Results) -> Html:
    rows: list[Sequence[Child]] = []
    for key in ("fleiss", "weighted"):
        kappa = entry.get(key)
        if kappa:
            adjusted = number(kappa["prevalence_adjusted"], 2)
            rows.append((kappa["form"], number(kappa["value"], 2), adjusted, kappa["n"]))
    rows += [
        (f"{kappa['reader']}, first against second answer", number(kappa["value"], 2), labels.MISSING, kappa["n"])
        for kappa in entry.get("within_reader", [])
    ]
    return _table(("Agreement", "Kappa", "Prevalence-adjusted", "Images"), rows)


def _similarity(name: str, entry: Results) -> list[Child]:
    pooled = [row for row in entry["structures"] if row.get("pooled")]
    rows = [_similarity_row(row) for row in entry["structures"]]
    verdicts = [tag("li", similar_enough(row["pooled"], row["structure"])) for row in pooled]
    headings = (
        "Structure",
        "Mean ± SD",
        "Lowest to highest",
        "Case means",
        "By reader",
        "ICC(2,1)",
        "n",
        "Not assessable",
    )
    remark = "Similarity in percent. SD over all answers. The list below gives the interval of each mean."
    return [_table(headings, rows), note(remark), tag("ul", verdicts)]


def _similarity_row(row: Results) -> Sequence[Child]:
    if not row["n"]:
        return (row["structure"], *[labels.MISSING] * 5, 0, row["not_assessable"])
    agreement = row["icc"]
    return (
        row["structure"],
        f"{number(row['mean'], 1)} ± {number(row['sd'], 1)}",
        f"{number(row['least'], 0)} to {number(row['most'], 0)}",
        f"{number(row['case_mean_least'], 1)} to {number(row['case_mean_most'], 1)}",
        ", ".join(f"{reader['reader']} {number(reader['mean'], 1)}" for reader in row["readers"]),
        f"{number(agreement['value'], 2)} ({interval(agreement)})" if agreement else labels.MISSING,
        row["n"],
        row["not_assessable"],
    )


def _quality(name: str, entry: Results) -> list[Child]:
    rows = [
        (item["item"], number(item["real"], 2), number(item["synthetic"], 2), interval(item["difference"]))
        for item in entry["items"]
    ]
    verdicts = [tag("li", not_inferior(item["difference"], item["item"])) for item in entry["items"]]
    agreement = [tag("div", tag("h3", item["item"]), _agreement(item)) for item in entry["items"]]
    headings = ("Item", "Real", "Synthetic", "95 % interval of the difference")
    return [_table(headings, rows), tag("ul", verdicts), *agreement]


def _marks(name: str, entry: Results) -> list[Child]:
    rows = [
        (
            row["reader"],
            *[f"{row[version]['found']} of {row[version]['of']}" for version in ("real", "synthetic")],
            *[number(row[version]["false_per_image"], 2) for version in ("real", "synthetic")],
            p_value(row["mcnemar_p"]),
        )
        for row in entry["readers"]
    ]
    verdict = not_inferior(entry["difference"], "Lesion sensitivity") if entry.get("difference") else None
    headings = (
        "Reader",
        "Found, real",
        "Found, synthetic",
        "False per image, real",
        "False, synthetic",
        "McNemar mid-p",
    )
    return [tag("p", verdict, class_="lead") if verdict else None, _table(headings, rows)]


def _effects(entry: Results) -> Html | None:
    rows = [
        (
            f"{row['outcome']}: {row['effect']}",
            number(row["change"], 3),
            number(row["standard_error"], 3),
            p_value(row["p"]),
        )
        for row in entry["order_effects"]
    ]
    if not rows:
        return None
    remark = "Linear mixed model with a random intercept per reader; place runs from the first to the last case."
    content = _table(("Order and learning", "Change", "Standard error", "p"), rows)
    return tag("div", tag("h3", "Order and learning"), content, note(remark))


def _discordance(entry: Results, analysis: Results) -> Html | None:
    ranks = entry["discordance"]
    if not ranks:
        return None
    metric = metric_of(analysis["metric"]).label
    rows = [
        (
            row["case"],
            number(row["metric"]),
            f"{row['metric_rank']:g}",
            number(row["readers"], 2),
            f"{row['reader_rank']:g}",
        )
        for row in ranks["cases"]
    ]
    correlation = (
        f"Rank correlation {number(ranks['spearman'], 2)} (95 % interval {interval(ranks)}, {ranks['n']} cases)."
    )
    headings = ("Case", metric, f"Rank by {metric}", "Readers", "Rank by readers")
    return tag("div", tag("h3", f"{metric} and readers"), tag("p", correlation), _table(headings, rows))


def _comments(analysis: Results) -> Html:
    rows = [(entry["reader"], entry["design"], entry["case"], entry["comment"]) for entry in analysis["comments"]]
    headings = ("Reader", "Design", "Case", "Comment")
    return _table(headings, rows, is_text=True) if rows else tag("p", "None.")


def _record(analysis: Results, study: Study) -> Html:
    record = analysis["record"]
    broken = record["first_broken_row"]
    state = "intact" if broken is None else f"broken at row {broken}: a row was changed, removed or inserted"
    rows = [
        ("Protocol, SHA-256", analysis["protocol_sha256"]),
        ("Rows of the log", f"{record['rows']}, hash chain {state}"),
        ("Last hash", record["last_hash"]),
        ("Alpha of tests against a margin", f"{analysis['alpha']:g}"),
        ("Seed of the allocation", str(study.seed)),
        ("voxlate", analysis["voxlate_version"]),
    ]
    return facts_table(rows)
