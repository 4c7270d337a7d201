"""The report of a reader study: one HTML file, with the same document, tables and figures as the evaluation report."""

from __future__ import annotations

import math
from collections.abc import Sequence

from voxlate.evaluation.metrics import metric_of
from voxlate.readers.analysis.conclusions import indistinguishable, interval, not_inferior, similar_enough
from voxlate.readers.analysis.output.figures import ReaderInterval, reader_plot, roc_plot
from voxlate.readers.analysis.results import (
    Accuracy,
    Analysis,
    DesignAnalysis,
    DesignResult,
    ForcedChoiceResult,
    MarksResult,
    QualityItemResult,
    QualityResult,
    RealOrSyntheticResult,
    SimilarityResult,
    StructureResult,
)
from voxlate.readers.analysis.statistics.agreement import Kappa, ReaderKappa
from voxlate.readers.analysis.statistics.mrmc import ReaderMean
from voxlate.readers.analysis.statistics.order_effects import OrderEffect
from voxlate.readers.analysis.statistics.rank_comparison import RankComparison
from voxlate.readers.study import Study
from voxlate.web import labels
from voxlate.web.document import WARNING, Section, document, header, note, warning_banner
from voxlate.web.html import Child, Html, tag
from voxlate.web.labels import number, p_value
from voxlate.web.tables import Column, facts_table, table

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


def report(analysis: Analysis, study: Study) -> str:
    """Returns the report as HTML text.

    Args:
        analysis: all results of the study.
        study: the study that was analysed.
    """
    interim = analysis.interim
    facts = [labels.DATA_KINDS[analysis.data_kind], labels.count(len(analysis.readers), "reader")]
    if interim:
        facts.insert(0, f"Interim: {interim.answered} of {interim.of} answered")
    top = header(analysis.title, facts, warning_banner(INTERIM) if interim else None)
    sections = [
        Section("readers", "Readers", _readers(analysis)),
        *(_design(name, design, analysis.metric) for name, design in analysis.designs.items()),
        Section("comments", "Comments", _comments(analysis)),
        Section("record", "Record", _record(analysis, study)),
    ]
    return document(f"{analysis.title} · voxlate reader study", top, sections, footer=WARNING)


def _table(headings: Sequence[str], rows: Sequence[Sequence[Child]], *, is_text: bool = False) -> Html:
    """Returns a table whose first column names the rows and whose other columns hold numbers, or text."""
    columns = [
        Column(title, is_row_header=at == 0, is_number=at > 0 and not is_text) for at, title in enumerate(headings)
    ]
    return table(columns, rows, label=headings[0])


def _readers(analysis: Analysis) -> Html:
    rows = [
        (
            reader.reader,
            reader.group or labels.MISSING,
            number(reader.experience_years, 0),
            f"{reader.answered} of {reader.of}",
            number(reader.viewed_s / max(reader.answered, 1), 1),
        )
        for reader in analysis.readers
    ]
    content = _table(("Reader", "Group", "Years", "Answered", "Seconds per case"), rows)
    return tag("div", content, note(_clusters(analysis)))


def _clusters(analysis: Analysis) -> str:
    """Returns what the intervals and tests take as independent: patients, or cases where no patients are named."""
    cases = labels.count(analysis.cases, "case")
    if analysis.patients is not None:
        patients = labels.count(analysis.patients, "patient")
        return f"{cases} of {patients}. Intervals and tests of means over readers take the patients as independent."
    return (
        f"{cases}. Intervals and tests hold for one case per patient: where several cases (discs, slices) are of one "
        "patient, they are too narrow. Name the patients in the study file (patients: cases.tsv)."
    )


def _design(name: str, design: DesignAnalysis, metric: str | None) -> Section:
    content = [*_result(name, design.result), _effects(design.order_effects), _discordance(design.discordance, metric)]
    return Section(name, TITLES[design.result.kind], tag("div", content))


def _result(name: str, result: DesignResult) -> list[Child]:
    match result:
        case RealOrSyntheticResult():
            return _confidence(name, result)
        case ForcedChoiceResult():
            return _choice(name, result)
        case SimilarityResult():
            return _similarity(result)
        case QualityResult():
            return _quality(result)
    return _marks(result)


def _confidence(name: str, result: RealOrSyntheticResult) -> list[Child]:
    mean = result.mean_auc
    rows = [(row.reader, number(row.auc, 2), interval(row)) for row in result.auc]
    intervals = [ReaderInterval(row.reader, row.auc, row.low, row.high) for row in result.auc]
    plots = [roc_plot(result.roc, name=f"{name}-roc"), reader_plot(intervals, mean, "AUC", name=f"{name}-auc")]
    return [
        tag("p", indistinguishable(mean, "Mean AUC"), class_="lead"),
        tag("div", plots, class_="plots"),
        _table(("Reader", "AUC", "95 % interval"), rows),
        note(_inference(mean.mean, mean.undefined)),
        _accuracy(result.accuracy),
        _agreement([result.fleiss, result.weighted], result.within_reader),
    ]


def _inference(mean: ReaderMean, undefined: Sequence[str]) -> str:
    """Returns the method of inference for the mean over readers, and the readers without a defined value."""
    shown = "infinite" if math.isinf(mean.freedom) else number(mean.freedom, 1)  # infinite where readers are equal
    degrees = "" if mean.note else f", {shown} degrees of freedom"
    left_out = f" Undefined and left out: {', '.join(undefined)}." if undefined else ""
    return f"Mean: {mean.form}{degrees}.{left_out}"


def _choice(name: str, result: ForcedChoiceResult) -> list[Child]:
    mean, left = result.mean_accuracy, result.chose_left
    side = f"Left was chosen in {left.n} of {left.of} first readings (p {p_value(left.p)})."
    intervals = [
        ReaderInterval(row.reader, row.estimate.share, row.estimate.low, row.estimate.high)
        for row in result.accuracy[:-1]  # the last row is of all readers
        if row.estimate
    ]
    return [
        tag("p", indistinguishable(mean, "Share of synthetic images found"), class_="lead"),
        tag("div", reader_plot(intervals, mean, "Share of correct answers", name=f"{name}-share"), class_="plots"),
        _accuracy(result.accuracy),
        note(f"{_inference(mean.mean, mean.undefined)} {side}"),
        _agreement([result.fleiss]),
    ]


def _accuracy(accuracy: Sequence[Accuracy]) -> Html:
    rows = [
        (
            row.reader,
            f"{row.correct} of {row.n}",
            number(row.estimate.share, 2) if row.estimate else labels.MISSING,
            interval(row.estimate) if row.estimate else labels.MISSING,
            p_value(row.estimate.p) if row.estimate else labels.MISSING,
            row.undecided,
        )
        for row in accuracy
    ]
    remark = (
        "Intervals by Clopper and Pearson; p against a share of one half. The last row treats all answers as "
        "independent, which they are not; use the mean over readers instead. Undecided answers are counted separately."
    )
    headings = ("Reader", "Correct", "Share", "95 % interval", "p", "Undecided")
    return tag("div", _table(headings, rows), note(remark))


def _agreement(between: Sequence[Kappa], within: Sequence[ReaderKappa] = ()) -> Html:
    rows: list[Sequence[Child]] = [
        (kappa.form, number(kappa.value, 2), number(kappa.prevalence_adjusted, 2), kappa.n) for kappa in between
    ]
    rows += [
        (f"{row.reader}, first against second answer", number(row.kappa.value, 2), labels.MISSING, row.kappa.n)
        for row in within
    ]
    return _table(("Agreement", "Kappa", "Prevalence-adjusted", "Images"), rows)


def _similarity(result: SimilarityResult) -> list[Child]:
    rows = [_similarity_row(row) for row in result.structures]
    conclusions = [tag("li", similar_enough(row.pooled, row.structure)) for row in result.structures if row.pooled]
    headings = (
        "Structure",
        "Mean ± SD of all answers",
        "Lowest to highest",
        "Case means",
        "By reader",
        "ICC(2,1), cases",
        "n",
        "Not assessable",
    )
    remark = (
        "Similarity in percent. Mean and SD are over all answers; the ICC is over the cases that all readers assessed. "
        "The list tests the mean of the readers' means, in which each reader counts once. p is adjusted for the number "
        "of structures, the intervals are not."
    )
    return [_table(headings, rows), note(remark), tag("ul", conclusions)]


def _similarity_row(row: StructureResult) -> Sequence[Child]:
    scores = row.summary
    if scores is None:
        return (row.structure, *[labels.MISSING] * 5, 0, row.not_assessable)
    agreement = scores.icc
    return (
        row.structure,
        f"{number(scores.mean, 1)} ± {number(scores.sd, 1)}",
        f"{number(scores.least, 0)} to {number(scores.most, 0)}",
        f"{number(scores.case_mean_least, 1)} to {number(scores.case_mean_most, 1)}",
        ", ".join(f"{reader.reader} {number(reader.mean, 1)}" for reader in scores.readers),
        f"{number(agreement.icc.value, 2)} ({interval(agreement.icc)}), {agreement.n}" if agreement else labels.MISSING,
        row.n,
        row.not_assessable,
    )


def _quality(result: QualityResult) -> list[Child]:
    rows = [
        (item.item, number(item.real, 2), number(item.synthetic, 2), interval(item.difference.mean))
        for item in result.items
    ]
    conclusions = [tag("li", not_inferior(item.difference, item.item)) for item in result.items]
    headings = ("Item", "Real", "Synthetic", "95 % interval of the difference")
    remark = "p is adjusted for the number of items, the intervals are not."
    return [
        _table(headings, rows),
        note(remark),
        tag("ul", conclusions),
        *[_item_agreement(item) for item in result.items],
    ]


def _item_agreement(item: QualityItemResult) -> Html:
    return tag("div", tag("h3", item.item), _agreement([item.weighted], item.within_reader))


def _marks(result: MarksResult) -> list[Child]:
    rows = [
        (
            row.reader,
            *[f"{counts.found} of {counts.of}" for counts in (row.real, row.synthetic)],
            *[number(counts.false_per_image, 2) for counts in (row.real, row.synthetic)],
            p_value(row.mcnemar_p),
        )
        for row in result.readers
    ]
    conclusion = not_inferior(result.difference, "Lesion sensitivity") if result.difference else None
    headings = (
        "Reader",
        "Found, real",
        "Found, synthetic",
        "False per image, real",
        "False, synthetic",
        "McNemar mid-p",
    )
    remark = (
        "McNemar's test and the Clopper-Pearson intervals of analysis.json take lesions as independent. Lesions of one "
        "case are not independent; use the difference over cases."
    )
    return [tag("p", conclusion, class_="lead") if conclusion else None, _table(headings, rows), note(remark)]


def _effects(effects: Sequence[OrderEffect]) -> Html | None:
    if not effects:
        return None
    rows = [
        (
            f"{effect.outcome}: {effect.effect}",
            number(effect.change, 3),
            number(effect.standard_error, 3),
            p_value(effect.p),
        )
        for effect in effects
    ]
    remark = "Linear mixed model with a random intercept per reader; place runs from the first to the last case."
    content = _table(("Order and learning", "Change", "Standard error", "p"), rows)
    return tag("div", tag("h3", "Order and learning"), content, note(remark))


def _discordance(ranks: RankComparison | None, metric: str | None) -> Html | None:
    if ranks is None or metric is None:
        return None
    label = metric_of(metric).label
    rows = [
        (row.case, number(row.metric), f"{row.metric_rank:g}", number(row.readers, 2), f"{row.reader_rank:g}")
        for row in ranks.cases
    ]
    correlation = f"Rank correlation {number(ranks.spearman, 2)} (95 % interval {interval(ranks)}, {ranks.n} cases)."
    headings = ("Case", label, f"Rank by {label}", "Readers", "Rank by readers")
    return tag("div", tag("h3", f"{label} and readers"), tag("p", correlation), _table(headings, rows))


def _comments(analysis: Analysis) -> Html:
    rows = [(record.reader, record.design, record.case, record.comment) for record in analysis.comments]
    headings = ("Reader", "Design", "Case", "Comment")
    return _table(headings, rows, is_text=True) if rows else tag("p", "None.")


def _record(analysis: Analysis, study: Study) -> Html:
    record = analysis.record
    broken = record.first_broken_row
    state = "intact" if broken is None else f"broken at row {broken}: a row was changed, removed or inserted"
    rows = [
        ("Protocol, SHA-256", analysis.protocol_sha256),
        ("Rows of the log", f"{record.rows}, hash chain {state}"),
        ("Last hash", record.last_hash),
        ("Alpha of tests against a margin", f"{analysis.alpha:g}"),
        ("Seed of the allocation", str(study.seed)),
        ("voxlate", analysis.voxlate_version),
    ]
    return facts_table(rows)
