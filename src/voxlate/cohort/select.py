"""The selection itself: every series ends in a pair or in a reason; the counts of the flow chart follow from that."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TypeVar

from voxlate.archive.pseudonyms import session_name, subject_name
from voxlate.archive.rows import TIERS
from voxlate.cohort.rules import Condition, Rules, Side, Step
from voxlate.cohort.series_rows import SeriesRow
from voxlate.errors import InputRefused, NoInput

Item = TypeVar("Item", SeriesRow, "Pair")


@dataclass(frozen=True)
class Pair:
    """A source and a target of one patient."""

    source: SeriesRow
    target: SeriesRow

    @property
    def patient(self) -> str:
        """Returns the pseudonym of the patient."""
        return self.source["patient"]

    @property
    def name(self) -> str:
        """Returns a name that is unique in the cohort."""
        return f"{subject_name(self.patient)}_{session_name(self.source['study'])}"

    @property
    def is_low(self) -> bool:
        """Returns whether either image is of low quality."""
        return "low" in (self.source["tier"], self.target["tier"])

    @property
    def series(self) -> list[str]:
        """Returns the pseudonyms of both series, the source's first."""
        return [self.source["series"], self.target["series"]]

    def columns(self) -> dict[str, object]:
        """Returns the columns of both, as rules of pairs name them."""
        sides = (("source", self.source), ("target", self.target))
        return {f"{side}.{name}": value for side, scan in sides for name, value in scan.items()}


@dataclass(frozen=True)
class FlowStep:
    """One step of the flow chart: what entered, what left by it and why, in `unit`s of scans or pairs."""

    reason: str
    unit: str
    before: int
    dropped: int


@dataclass(frozen=True)
class Selection:
    """What a selection comes to.

    Attributes:
        scans: how many series there were.
        flow_steps: in order.
        pairs: what is left, by name.
        exclusions: of every series that is in no pair, its pseudonym and the reason.
    """

    scans: int
    flow_steps: tuple[FlowStep, ...]
    pairs: tuple[Pair, ...]
    exclusions: tuple[tuple[str, str], ...] = field(repr=False)


def select(scans: Sequence[SeriesRow], rules: Rules) -> Selection:
    """Returns the pairs that the rules leave of the scans, and a reason for everything else.

    Raises:
        NoInput: `NO_INPUT` without a scan.
        UsageError: `COLUMN` for a rule about a column that there is not.
        InputRefused: `LIST` for a table of exclusions that cannot be read.
    """
    if not scans:
        raise NoInput("NO_INPUT", "the index holds no series")
    record = _Recorder()
    left = record.drop("scan", "identifiers in disorder", scans, lambda scan: bool(scan["fault"]), _series)
    if rules.drop_duplicates:
        shared = _shared(scans)
        left = record.drop("scan", "same picture under two patients", left, lambda s: s["content"] in shared, _series)
    for step in rules.steps:
        if step.of == "scan":
            left = record.drop("scan", step.reason, left, _test(step, _scan_name, _scan_columns), _series)
    if rules.drop_duplicates:
        doubles = _doubles(left, rules)
        left = record.drop("scan", "same picture as another scan", left, lambda s: s["series"] in doubles, _series)
    pairs, alone = _paired(left, rules)
    record.leave("scan", "no partner, or a better scan of the session was taken", left, alone)
    for step in rules.steps:
        if step.of == "pair":
            pairs = record.drop("pair", step.reason, pairs, _test(step, _pair_name, Pair.columns), _pair_series)
    taken = {name for pair in pairs for name in pair.series}
    missing = [scan["series"] for scan in scans if scan["series"] not in taken | set(record.reasons)]
    if missing:
        raise AssertionError(f"{len(missing)} series are in no pair and have no reason")
    exclusions = tuple(sorted((name, reason) for name, reason in record.reasons.items() if name not in taken))
    return Selection(len(scans), tuple(record.flow_steps), tuple(pairs), exclusions)


@dataclass
class _Recorder:
    flow_steps: list[FlowStep] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)

    def drop(
        self,
        unit: str,
        reason: str,
        items: Sequence[Item],
        is_out: Callable[[Item], bool],
        names: Callable[[Item], list[str]],
    ) -> list[Item]:
        """Returns what is left, after noting a box and the reason of whatever is not."""
        kept: list[Item] = []
        for item in items:
            if is_out(item):
                self.reasons |= dict.fromkeys(names(item), reason)
            else:
                kept.append(item)
        self.flow_steps.append(FlowStep(reason, unit, len(items), len(items) - len(kept)))
        return kept

    def leave(self, unit: str, reason: str, before: Sequence[SeriesRow], out: Sequence[SeriesRow]) -> None:
        self.reasons |= {scan["series"]: reason for scan in out}
        self.flow_steps.append(FlowStep(reason, unit, len(before), len(out)))


def _series(scan: SeriesRow) -> list[str]:
    return [scan["series"]]


def _pair_series(pair: Pair) -> list[str]:
    return pair.series


def _scan_name(scan: SeriesRow) -> str:
    return scan["series"]


def _scan_columns(scan: SeriesRow) -> Mapping[str, object]:
    return scan


def _pair_name(pair: Pair) -> str:
    return pair.name


def _test(
    step: Step, name: Callable[[Item], str], columns: Callable[[Item], Mapping[str, object]]
) -> Callable[[Item], bool]:
    listed = _listed(step.listed) if step.listed is not None else set()
    return lambda item: name(item) in listed or any(condition.fits(columns(item)) for condition in step.drop)


def _listed(path: Path) -> set[str]:
    """Returns the names in a table with a column `item`."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        return {row["item"] for row in rows}
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise InputRefused("LIST", f"{path.name} is no tab-separated table with a column item") from error


def _shared(scans: Sequence[SeriesRow]) -> set[str]:
    """Returns the pictures that are filed under more than one patient, whatever else is wrong with them."""
    owners: dict[str, set[str]] = defaultdict(set)
    for scan in scans:
        if scan["content"]:
            owners[scan["content"]].add(scan["patient"])
    return {content for content, patients in owners.items() if len(patients) > 1}


def _doubles(scans: Sequence[SeriesRow], rules: Rules) -> set[str]:
    """Returns the series to leave out of those with one picture: all but the one whose session may give a pair."""
    sessions: dict[str, set[str]] = defaultdict(set)
    for scan in scans:
        for name, side in (("source", rules.source), ("target", rules.target)):
            if _is(side, scan):
                sessions[scan["study"]].add(name)
    same: dict[str, list[SeriesRow]] = defaultdict(list)
    for scan in scans:
        if scan["content"]:
            same[scan["content"]].append(scan)
    doubles: set[str] = set()
    for group in same.values():
        ordered = sorted(group, key=lambda scan: (-len(sessions[scan["study"]]), scan["series"]))
        doubles |= {scan["series"] for scan in ordered[1:]}
    return doubles


def _paired(scans: Sequence[SeriesRow], rules: Rules) -> tuple[list[Pair], list[SeriesRow]]:
    """Returns a pair for each session that has a source and finds a target, and the scans that are in none."""
    by_patient: dict[str, list[SeriesRow]] = defaultdict(list)
    for scan in scans:
        by_patient[scan["patient"]].append(scan)
    pairs: list[Pair] = []
    for members in by_patient.values():
        sources = _best_of_sessions([scan for scan in members if _is(rules.source, scan)])
        targets = _best_of_sessions([scan for scan in members if _is(rules.target, scan)])
        near = [(_days(source, target) or 0, _rank(source), _rank(target), source, target)
                for source in sources for target in targets if _is_near(source, target, rules.pair.within)]  # fmt: skip
        taken: set[str] = set()
        for *_, source, target in sorted(near, key=lambda each: each[:3]):  # the nearest first, whoever it is of
            if taken.isdisjoint({source["series"], target["series"]}):
                pairs.append(Pair(source, target))
                taken |= {source["series"], target["series"]}
    used = {name for pair in pairs for name in pair.series}
    return sorted(pairs, key=_pair_name), [scan for scan in scans if scan["series"] not in used]


def _best_of_sessions(scans: Sequence[SeriesRow]) -> list[SeriesRow]:
    sessions: dict[str, list[SeriesRow]] = defaultdict(list)
    for scan in scans:
        sessions[scan["study"]].append(scan)
    return [min(members, key=_rank) for members in sessions.values()]


def _rank(scan: SeriesRow) -> tuple[int, float, str]:
    """Returns what sorts the best scan first: its tier, its probability of being one to use, its name."""
    tier = len(TIERS) if scan["tier"] not in TIERS else TIERS.index(scan["tier"])
    return tier, -(scan["pass_probability"] or 0.0), scan["series"]


def _is(side: Side, scan: SeriesRow) -> bool:
    return all(_fits(condition, scan) for condition in side.when)


def _fits(condition: Condition, scan: SeriesRow) -> bool:
    return condition.fits(scan)


def _is_near(source: SeriesRow, target: SeriesRow, within: str | int) -> bool:
    if source["series"] == target["series"]:
        return False
    if within == "session":
        return bool(source["study"] == target["study"])
    days = _days(source, target)
    return days is not None and days <= int(within)


def _days(source: SeriesRow, target: SeriesRow) -> int | None:
    if source["study"] == target["study"]:
        return 0
    if source["day"] is None or target["day"] is None:
        return None
    try:
        return abs((date.fromisoformat(source["day"]) - date.fromisoformat(target["day"])).days)
    except ValueError:
        return None
