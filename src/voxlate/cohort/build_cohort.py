"""Writes a selected cohort: the images as a BIDS data set, and tables of its cases, splits, exclusions and counts.

A run that was stopped can be continued: images that are complete are not written again, and tables are written last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from voxlate.archive.pseudonyms import subject_name
from voxlate.cases import Case, write_cases
from voxlate.cohort.bids_export import CohortImage, export, remove_unselected, require_distinct, write_dataset_files
from voxlate.cohort.rules import Rules
from voxlate.cohort.select import FlowStep, Pair, Selection
from voxlate.cohort.splits import TEST_GOOD, TEST_LOW, assignment_of, frozen_splits, group_of
from voxlate.errors import NoInput, TemporaryFailure
from voxlate.io.atomic import write_json, write_text
from voxlate.jobs.processes import parallel_map
from voxlate.jobs.states import DONE, FAILED

CASES, EXCLUSIONS, COHORT = "cases.tsv", "exclusions.tsv", "cohort.json"


@dataclass(frozen=True)
class Written:
    """A cohort that was written.

    Attributes:
        selection: the pairs that were written.
        splits: number of pairs by the name of the split or test set.
        unreadable: state and code of each series that could not be read.
    """

    selection: Selection
    splits: dict[str, int]
    unreadable: dict[str, str]


def write_cohort(
    selection: Selection, rules: Rules, index: Path, out: Path, *, jobs: int = 1, extend: bool = False
) -> Iterator[str | Written]:
    """Writes a cohort as BIDS and yields each series as it is written, at the end a `Written`.

    Args:
        selection: see `select`.
        rules: the rules of the selection.
        index: folder of the archive index.
        out: folder of the data set, new or of an earlier run.
        jobs: number of processes.
        extend: assign splits to patients that are not in the split file.

    Raises:
        NoInput: `NO_PAIRS` when no pair is left; the exclusions are written nevertheless.
        InputRefused: `NAMES_COLLIDE`, `SPLIT_CHANGED`, and what `write_cases` refuses.
        UsageError: `SPLIT_FROZEN`, `COLUMN`.
        TemporaryFailure: `SERIES` when a series failed for a reason that may be temporary; no table is written then.
        CannotWrite: see `voxlate.errors.writing`.
    """
    if not selection.pairs:
        write_text(out / EXCLUSIONS, _exclusions(selection.exclusions))
        raise NoInput("NO_PAIRS", f"no pair is left of {selection.scans} series; {EXCLUSIONS} has the reasons")
    splits = frozen_splits(out, selection.pairs, rules.splits, extend=extend)
    chosen = without_assigned_low(selection, rules, splits)
    require_distinct(_wanted(chosen.pairs, rules))
    outcomes = []
    for outcome in parallel_map(partial(export, index, out), _wanted(chosen.pairs, rules), jobs=jobs):
        outcomes.append(outcome)
        yield outcome.case
    failed = [outcome.text for outcome in outcomes if outcome.state == FAILED]
    if failed:
        raise TemporaryFailure(
            "SERIES", f"{len(failed)} series failed ({failed[0]}); what was written is kept, run the same command again"
        )
    faults = {outcome.case: outcome.text for outcome in outcomes if outcome.state != DONE}
    kept = without_unreadable(chosen, faults)
    counts = _write_tables(out, kept, rules, splits)
    write_dataset_files(out, rules.name, _wanted(kept.pairs, rules))
    write_text(out / EXCLUSIONS, _exclusions(kept.exclusions))
    write_json(out / COHORT, _summary(kept, rules, counts))
    remove_unselected(out, _wanted(kept.pairs, rules))
    yield Written(kept, counts, faults)


def without_assigned_low(selection: Selection, rules: Rules, splits: dict[str, str]) -> Selection:
    """Returns the selection without pairs of low quality whose patient is already in training or validation."""
    if not rules.splits.low:
        return selection
    out = [pair for pair in selection.pairs if pair.is_low and splits[group_of(pair, rules.splits)] != "test"]
    reason = "of low quality, but its patient is not in the test split"
    return _without(selection, out, reason, {series: reason for pair in out for series in pair.series})


def without_unreadable(selection: Selection, faults: dict[str, str]) -> Selection:
    """Returns the selection without the pairs with an unreadable image, with a flow step and reasons for them."""
    out = [pair for pair in selection.pairs if set(pair.series) & set(faults)]
    reasons = {
        name: f"cannot be read: {faults[name]}" if name in faults else "its partner cannot be read"
        for pair in out
        for name in pair.series
    }
    return _without(selection, out, "one of its images cannot be read", reasons)


def _without(selection: Selection, out: Sequence[Pair], reason: str, reasons: dict[str, str]) -> Selection:
    if not out:
        return selection
    gone = {pair.name for pair in out}
    kept = tuple(pair for pair in selection.pairs if pair.name not in gone)
    step = FlowStep(reason, "pair", len(selection.pairs), len(out))
    exclusions = tuple(sorted([*selection.exclusions, *reasons.items()]))
    return replace(selection, pairs=kept, flow_steps=(*selection.flow_steps, step), exclusions=exclusions)


def _wanted(pairs: Iterable[Pair], rules: Rules) -> list[CohortImage]:
    sides = [((pair.source, rules.source.shows), (pair.target, rules.target.shows)) for pair in pairs]
    return [CohortImage(scan, shows) for pair in sides for scan, shows in pair]


def _summary(selection: Selection, rules: Rules, counts: dict[str, int]) -> dict[str, object]:
    written = rules.model_dump(mode="json", by_alias=True, exclude_none=True)
    for step, content in zip(rules.steps, written["steps"], strict=True):
        if step.listed is not None:
            content["listed"] = step.listed.name  # not where it lies
    boxes = [vars(step) for step in selection.flow_steps]
    return {"name": rules.name, "rules": written, "scans": selection.scans, "boxes": boxes, "splits": counts}


def _write_tables(out: Path, selection: Selection, rules: Rules, splits: dict[str, str]) -> dict[str, int]:
    """Writes the table of all cases and one for each test set; returns how many pairs each part holds."""
    parts: dict[str, list[Case]] = {}
    for pair in selection.pairs:
        assignment = assignment_of(pair, rules.splits, splits)
        source, target = (out / wanted.path for wanted in _wanted([pair], rules))
        case = Case(pair.name, subject_name(pair.patient), assignment.split, source, target)
        parts.setdefault(assignment.test_set or assignment.split, []).append(case)
    write_cases(out / CASES, sorted((case for part in parts.values() for case in part), key=lambda case: case.case))
    for name in (TEST_GOOD, TEST_LOW):
        if name in parts:
            write_cases(out / f"cases_{name}.tsv", parts[name])
        else:
            (out / f"cases_{name}.tsv").unlink(missing_ok=True)
    order = ("train", "validation", TEST_GOOD, TEST_LOW)
    return {name: len(parts[name]) for name in order if name in parts}


def _exclusions(rows: Sequence[tuple[str, str]]) -> str:
    return "\n".join(["series\treason", *("\t".join(row) for row in rows)]) + "\n"
