"""Evaluates many cases in constant memory: one result file per case, then the tables.

cases = evaluated + refused + missing. A run that was stopped can be continued.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from voxlate.cases import Case
from voxlate.errors import NoInput
from voxlate.evaluation.baselines import HistogramMatch, read_histogram_match
from voxlate.evaluation.card import write_measured_card
from voxlate.evaluation.cases.read_case import CaseFiles
from voxlate.evaluation.cases.result import EVALUATED, MISSING, REFUSED, CaseResult, evaluate_case, read_rows
from voxlate.evaluation.protocols import AS_WRITTEN
from voxlate.evaluation.schema.evaluation_json import CollectedResults, build_evaluation
from voxlate.evaluation.schema.files import SCORES, write_rows
from voxlate.evaluation.schema.results import EVALUATION, Evaluation, ScoreRow
from voxlate.evaluation.schema.rows import VolumeRow
from voxlate.evaluation.schema.table import ScoreTable
from voxlate.evaluation.settings import Settings
from voxlate.evaluation.subgroups import NO_FACTORS, read_factors
from voxlate.evaluation.tissues import tissue_protocol, tissue_scores, with_differences
from voxlate.io.atomic import write_json
from voxlate.io.log import counted, warn
from voxlate.jobs.processes import parallel_map
from voxlate.jobs.states import Counts

CASES = "cases"

_MOST_LABELS = 12
"""Values of label files that a message names."""


@dataclass(frozen=True)
class Outcome:
    """The result of a run.

    Attributes:
        n_evaluated: number of cases with scores.
        n_missing: number of cases with a missing file.
        n_refused: number of cases with a file that cannot be evaluated.
        content: content of `evaluation.json`.
    """

    n_evaluated: int
    n_missing: int
    n_refused: int
    evaluation: Evaluation = field(repr=False)  # pages of text

    @property
    def content(self) -> dict[str, Any]:
        """Returns the content of `evaluation.json` as plain values."""
        return self.evaluation.to_json()

    @property
    def exit_status(self) -> int:
        """Returns the status of the run, see `exit_status_of`."""
        return exit_status_of(self.n_evaluated, self.n_missing, self.n_refused)


def exit_status_of(evaluated: int, missing: int, refused: int) -> int:
    """Returns 0 when every case was evaluated, 8 when some were, 65 when all were refused, 66 if all are missing."""
    if missing and not evaluated and not refused:
        return NoInput.exit_status
    absent = missing + refused
    return Counts(evaluated + absent, evaluated, absent, 0, 0).exit_status


def evaluate_cases(
    cases: Sequence[Case],
    synthetic: Path | Mapping[str, Path],
    output: Path,
    *,
    settings: Settings,
    bundle: Path | None = None,
    jobs: int = 1,
    watch: Callable[[CaseResult], None] | None = None,
) -> Outcome:
    """Evaluates every case and writes `scores.tsv`, `evaluation.json` and `cases/<case>.json` into `output`.

    With a bundle, its model card with the measured scores is written as well (`card.md`). Results that an earlier run
    computed from the same inputs with the same options are used again. Without a single evaluated case nothing but
    `cases/` is written, and an earlier evaluation in `output` is kept.

    Args:
        cases: the rows to evaluate, see `voxlate.cases`.
        synthetic: folder with `<case>.nii.gz` and `<case>.json`; where cases have different ones, the folder of each.
        output: folder of the results, made if it is missing.
        settings: see `Settings`.
        bundle: model bundle, for the histogram match and the loss curves.
        jobs: number of processes; each holds one case at a time.
        watch: called with each result as it comes.

    Raises:
        NoInput: no case was given, `synthetic` is no folder, or none of them is in the table of factors.
        InputRefused: `FACTORS`, see `voxlate.evaluation.subgroups.read_factors`.
        ModelInvalid: `BASELINES`.
        TemporaryFailure, CannotWrite: the output cannot be written, or a process was killed.
    """
    if not cases:
        raise NoInput("NO_INPUT", "no case to evaluate; check the split")
    if isinstance(synthetic, Path) and not synthetic.is_dir():
        raise NoInput("NO_INPUT", f"{synthetic.name}: no such folder of synthetic images; correct --synthetic")
    factors = NO_FACTORS if settings.factors is None else read_factors(settings.factors, cases)
    matches = _histogram_matches(cases, settings, bundle)
    files = [CaseFiles.find(case, synthetic if isinstance(synthetic, Path) else synthetic[case.case]) for case in cases]
    by_case: dict[str, CaseResult] = {}
    work = partial(_evaluate, settings=settings, matches=matches, folder=output / CASES)
    for result in parallel_map(work, files, jobs=max(jobs, 1)):
        by_case[result.case] = result.without_scores()
        if watch is not None:
            watch(result)
    results = [by_case[case.case] for case in cases]
    _flag_labels(results, settings)
    volumes = with_differences(_records(results, "volumes"))
    counts = {state: sum(result.state == state for result in results) for state in (EVALUATED, MISSING, REFUSED)}
    is_written = counts[EVALUATED] > 0
    table = ScoreTable(settings.protocols[0])
    if is_written:
        _write_scores(output, results, volumes, table)
    collected = CollectedResults(table, _records(results, "lesions"), volumes, factors)
    fitted = list({id(match): match for match in matches.values() if match is not None}.values())
    evaluation = build_evaluation(results, files, collected, output, settings=settings, matches=fitted, bundle=bundle)
    if is_written:
        write_json(output / EVALUATION, evaluation.to_json())
        if bundle is not None:
            write_measured_card(bundle, output, evaluation)
    return Outcome(counts[EVALUATED], counts[MISSING], counts[REFUSED], evaluation)


def write_without_scores(outcome: Outcome, output: Path) -> None:
    """Writes an evaluation without an evaluated case, as a comparison of systems needs for a system without images.

    Args:
        outcome: of `evaluate_cases`.
        output: folder of the evaluation.

    Raises:
        TemporaryFailure, CannotWrite: the output cannot be written.
    """
    write_rows(output / SCORES, ScoreRow._fields, ())
    write_json(output / EVALUATION, outcome.evaluation.to_json())


def _flag_labels(results: Sequence[CaseResult], settings: Settings) -> None:
    """Warns with `ENHANCING_LABEL` where the enhancing labels occur in no label file; they would have no region."""
    found = [result.content["label_values"] for result in results if "label_values" in result.content]
    present = sorted({value for values in found for value in values})
    wanted = settings.enhancing_labels
    if wanted and present and not set(wanted).intersection(present):
        asked = f"label {wanted[0]} occurs" if len(wanted) == 1 else f"labels {', '.join(map(str, wanted))} occur"
        more = " and others" if len(present) > _MOST_LABELS else ""
        warn(
            "ENHANCING_LABEL",
            f"{asked} in none of {counted(len(found), 'label file')}; they hold "
            f"{', '.join(map(str, present[:_MOST_LABELS]))}{more}; pass the one of enhancing tumour as "
            "--enhancing-label",
        )


def _histogram_matches(
    cases: Sequence[Case], settings: Settings, bundle: Path | None
) -> dict[str, HistogramMatch | None]:
    """Returns the histogram match of each case, every bundle read once; None without a bundle.

    Calibrated images have none: bundles hold quantiles in relative units, in which a median of 40 HU is 1.
    """
    if not settings.is_relative:
        return dict.fromkeys(case.case for case in cases)
    baselines = settings.baselines
    fitted_on = {case.case: baselines.bundles.get(case.case, baselines.bundle or bundle) for case in cases}
    read = {path: None if path is None else read_histogram_match(path) for path in dict.fromkeys(fitted_on.values())}
    return {case: read[path] for case, path in fitted_on.items()}


def _evaluate(
    files: CaseFiles, *, settings: Settings, matches: Mapping[str, HistogramMatch | None], folder: Path
) -> CaseResult:
    return evaluate_case(files, settings, matches[files.case.case], folder)


def _records(results: Sequence[CaseResult], name: str) -> list[Any]:
    """Returns the records of all evaluated cases, each with its case and patient.

    Args:
        results: results of all cases.
        name: key of the records in a result, `lesions` or `volumes`.
    """
    return [
        {"case": result.case, "patient": result.patient, **record}
        for result in results
        if result.state == EVALUATED
        for record in result.content[name]
    ]


def _write_scores(output: Path, results: Sequence[CaseResult], volumes: Sequence[VolumeRow], table: ScoreTable) -> None:
    """Writes `scores.tsv` case by case and adds its scores to `table`."""

    def seen() -> Iterator[ScoreRow]:
        for row in _rows(results, volumes, output / CASES):
            table.add(row)
            yield row

    write_rows(output / SCORES, ScoreRow._fields, seen())


def _rows(results: Sequence[CaseResult], volumes: Sequence[VolumeRow], folder: Path) -> Iterator[ScoreRow]:
    for result in results:
        if result.state == EVALUATED:
            yield from read_rows(result, folder)
    for record in volumes:
        protocol = tissue_protocol(record["segmenter"]).name
        for metric, value, unit in tissue_scores(record):
            subject = (record["case"], record["patient"], record["method"], record["tissue"])
            yield ScoreRow(*subject, metric, value, unit, protocol, AS_WRITTEN)
