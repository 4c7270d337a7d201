"""A cohort written: pairs, splits, reasons, counts, and the data set itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from voxlate.cohort.bids_export import Wanted, export, prune, require_distinct, write_frame
from voxlate.cohort.cases import Case, write_cases
from voxlate.cohort.selection.rules import Rules
from voxlate.cohort.selection.select import Box, Selection
from voxlate.cohort.selection.splits import TEST_GOOD, TEST_LOW, assigned, frozen_splits
from voxlate.errors import NoInput
from voxlate.io.atomic import write_json, write_text
from voxlate.processes import each

CASES, EXCLUSIONS, COHORT = "cases.tsv", "exclusions.tsv", "cohort.json"


@dataclass(frozen=True)
class Written:
    """What a cohort has come to: the selection, how many pairs each split holds, and what could not be written."""

    selection: Selection
    splits: dict[str, int]
    unreadable: dict[str, str]


def write_cohort(
    selection: Selection, rules: Rules, index: Path, out: Path, *, jobs: int = 1, extend: bool = False
) -> Iterator[str | Written]:
    """Writes a cohort as BIDS and yields each series as it is written, at the end what it has come to.

    Args:
        selection: see `select`.
        rules: by which.
        index: folder of the index that knows the files.
        out: folder of the data set; an earlier run's is taken up again.
        jobs: processes.
        extend: draw splits for patients that the split file does not know.

    Raises:
        NoInput: `NO_PAIRS` when nothing is left; the exclusions are written all the same.
        InputRefused: `NAMES_COLLIDE`, `SPLIT_CHANGED`.
        UsageError: `SPLIT_FROZEN`, `COLUMN`.
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    write_text(out / EXCLUSIONS, _exclusions(selection.exclusions))
    if not selection.pairs:
        raise NoInput("NO_PAIRS", f"no pair is left of {selection.scans} series; {EXCLUSIONS} says why")
    splits = frozen_splits(out, selection.pairs, rules.splits, extend=extend)
    sides = [(pair.source, rules.source.shows) for pair in selection.pairs]
    sides += [(pair.target, rules.target.shows) for pair in selection.pairs]
    wanted = [Wanted(scan, shows) for scan, shows in sides]
    require_distinct(wanted)
    unreadable: dict[str, str] = {}
    for series, fault in each(partial(export, index, out), wanted, jobs=jobs):
        unreadable |= {series: fault} if fault else {}
        yield series
    kept = without_unreadable(selection, unreadable)
    members = _members(kept)
    held = [one for one in wanted if one.scan["series"] in members]
    prune(out, held)
    write_frame(out, rules.name, held)
    counts = _write_tables(out, kept, rules, splits)
    told = {"name": rules.name, "rules": rules.model_dump(mode="json", by_alias=True), "scans": kept.scans,
            "boxes": [vars(box) for box in kept.boxes], "splits": counts}  # fmt: skip
    write_text(out / EXCLUSIONS, _exclusions(kept.exclusions))
    write_json(out / COHORT, told)
    yield Written(kept, counts, unreadable)


def without_unreadable(selection: Selection, unreadable: dict[str, str]) -> Selection:
    """Returns the selection without the pairs of which an image could not be read, with a box and reasons for them."""
    if not unreadable:
        return selection
    out = [pair for pair in selection.pairs if {pair.source["series"], pair.target["series"]} & set(unreadable)]
    kept = tuple(pair for pair in selection.pairs if pair not in out)
    reasons = {}
    for pair in out:
        for scan in (pair.source, pair.target):
            name = str(scan["series"])
            reasons[name] = (
                f"cannot be read: {unreadable[name]}" if name in unreadable else "its partner cannot be read"
            )
    box = Box("an image of it cannot be read", "pair", len(selection.pairs), len(out))
    exclusions = tuple(sorted([*selection.exclusions, *reasons.items()]))
    return replace(selection, pairs=kept, boxes=(*selection.boxes, box), exclusions=exclusions)


def _write_tables(out: Path, selection: Selection, rules: Rules, splits: dict[str, str]) -> dict[str, int]:
    """Writes the table of all cases and one for each test set; returns how many pairs each part holds."""
    parts: dict[str, list[Case]] = {}
    for pair in selection.pairs:
        place = assigned(pair, rules.splits, splits)
        source, target = (out / Wanted(*side).path for side in
                          ((pair.source, rules.source.shows), (pair.target, rules.target.shows)))  # fmt: skip
        case = Case(pair.name, f"sub-{pair.patient[:12]}", place.split, source, target)
        parts.setdefault(place.test_set or place.split, []).append(case)
    write_cases(out / CASES, sorted((case for part in parts.values() for case in part), key=lambda case: case.case))
    for name in (TEST_GOOD, TEST_LOW):
        if name in parts:
            write_cases(out / f"cases_{name}.tsv", parts[name])
    order = ("train", "validation", TEST_GOOD, TEST_LOW)
    return {name: len(parts[name]) for name in order if name in parts}


def _members(selection: Selection) -> set[str]:
    return {str(scan["series"]) for pair in selection.pairs for scan in (pair.source, pair.target)}


def _exclusions(rows: Sequence[tuple[str, str]]) -> str:
    return "\n".join(["series\treason", *("\t".join(row) for row in rows)]) + "\n"
