"""Splits a cohort by patient, scanner or site; the splits are drawn once and stored in a file with its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import NotRequired, TypedDict

from voxlate.cohort.pairing import Pair
from voxlate.cohort.rules import Splits
from voxlate.cohort.series_rows import column
from voxlate.errors import InputRefused, UsageError
from voxlate.io.atomic import write_json
from voxlate.io.documents import MAX_TABLE_BYTES, read_json

SPLIT_FILE = "split.json"
TEST_GOOD, TEST_LOW = "Test_good", "Test_low"


@dataclass(frozen=True)
class SplitAssignment:
    """Split of a pair or of a single scan.

    Attributes:
        split: `train`, `validation` or `test`.
        test_set: `Test_good` or `Test_low` for the test split, else empty; the quality of a scan that is not split.
    """

    split: str
    test_set: str


class SplitFile(TypedDict):
    """Contents of `split.json`.

    Attributes:
        settings: those that the splits were drawn with.
        splits: `train`, `validation` or `test`, by group.
        sha256: hash of the two above.
    """

    settings: dict[str, object]
    splits: dict[str, str]
    sha256: NotRequired[str]


def assign_splits(pairs: Sequence[Pair], settings: Splits, previous: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the split of each group.

    With `low`, a group with a pair of low quality goes to the test split. The other groups are ordered by stratum and
    then by a hash of their name and the seed; groups at equal intervals of this order go to the test split, so that
    every stratum has its share. The validation split is drawn in the same way from the rest.

    Args:
        pairs: of the cohort.
        settings: see `Splits`.
        previous: splits that were assigned before, by group; they stay.

    Raises:
        UsageError: `SPLIT_CROSSES` when a patient joins two groups that were assigned to different splits; `COLUMN`.
    """
    result = dict(previous or {})
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(group_of(pair, settings), []).append(pair)
    parts = _groups_that_share_patients(groups)
    for part in parts:
        assigned = {result[name] for name in part if name in result}
        if len(assigned) > 1:
            names = " and ".join(sorted(part)[:2])
            raise UsageError("SPLIT_CROSSES", f"{names} share a patient and were assigned to different splits")
        if not assigned and settings.low and any(pair.is_low for name in part for pair in groups[name]):
            assigned = {"test"}
        result |= {name: split for split in assigned for name in part}
    fresh = [part for part in parts if not any(name in result for name in part)]
    ordered = sorted(
        fresh, key=lambda part: (*_stratum(groups[min(part)][0], settings), _order(settings.seed, min(part)))
    )
    for number, part in enumerate(ordered):
        if _is_turn(number, settings.test):
            result |= dict.fromkeys(part, "test")
    rest = [part for part in ordered if min(part) not in result]
    share = settings.validation / (1 - settings.test)
    for number, part in enumerate(rest):
        result |= dict.fromkeys(part, "validation" if _is_turn(number, share) else "train")
    return result


def _groups_that_share_patients(groups: Mapping[str, Sequence[Pair]]) -> list[set[str]]:
    """Returns sets of groups that share patients, so that each patient is in one split (union-find)."""
    parent = {name: name for name in groups}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    first: dict[str, str] = {}
    for name in sorted(groups):
        for pair in groups[name]:
            parent[root(name)] = root(first.setdefault(pair.patient, name))
    parts: dict[str, set[str]] = {}
    for name in sorted(groups):
        parts.setdefault(root(name), set()).add(name)
    return list(parts.values())


def group_of(pair: Pair, settings: Splits) -> str:
    """Returns the group of a pair, which goes to one split as a whole.

    Raises:
        UsageError: `COLUMN` when the column of `by` does not exist.
    """
    return str(column(pair.source, settings.by, "splits.by"))


def assignment_of(pair: Pair, settings: Splits, splits: Mapping[str, str]) -> SplitAssignment:
    """Returns the split of a pair.

    Args:
        pair: of the cohort.
        settings: see `Splits`.
        splits: by group; see `assign_splits`.
    """
    split = splits[group_of(pair, settings)]
    return SplitAssignment(split, "" if split != "test" else TEST_LOW if pair.is_low else TEST_GOOD)


def frozen_splits(folder: Path, pairs: Sequence[Pair], settings: Splits, *, extend: bool) -> dict[str, str]:
    """Returns the splits in `split.json`, and draws and writes them when the file does not exist.

    Args:
        folder: of the cohort.
        pairs: of the cohort now; groups that are no longer in it stay in the file.
        settings: see `Splits`; they must equal those in the file.
        extend: draw splits for groups that are not in the file.

    Raises:
        InputRefused: `SPLIT_CHANGED` when the file was changed, damaged or removed.
        UsageError: `SPLIT_FROZEN` for other settings, or for new groups without `extend`.
    """
    path = folder / SPLIT_FILE
    if not path.is_file() and (folder / "cases.tsv").is_file():
        raise InputRefused(
            "SPLIT_CHANGED",
            f"{path.name} is missing beside cases.tsv; restore it, name another folder, or remove cases.tsv",
        )
    previous = _read(path, settings) if path.is_file() else {}
    fresh = {group_of(pair, settings) for pair in pairs} - set(previous)
    if previous and fresh and not extend:
        raise UsageError("SPLIT_FROZEN", f"{len(fresh)} groups are not in {path.name}; add them with --extend")
    splits = assign_splits(pairs, settings, previous)
    if splits != previous:
        content: SplitFile = {"settings": settings.model_dump(mode="json"), "splits": dict(sorted(splits.items()))}
        write_json(path, {**content, "sha256": _hash(content)})
    return splits


def _read(path: Path, settings: Splits) -> dict[str, str]:
    try:
        content: SplitFile = read_json(path, max_bytes=MAX_TABLE_BYTES)
        digest = content.pop("sha256")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputRefused(
            "SPLIT_CHANGED", f"{path.name} is damaged; restore it, or remove it to draw new splits"
        ) from error
    if digest != _hash(content):
        raise InputRefused(
            "SPLIT_CHANGED", f"{path.name} was changed by hand; restore it, or remove it to draw new splits"
        )
    if content["settings"] != settings.model_dump(mode="json"):
        raise UsageError("SPLIT_FROZEN", f"{path.name} was drawn with other settings; use those, or another folder")
    return dict(content["splits"])


def _hash(content: SplitFile) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _stratum(pair: Pair, settings: Splits) -> tuple[str, ...]:
    return tuple(str(column(pair.source, name, "splits.strata")) for name in settings.strata)


def _order(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}\n{name}".encode()).hexdigest()


def _is_turn(number: int, share: float) -> bool:
    """Returns whether the item at this position is chosen when a share of an order is chosen at equal intervals.

    The first is half an interval from the start.

    Example:
        >>> [number for number in range(20) if _is_turn(number, 0.25)]
        [1, 5, 9, 13, 17]
    """
    return floor((number + 1) * share + 0.5) > floor(number * share + 0.5)
