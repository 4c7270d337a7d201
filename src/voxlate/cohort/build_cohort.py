"""Writes a selected cohort: the images as a BIDS data set, and tables of its cases, splits, exclusions and counts.

A run that was stopped can be continued: images that are complete are not written again, and tables are written last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from voxlate.archive.pseudonyms import subject_name
from voxlate.archive.rows import TIERS
from voxlate.cases import ABSENT, Case, write_cases
from voxlate.cohort.bids_export import CohortImage, export, remove_unselected, require_distinct, write_dataset_files
from voxlate.cohort.cohort_table import TABLE, cohort_table
from voxlate.cohort.pairing import Pair
from voxlate.cohort.rules import Rules
from voxlate.cohort.select import FlowStep, Selection
from voxlate.cohort.splits import (
    SPLIT_FILE,
    TEST_GOOD,
    TEST_LOW,
    SplitAssignment,
    assignment_of,
    frozen_splits,
    group_of,
)
from voxlate.errors import NoInput, TemporaryFailure, UsageError
from voxlate.io.atomic import write_json, write_text
from voxlate.jobs.processes import parallel_map
from voxlate.jobs.states import DONE, FAILED

CASES, EXCLUSIONS, COHORT = "cases.tsv", "exclusions.tsv", "cohort.json"

UNKNOWN_QUALITY = "quality unknown"
"""Part of the single scans that were not graded, or whose grade is not one of `TIERS`, as that of each CT."""


@dataclass(frozen=True)
class Written:
    """A cohort that was written.

    Attributes:
        selection: the pairs or single scans that were written.
        parts: their number by split or test set; without splits by quality.
        unreadable: state and code of each series that could not be read.
        table: rows of `cohort_table.tsv`, the header first.
    """

    selection: Selection
    parts: dict[str, int]
    unreadable: dict[str, str]
    table: list[list[str]]


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
        NoInput: `NO_PAIRS` or `NO_SINGLES` when nothing is left; a new folder gets the exclusions, one with a cohort
            is left as it is.
        InputRefused: `NAMES_COLLIDE`, `SPLIT_CHANGED`, and what `write_cases` refuses.
        UsageError: `SPLIT_FROZEN`, `RULES`, `COLUMN`.
        TemporaryFailure: `SERIES` when a series failed for a reason that may be temporary; no table is written then.
        CannotWrite: see `voxlate.errors.writing`.
    """
    if not selection.pairs:
        raise _nothing_left(selection, rules, out)
    splits = _splits_of(out, selection, rules, extend=extend)
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
    kept = without_unreadable(chosen, rules, faults)
    parts = _write_tables(out, kept, rules, splits)
    counts = {name: len(pairs) for name, pairs in parts.items()}
    rows = cohort_table(parts, source=rules.source.shows, target=None if rules.target is None else rules.target.shows)
    write_text(out / TABLE, "\n".join("\t".join(row) for row in rows) + "\n")
    write_dataset_files(out, rules.name, _wanted(kept.pairs, rules))
    write_text(out / EXCLUSIONS, _exclusions(kept.exclusions))
    write_json(out / COHORT, _summary(kept, rules, counts))
    remove_unselected(out, _wanted(kept.pairs, rules))
    yield Written(kept, counts, faults, rows)


def _nothing_left(selection: Selection, rules: Rules, out: Path) -> NoInput:
    """Returns the error of an empty selection, and writes why each series is not in it.

    A folder with an earlier selection keeps all of its tables: new exclusions beside old cases would not add up.
    """
    reasons = Counter(reason for _, reason in selection.exclusions).most_common()
    told = "; ".join(f"{count} {reason}" for reason, count in reasons)
    if (out / CASES).exists():
        where = f"{out.name} keeps its earlier cohort; {EXCLUSIONS} of a new folder"
    else:
        write_text(out / EXCLUSIONS, _exclusions(selection.exclusions))
        where = EXCLUSIONS
    if rules.target is None:
        return NoInput("NO_SINGLES", f"no scan is left of {selection.scans} series ({told}); {where} has each")
    return NoInput("NO_PAIRS", f"no pair is left of {selection.scans} series ({told}); {where} has each")


def _splits_of(out: Path, selection: Selection, rules: Rules, *, extend: bool) -> dict[str, str]:
    """Returns the split of each group, none where the rules do not split.

    Raises:
        UsageError: `SPLIT_FROZEN` when the folder holds the splits of other rules; `RULES` when there are no splits to
            extend; what `frozen_splits` raises.
    """
    if rules.splits is not None:
        return frozen_splits(out, selection.pairs, rules.splits, extend=extend)
    if extend:
        raise UsageError("RULES", "--extend: these rules do not split single scans; leave it out, or add `splits`")
    if (out / SPLIT_FILE).exists():
        raise UsageError(
            "SPLIT_FROZEN",
            f"{SPLIT_FILE} is there, and these rules do not split; use the rules that drew it, or another folder",
        )
    return {}


def without_assigned_low(selection: Selection, rules: Rules, splits: dict[str, str]) -> Selection:
    """Returns the selection without pairs of low quality whose patient is already in training or validation."""
    settings = rules.splits
    if settings is None or not settings.low:
        return selection
    out = [pair for pair in selection.pairs if pair.is_low and splits[group_of(pair, settings)] != "test"]
    reason = "of low quality, but its patient is not in the test split"
    return _without(selection, out, reason, {series: reason for pair in out for series in pair.series})


def without_unreadable(selection: Selection, rules: Rules, faults: dict[str, str]) -> Selection:
    """Returns the selection without the pairs with an unreadable image, with a flow step and reasons for them.

    A pair keeps its place without a further source that the rules do not require; that source alone is excluded.
    """
    optional = {side.shows for side in rules.more if not side.required}
    selection = replace(selection, pairs=tuple(_without_optional(pair, faults, optional) for pair in selection.pairs))
    out = [pair for pair in selection.pairs if set(pair.series) & set(faults)]
    reasons = {name: "its partner cannot be read" for pair in out for name in pair.series}
    reasons |= {name: f"cannot be read: {fault}" for name, fault in faults.items()}
    return _without(selection, out, "one of its images cannot be read", reasons)


def _without_optional(pair: Pair, faults: Mapping[str, str], optional: Collection[str]) -> Pair:
    gone = {contrast for contrast, scan in pair.more.items() if contrast in optional and scan["series"] in faults}
    return replace(pair, more={contrast: scan for contrast, scan in pair.more.items() if contrast not in gone})


def _without(selection: Selection, out: Sequence[Pair], reason: str, reasons: Mapping[str, str]) -> Selection:
    """Returns the selection without some pairs, with a flow step if there are any.

    Args:
        selection: the pairs so far.
        out: those that are dropped.
        reason: of the flow step.
        reasons: of each series that may be excluded now; one that a pair that is left shares is not.
    """
    gone = {pair.name for pair in out}
    kept = tuple(pair for pair in selection.pairs if pair.name not in gone)
    used = {name for pair in kept for name in pair.series}
    excluded = [(name, text) for name, text in reasons.items() if name not in used]
    steps = [FlowStep(reason, selection.unit, len(selection.pairs), len(out))] if out else []
    return replace(
        selection,
        pairs=kept,
        flow_steps=(*selection.flow_steps, *steps),
        exclusions=tuple(sorted([*selection.exclusions, *excluded])),
    )


def _wanted(pairs: Iterable[Pair], rules: Rules) -> list[CohortImage]:
    images: list[CohortImage] = []
    for pair in pairs:
        images.append(CohortImage(pair.source, rules.source.shows, pair.run))
        if pair.target is not None and rules.target is not None:
            images.append(CohortImage(pair.target, rules.target.shows))
        images += [CohortImage(scan, contrast) for contrast, scan in pair.more.items()]
    # Two pairs may share a further source. By path, two series of one name would be one, and the other lost.
    return list({(image.scan["series"], image.shows): image for image in images}.values())


def _summary(selection: Selection, rules: Rules, counts: dict[str, int]) -> dict[str, object]:
    written = rules.model_dump(mode="json", by_alias=True, exclude_none=True)
    for step, content in zip(rules.steps, written["steps"], strict=True):
        if step.listed is not None:
            content["listed"] = step.listed.name  # not where it lies
    boxes = [vars(step) for step in selection.flow_steps]
    parts = "quality" if rules.splits is None else "splits"
    return {"name": rules.name, "rules": written, "scans": selection.scans, "boxes": boxes, parts: counts}


def _write_tables(out: Path, selection: Selection, rules: Rules, splits: dict[str, str]) -> dict[str, list[Pair]]:
    """Writes the table of all cases and one for each test set; returns the pairs or single scans of each part."""
    names = ("train", "validation", TEST_GOOD, TEST_LOW) if rules.splits is not None else (*TIERS, UNKNOWN_QUALITY)
    parts: dict[str, list[Pair]] = {name: [] for name in names}
    cases: dict[str, list[Case]] = {name: [] for name in names}
    for pair in selection.pairs:
        assignment = _by_quality(pair) if rules.splits is None else assignment_of(pair, rules.splits, splits)
        part = assignment.test_set or (UNKNOWN_QUALITY if rules.splits is None else assignment.split)
        parts[part].append(pair)
        cases[part].append(_case_of(pair, assignment, out, rules))
    absent = {"split": rules.splits is None, "target": rules.target is None}
    write = partial(write_cases, without=[column for column, is_absent in absent.items() if is_absent])
    write(out / CASES, sorted((case for part in cases.values() for case in part), key=lambda case: case.case))
    for name in (TEST_GOOD, TEST_LOW):
        if cases.get(name):
            write(out / f"cases_{name}.tsv", cases[name])
        else:
            (out / f"cases_{name}.tsv").unlink(missing_ok=True)
    return {name: pairs for name, pairs in parts.items() if pairs}


def _case_of(pair: Pair, assignment: SplitAssignment, out: Path, rules: Rules) -> Case:
    images = zip((name for name, _ in pair.sides), _wanted([pair], rules), strict=True)
    files = {name: out / image.path for name, image in images}
    return Case(
        pair.name,
        subject_name(pair.patient),
        assignment.split,
        files["source"],
        files.get("target", ABSENT),
        more={contrast: files[contrast] for contrast in pair.more},
        set=assignment.test_set,
    )


def _by_quality(pair: Pair) -> SplitAssignment:
    """Returns the quality of a single scan in place of a test set; a table without splits is read as all `test`."""
    tier = pair.source["tier"]
    return SplitAssignment("test", tier if tier in TIERS else "")


def _exclusions(rows: Sequence[tuple[str, str]]) -> str:
    return "\n".join(["series\treason", *("\t".join(row) for row in rows)]) + "\n"
