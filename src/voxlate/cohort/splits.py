"""Splits by patient, or by scanner or site: drawn once, kept in a file with its hash, never changed silently."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import NotRequired, TypedDict

from voxlate.cohort.rules import Splits
from voxlate.cohort.select import Pair
from voxlate.cohort.series_rows import column
from voxlate.errors import InputRefused, UsageError
from voxlate.io.atomic import write_json
from voxlate.io.documents import MAX_TABLE_BYTES, read_json

SPLIT_FILE = "split.json"
TEST_GOOD, TEST_LOW = "Test_good", "Test_low"


@dataclass(frozen=True)
class SplitAssignment:
    """Where a pair belongs: `train`, `validation` or `test`, and of tests which set."""

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


def assign_splits(pairs: Sequence[Pair], settings: Splits, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the split of each group.

    A group with a pair of low quality is a test (as long as `low` is on). The others are ordered by stratum and then by
    a hash of their name with the seed; every so many of that order is a test, so that strata get their shares.

    Args:
        pairs: of the cohort.
        settings: see `Splits`.
        known: groups whose split is settled.

    Raises:
        UsageError: `SPLIT_CROSSES` when a patient joins two groups that are settled apart; `COLUMN`.
    """
    result = dict(known or {})
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(group_of(pair, settings), []).append(pair)
    parts = _parts(groups)
    for part in parts:
        settled = {result[name] for name in part if name in result}
        if len(settled) > 1:
            raise UsageError("SPLIT_CROSSES", f"a patient of {' and '.join(sorted(part)[:2])} would be in two splits")
        if not settled and settings.low and any(pair.is_low for name in part for pair in groups[name]):
            settled = {"test"}
        result |= {name: split for split in settled for name in part}
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


def _parts(groups: Mapping[str, Sequence[Pair]]) -> list[set[str]]:
    """Returns the groups joined where a patient is in several, so that nobody is on both sides of a split."""
    top = {name: name for name in groups}

    def found(name: str) -> str:
        while top[name] != name:
            top[name] = top[top[name]]
            name = top[name]
        return name

    first: dict[str, str] = {}
    for name in sorted(groups):
        for pair in groups[name]:
            top[found(name)] = found(first.setdefault(pair.patient, name))
    parts: dict[str, set[str]] = {}
    for name in sorted(groups):
        parts.setdefault(found(name), set()).add(name)
    return list(parts.values())


def group_of(pair: Pair, settings: Splits) -> str:
    """Returns the group that a pair is split by.

    Raises:
        UsageError: `COLUMN`.
    """
    return str(column(pair.source, settings.by, "splits.by"))


def assignment_of(pair: Pair, settings: Splits, splits: Mapping[str, str]) -> SplitAssignment:
    """Returns where a pair belongs; a low pair outside a test, which only happens with `low` off, has no set."""
    split = splits[group_of(pair, settings)]
    return SplitAssignment(split, "" if split != "test" else TEST_LOW if pair.is_low else TEST_GOOD)


def frozen_splits(folder: Path, pairs: Sequence[Pair], settings: Splits, *, extend: bool) -> dict[str, str]:
    """Returns the splits of the file in `folder`, or draws and writes them when there is none.

    Args:
        folder: of the cohort.
        pairs: of the cohort now; groups that are gone keep their place in the file.
        settings: see `Splits`; those of the file must be the same.
        extend: draw also for groups that the file does not know.

    Raises:
        InputRefused: `SPLIT_CHANGED` when the file is not as it was written.
        UsageError: `SPLIT_FROZEN` for other settings, or for new groups without `extend`.
    """
    path = folder / SPLIT_FILE
    if not path.is_file() and (folder / "cases.tsv").is_file():
        raise InputRefused("SPLIT_CHANGED", f"{path.name} is gone while cases.tsv is there; restore it, or remove both")
    known = _read(path, settings) if path.is_file() else {}
    fresh = {group_of(pair, settings) for pair in pairs} - set(known)
    if known and fresh and not extend:
        raise UsageError(
            "SPLIT_FROZEN", f"{len(fresh)} groups are new and the split is settled; add them with --extend"
        )
    splits = assign_splits(pairs, settings, known)
    if splits != known:
        content: SplitFile = {"settings": settings.model_dump(mode="json"), "splits": dict(sorted(splits.items()))}
        write_json(path, {**content, "sha256": _hash(content)})
    return splits


def _read(path: Path, settings: Splits) -> dict[str, str]:
    try:
        content: SplitFile = read_json(path, max_bytes=MAX_TABLE_BYTES)
        told = content.pop("sha256")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputRefused(
            "SPLIT_CHANGED", f"{path.name} is damaged; restore it, or remove it to split anew"
        ) from error
    if told != _hash(content):
        raise InputRefused("SPLIT_CHANGED", f"{path.name} was changed by hand; restore it, or remove it to split anew")
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
    """Tells whether the count of chosen ones goes up at this place of an order, half a step from its start."""
    return floor((number + 1) * share + 0.5) > floor(number * share + 0.5)
