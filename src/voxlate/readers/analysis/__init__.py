"""Analyses the answers of a reader study: writes `analysis.json`, `report.html` and tables for other programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from voxlate.errors import NoInput
from voxlate.io.atomic import write_json, write_text
from voxlate.readers.analysis.discrimination import forced_choice, real_or_synthetic
from voxlate.readers.analysis.froc import marks
from voxlate.readers.analysis.grading import quality, similarity
from voxlate.readers.analysis.output import exports
from voxlate.readers.analysis.output.json_values import to_json
from voxlate.readers.analysis.output.page import report
from voxlate.readers.analysis.records import Record, join, lesions
from voxlate.readers.analysis.results import (
    Analysis,
    DesignAnalysis,
    DesignResult,
    LogState,
    Progress,
    ReaderProgress,
)
from voxlate.readers.analysis.statistics.order_effects import order_effects
from voxlate.readers.analysis.statistics.rank_comparison import case_scores, compare_ranks, require_direction
from voxlate.readers.package import Package, load_package
from voxlate.readers.study import Design, Marks, Quality, Reader, RealOrSynthetic, Similarity
from voxlate.version import __version__
from voxlate.web.server.answer_log import AnswerLog, verify_chain
from voxlate.web.server.sql import open_database

ANALYSIS, REPORT = "analysis.json", "report.html"


def analyse_study(
    folder: Path,
    output: Path,
    *,
    database_url: str | None = None,
    scores: Path | None = None,
    metric: str = "mae",
) -> list[str]:
    """Analyses all answers of a study, writes the results and returns a summary of a few lines.

    Args:
        folder: the study.
        output: receives `analysis.json`, `report.html`, `answers.csv`, and for each design `real_or_synthetic`
            `<design>.imrmc`, `<design>_codebook.csv` and `<design>_mrmcaov.csv`.
        database_url: PostgreSQL address of the answers; `answers.sqlite` in the study when `None`.
        scores: a table of a metric per case, to compare its ranks with those of the readers.
        metric: name of the metric in that table; lower is better unless `voxlate.evaluation.metrics.METRICS` states
            another direction.

    Raises:
        NoInput: `NO_INPUT` when there is no study, no answer or no table of scores.
        InputRefused: `PROTOCOL_CHANGED`, `TABLE`.
        UsageError: `METRIC` for a metric that has no better direction.
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    if scores is not None:
        require_direction(metric)
    package = load_package(folder)
    with closing(AnswerLog(open_database(folder, database_url), package.protocol_hash)) as log:
        answers, rows = log.answers(), log.log()
    records = join(package, answers)
    if not records:
        raise NoInput("NO_INPUT", f"{folder.name} has no answers yet")
    metric_scores = case_scores(scores, metric) if scores else {}
    log_state = LogState(rows=len(rows), last_hash=rows[-1].hash, first_broken_row=verify_chain(rows))
    analysis = _analyse(package, records, metric_scores, metric=metric, log_state=log_state)
    write_json(output / ANALYSIS, to_json(analysis))
    _export(package, records, output)
    write_text(output / REPORT, report(analysis, package.study))
    return _summary(analysis, output)


def _analyse(
    package: Package, records: Sequence[Record], scores: Mapping[str, float], *, metric: str, log_state: LogState
) -> Analysis:
    study = package.study
    by_design = {}
    for design in study.designs:
        own = [record for record in records if record.design == design.name]
        if own:
            by_design[design.name] = DesignAnalysis(
                result=_analyse_design(own, design, package),
                order_effects=order_effects(own, design),
                discordance=compare_ranks(own, design, scores, metric=metric) if scores else None,
            )
    readers = [_reader_progress(package, records, reader) for reader in study.readers]
    return Analysis(
        voxlate_version=__version__,
        study=study.name,
        title=study.title,
        data_kind=study.data_kind,
        protocol_sha256=package.protocol_hash,
        alpha=study.alpha,
        interim=_interim(readers),
        metric=metric if scores else None,
        readers=readers,
        cases=len({record.case for record in records}),
        patients=_number_of_patients(records),
        designs=by_design,
        comments=[record for record in records if record.comment],
        record=log_state,
    )


def _number_of_patients(records: Sequence[Record]) -> int | None:
    named = {record.patient for record in records if record.patient is not None}
    return len(named) or None


def _analyse_design(records: Sequence[Record], design: Design, package: Package) -> DesignResult:
    alpha = package.study.alpha
    match design:
        case RealOrSynthetic():
            return real_or_synthetic(records, design, alpha)
        case Similarity():
            return similarity(records, design, alpha)
        case Quality():
            return quality(records, design, alpha)
        case Marks():
            return marks(records, design, lesions(package), alpha)
    return forced_choice(records, design, alpha)


def _reader_progress(package: Package, records: Sequence[Record], reader: Reader) -> ReaderProgress:
    own = [record for record in records if record.reader == reader.id]
    return ReaderProgress(
        reader=reader.id,
        group=reader.group,
        experience_years=reader.experience_years,
        answered=len(own),
        of=len(package.trials[reader.id]),
        viewed_s=sum(record.viewed_s for record in own if not math.isnan(record.viewed_s)),
    )


def _interim(readers: Sequence[ReaderProgress]) -> Progress | None:
    """Returns how many answers of an unfinished study were given; `None` for a finished one."""
    answered, planned = sum(reader.answered for reader in readers), sum(reader.of for reader in readers)
    return Progress(answered=answered, of=planned) if answered < planned else None


def _export(package: Package, records: Sequence[Record], output: Path) -> None:
    write_text(output / "answers.csv", exports.long_table(records, package.study, package.protocol_hash))
    for design in package.study.designs:
        own = [record for record in records if record.design == design.name]
        if own and isinstance(design, RealOrSynthetic):
            write_text(output / f"{design.name}.imrmc", exports.imrmc(own, package.study.name))
            write_text(output / f"{design.name}_codebook.csv", exports.codebook(own))
            write_text(output / f"{design.name}_mrmcaov.csv", exports.mrmcaov(own))


def _summary(analysis: Analysis, output: Path) -> list[str]:
    answered = sum(reader.answered for reader in analysis.readers)
    record, interim = analysis.record, analysis.interim
    state = "intact" if record.first_broken_row is None else f"BROKEN at row {record.first_broken_row}"
    unfinished = [f"interim: {interim.answered} of {interim.of} answered"] if interim else []
    return [
        *unfinished,
        f"{answered} answers of {len(analysis.readers)} readers; report in {output / REPORT}",
        f"hash chain of {record.rows} rows is {state}; last hash {record.last_hash}",
    ]
