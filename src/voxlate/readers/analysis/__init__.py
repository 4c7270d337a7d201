"""From the answers of a study to `analysis.json`, the exports and `report.html`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import voxlate
from voxlate.errors import NoInput
from voxlate.io.atomic import write_json, write_text
from voxlate.readers.analysis import designs, exports
from voxlate.readers.analysis.effects import case_scores, discordance, order_effects
from voxlate.readers.analysis.froc import marks
from voxlate.readers.analysis.json_values import finite
from voxlate.readers.analysis.page import report
from voxlate.readers.analysis.records import Record, join, lesions
from voxlate.readers.package import Package, load_package
from voxlate.readers.study import Design, Marks, Quality, RealOrSynthetic, Similarity
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
    """Writes everything that the answers of a study show; returns what was found in a few lines.

    Args:
        folder: the study.
        output: receives `analysis.json`, `report.html`, `answers.csv`, and per design of confidences
            `<design>.imrmc`, `<design>_codebook.csv` and `<design>_mrmcaov.csv`.
        database_url: PostgreSQL, when the answers are there.
        scores: a table of a metric per case, to compare its ranks with those of the readers.
        metric: the column or metric of that table; lower is better.

    Raises:
        NoInput: `NO_INPUT` when there is no study or no answer.
        InputRefused: `PROTOCOL_CHANGED`, `TABLE`.
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    package = load_package(folder)
    store = AnswerLog(open_database(folder, database_url), package.protocol_hash)
    try:
        answers, log = store.answers(), store.log()
    finally:
        store.close()
    records = join(package, answers)
    if not records:
        raise NoInput("NO_INPUT", f"{folder.name} has no answers yet")
    ranked = case_scores(scores, metric) if scores else {}
    found = _analysis(package, records, ranked, metric)
    broken = verify_chain(log)
    found["record"] = {"rows": len(log), "last_hash": log[-1].hash, "first_broken_row": broken}
    found = finite(found)
    write_json(output / ANALYSIS, found)
    _export(package, records, output)
    write_text(output / REPORT, report(found, package.study))
    return _lines(found, output)


def _analysis(package: Package, records: Sequence[Record], ranked: Mapping[str, float], metric: str) -> dict[str, Any]:
    study = package.study
    by_design = {}
    readers = [_reader(package, records, reader.id) for reader in study.readers]
    for design in study.designs:
        own = [record for record in records if record.design == design.name]
        if own:
            entry = _one(own, design, package)
            entry["order_effects"] = order_effects(own, design)
            entry["discordance"] = discordance(own, design, ranked) if ranked else None
            by_design[design.name] = entry
    return {
        "voxlate_version": voxlate.__version__,
        "study": study.name,
        "title": study.title,
        "data_kind": study.data_kind,
        "protocol_sha256": package.protocol_hash,
        "alpha": study.alpha,
        "interim": _interim(readers),
        "metric": metric if ranked else None,
        "readers": readers,
        "designs": by_design,
        "comments": [asdict(record) for record in records if record.comment],
    }


def _one(records: Sequence[Record], design: Design, package: Package) -> dict[str, Any]:
    alpha = package.study.alpha
    match design:
        case RealOrSynthetic():
            return designs.real_or_synthetic(records, design, alpha)
        case Similarity():
            return designs.similarity(records, design, alpha)
        case Quality():
            return designs.quality(records, design, alpha)
        case Marks():
            return marks(records, design, lesions(package), alpha)
    return designs.forced_choice(records, design, alpha)


def _reader(package: Package, records: Sequence[Record], reader: str) -> dict[str, Any]:
    own = [record for record in records if record.reader == reader]
    described = next(entry for entry in package.study.readers if entry.id == reader)
    return {
        "reader": reader,
        "group": described.group,
        "experience_years": described.experience_years,
        "answered": len(own),
        "of": len(package.trials[reader]),
        "viewed_s": sum(record.viewed_s for record in own if record.viewed_s == record.viewed_s),
    }


def _interim(readers: Sequence[Mapping[str, Any]]) -> dict[str, int] | None:
    """Returns how much of an unfinished study was answered; None of a finished one."""
    answered, planned = (sum(int(reader[key]) for reader in readers) for key in ("answered", "of"))
    return {"answered": answered, "of": planned} if answered < planned else None


def _export(package: Package, records: Sequence[Record], output: Path) -> None:
    write_text(output / "answers.csv", exports.long_table(records, package.study, package.protocol_hash))
    for design in package.study.designs:
        own = [record for record in records if record.design == design.name]
        if own and isinstance(design, RealOrSynthetic):
            write_text(output / f"{design.name}.imrmc", exports.imrmc(own, package.study.name))
            write_text(output / f"{design.name}_codebook.csv", exports.codebook(own))
            write_text(output / f"{design.name}_mrmcaov.csv", exports.mrmcaov(own))


def _lines(found: Mapping[str, Any], output: Path) -> list[str]:
    answered = sum(reader["answered"] for reader in found["readers"])
    record = found["record"]
    state = "whole" if record["first_broken_row"] is None else f"BROKEN at row {record['first_broken_row']}"
    interim = found["interim"]
    unfinished = [f"interim: {interim['answered']} of {interim['of']} answered"] if interim else []
    return [
        *unfinished,
        f"{answered} answers of {len(found['readers'])} readers; report in {output / REPORT}",
        f"record of {record['rows']} rows is {state}; last hash {record['last_hash']}",
    ]
