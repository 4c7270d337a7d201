"""Compares several systems on the same cases.

OUT/systems/<name>/     the evaluation of each system, by `voxlate.evaluation.run`; a stopped run can be continued
OUT/scores.tsv          one row per case, system, region, metric and protocol
OUT/comparison.json     tables and tests; written last

The baselines of a case are scored once, with the first system that has an image of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from voxlate.cases import Case
from voxlate.errors import NoInput
from voxlate.evaluation.baselines import BASELINES_FILE
from voxlate.evaluation.cases.result import CONTRAST, CaseResult
from voxlate.evaluation.comparison.collect import BASELINES, EvaluatedSystem, collect_scores
from voxlate.evaluation.comparison.folds import require_same_folds, with_folds
from voxlate.evaluation.comparison.margins import require_protocols
from voxlate.evaluation.comparison.schema import (
    COMPARISON,
    ComparedCase,
    ComparedScore,
    State,
    SystemRow,
    SystemsComparison,
    Unscored,
)
from voxlate.evaluation.comparison.settings import ComparisonSettings
from voxlate.evaluation.comparison.systems import RESERVED, System, require_made_by, require_names, require_unseen
from voxlate.evaluation.comparison.tables import fold_rows, summarize, tables_by_set
from voxlate.evaluation.comparison.testing import compare_methods
from voxlate.evaluation.run import Outcome, evaluate_cases, exit_status_of, write_without_scores
from voxlate.evaluation.schema.files import SCORES, write_rows
from voxlate.evaluation.schema.results import Direction, Evaluation, ProtocolDefinition, read_evaluation
from voxlate.evaluation.settings import Baselines, Settings
from voxlate.io.atomic import sha256, write_json
from voxlate.version import __version__

SYSTEMS = "systems"
MANIFEST = "manifest.json"

Watch = Callable[[str, CaseResult], None]
"""Called with the name of a system and the result of a case as it comes."""


@dataclass(frozen=True)
class ComparisonOutcome:
    """The result of a comparison.

    Attributes:
        comparison: content of `comparison.json`.
    """

    comparison: SystemsComparison

    @property
    def exit_status(self) -> int:
        """Returns 0 when every system has every case, 8 when scores are absent, 65 or 66 when there are none."""
        counts = ((one.n_evaluated, one.n_missing, one.n_refused) for one in self.comparison.systems)
        return exit_status_of(*map(sum, zip(*counts, strict=True)))


def compare_systems(
    cases: Sequence[Case],
    synthetic: Mapping[str, Path] | Sequence[System],
    output: Path,
    *,
    settings: Settings,
    comparison: ComparisonSettings | None = None,
    jobs: int = 1,
    watch: Watch | None = None,
) -> ComparisonOutcome:
    """Evaluates every system on every case and writes `comparison.json`, `scores.tsv` and `systems/<name>/`.

    Args:
        cases: the rows to evaluate, see `voxlate.cases`; in a cross-validation all rows of the table.
        synthetic: folder of the synthetic images by the name of the system, or systems with their bundles.
        output: folder of the results, made if it is missing.
        settings: of the evaluation of each case.
        comparison: of the tests; the defaults of `ComparisonSettings` without it.
        jobs: number of processes.
        watch: called with each result as it comes.

    Raises:
        NoInput: no case or no system was given, or no system has a folder; `FOLDS_MISSING`.
        UsageError: `SYSTEM_NAME`, `SYSTEM_TWICE`, `MARGIN`.
        InputRefused: `TRAINED_ON_TEST`, `OTHER_MODEL`, `FOLDS_OVERLAP`, `FOLDS_DIFFER`, `FACTORS`.
        TemporaryFailure, CannotWrite: the output cannot be written, or a process was killed.
    """
    chosen = comparison or ComparisonSettings()
    given = [System(*item) for item in synthetic.items()] if isinstance(synthetic, Mapping) else list(synthetic)
    require_names([system.name for system in given])
    require_protocols(chosen.margins, settings)
    if not given:
        raise NoInput("NO_INPUT", "no system to compare; pass --synthetic NAME=FOLDER for each")
    if not any(system.folder.is_dir() for system in given):
        names = ", ".join(system.folder.name for system in given)
        raise NoInput("NO_INPUT", f"{names}: no such folder of synthetic images; correct --synthetic")
    systems, cases, folds = _checked(given, cases, chosen)
    named = {case.case: _compared_case(case, folds) for case in cases}
    outcomes = _evaluate(systems, cases, output, settings=settings, jobs=jobs, watch=watch)
    read = [EvaluatedSystem(system.name, read_evaluation(output / SYSTEMS / system.name)) for system in systems]
    scores = list(collect_scores(read, named))
    write_rows(output / SCORES, ComparedScore._fields, scores)
    rows = [_system_row(system, outcome) for system, outcome in zip(systems, outcomes, strict=True)]
    content = _content(rows, [one.evaluated.evaluation for one in read], named, scores, settings=settings, how=chosen)
    write_json(output / COMPARISON, content.to_json())
    return ComparisonOutcome(content)


def _checked(
    systems: Sequence[System], cases: Sequence[Case], how: ComparisonSettings
) -> tuple[list[System], list[Case], dict[str, int]]:
    """Returns the systems, the cases that are evaluated and their folds."""
    if not how.are_folds:
        if not how.allows_training_cases:
            for system in systems:
                for bundle in system.bundles:
                    require_unseen(system.name, bundle, cases)
        for system in systems:
            require_made_by(system.name, system.bundles, dict.fromkeys([case.case for case in cases], system.folder))
        return list(systems), list(cases), {}
    found = [with_folds(system, cases, allows_training_cases=how.allows_training_cases) for system in systems]
    folds = require_same_folds(found)
    kept = [case for case in cases if case.case in folds]
    return [_with_every_case(system, kept) for system in found], kept, folds


def _with_every_case(system: System, cases: Sequence[Case]) -> System:
    """Returns the system with a folder for cases that only other systems have; no image is in it."""
    return replace(system, folders={case.case: system.folders.get(case.case, system.folder) for case in cases})


def _compared_case(case: Case, folds: Mapping[str, int]) -> ComparedCase:
    return ComparedCase(case=case.case, patient=case.patient, set=case.set, fold=folds.get(case.case))


def _evaluate(
    systems: Sequence[System],
    cases: Sequence[Case],
    output: Path,
    *,
    settings: Settings,
    jobs: int,
    watch: Watch | None,
) -> list[Outcome]:
    """Evaluates the systems one after the other; the baselines of a case only while no earlier system has it."""
    bundles = [bundle for system in systems for bundle in system.bundles if (bundle / BASELINES_FILE).is_file()]
    of_cases = {
        case: bundle
        for system in reversed(systems)
        for case, bundle in system.case_bundles.items()
        if (bundle / BASELINES_FILE).is_file()
    }
    scored: set[str] = set()
    outcomes = []
    for system in systems:
        rest = frozenset(case.case for case in cases) - scored
        outcome = evaluate_cases(
            cases,
            system.folders or {case.case: system.folder for case in cases},
            output / SYSTEMS / system.name,
            settings=replace(settings, baselines=Baselines(rest, bundles[0] if bundles else None, of_cases)),
            bundle=system.bundles[0] if len(system.bundles) == 1 else None,
            jobs=jobs,
            watch=None if watch is None else _named(watch, system.name),
        )
        if not outcome.n_evaluated:  # a system without any image is a row of the tables
            write_without_scores(outcome, output / SYSTEMS / system.name)
        scored |= {case.case for case in outcome.evaluation.cases}
        outcomes.append(outcome)
    return outcomes


def _named(watch: Watch, name: str) -> Callable[[CaseResult], None]:
    return lambda result: watch(name, result)


def _system_row(system: System, outcome: Outcome) -> SystemRow:
    absent = outcome.n_missing + outcome.n_refused
    state: State = "evaluated" if not absent else "partly" if outcome.n_evaluated else "nothing"
    return SystemRow(
        name=system.name,
        evaluation=f"{SYSTEMS}/{system.name}",
        state=state,
        n_evaluated=outcome.n_evaluated,
        n_missing=outcome.n_missing,
        n_refused=outcome.n_refused,
        n_collapsed=len(_collapsed(outcome)),
        reason=_reason(outcome),
        bundles=[sha256(bundle / MANIFEST) for bundle in system.bundles if (bundle / MANIFEST).is_file()],
    )


def _reason(outcome: Outcome) -> str:
    """Returns why cases have no scores, and that images have one value only; empty when neither is so."""
    one = outcome.evaluation
    absent = [*(f"{r.code}: {r.message}" for r in one.refused), *(missing.reason for missing in one.missing)]
    collapsed = _collapsed(outcome)
    told = [f"{len(absent)} of {len(absent) + outcome.n_evaluated} cases have no scores: {absent[0]}"] if absent else []
    told += [f"in {len(collapsed)} of {outcome.n_evaluated} cases {collapsed[0]}"] if collapsed else []
    return "; ".join(told)


def _collapsed(outcome: Outcome) -> list[str]:
    """Returns what is said of each synthetic image that has one value only."""
    return [entry.reason for entry in outcome.evaluation.left_out if entry.metric == CONTRAST]


def _content(
    systems: Sequence[SystemRow],
    evaluations: Sequence[Evaluation],
    cases: Mapping[str, ComparedCase],
    scores: Sequence[ComparedScore],
    *,
    settings: Settings,
    how: ComparisonSettings,
) -> SystemsComparison:
    names = [system.name for system in systems]
    sets = list(dict.fromkeys(case.set for case in cases.values()))
    present = {score.system for score in scores}
    baselines = [name for name in BASELINES if name in present]
    references = sorted(present & RESERVED - set(baselines))
    tables = tables_by_set(scores, sets)
    methods = [*baselines, *references, *names]
    protocols = _protocols(evaluations)
    folds, joined = fold_rows(scores, sets, methods)
    return SystemsComparison(
        voxlate_version=__version__,
        data_kind=settings.data_kind,
        unit=settings.unit,
        direction=next((one.direction for one in evaluations if one.cases), Direction()),
        protocols=protocols,
        systems=list(systems),
        baselines=baselines,
        references=references,
        sets=sets,
        correction=how.correction,
        test=how.test,
        alpha=how.alpha,
        alphas=dict(how.alphas),
        margins=dict(how.margins),
        cases=list(cases.values()),
        summary=summarize(tables, methods),
        tests=compare_methods(tables, names, baselines, how, protocols=[one.name for one in protocols]),
        folds=folds,
        joined=joined,
        unscored=list(_unscored(names, evaluations)),
    )


def _protocols(evaluations: Sequence[Evaluation]) -> list[ProtocolDefinition]:
    """Returns the definitions of all systems, each once, those of a system with scores first."""
    found: dict[str, ProtocolDefinition] = {}
    for one in sorted(evaluations, key=lambda evaluation: not evaluation.cases):
        for protocol in one.protocols:
            found.setdefault(protocol.name, protocol)
    return list(found.values())


def _unscored(names: Sequence[str], evaluations: Sequence[Evaluation]) -> list[Unscored]:
    rows = []
    for name, one in zip(names, evaluations, strict=True):
        rows += [Unscored(system=name, case=m.case, code="", reason=m.reason) for m in one.missing]
        rows += [Unscored(system=name, case=r.case, code=r.code, reason=r.message) for r in one.refused]
    return rows
