"""Selects the pairs of a cohort by rules; every series ends in a pair or has a reason why not.

The counts of the flow chart follow from the reasons.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TypeVar

from voxlate.archive.pseudonyms import session_name, subject_name
from voxlate.archive.rows import TIERS
from voxlate.cohort.rules import Condition, Rules, Step
from voxlate.cohort.series_rows import SeriesRow
from voxlate.errors import InputRefused, NoInput

T = TypeVar("T")


@dataclass(frozen=True)
class Pair:
    """A source and a target scan of one patient."""

    source: SeriesRow
    target: SeriesRow

    @property
    def patient(self) -> str:
        """Returns the pseudonym of the patient."""
        return self.source["patient"]

    @property
    def name(self) -> str:
        """Returns a name that is unique in the cohort: BIDS subject and session of the source."""
        return f"{subject_name(self.patient)}_{session_name(self.source['study'])}"

    @property
    def is_low(self) -> bool:
        """Returns whether either image is of low quality."""
        return "low" in (self.source["tier"], self.target["tier"])

    @property
    def series(self) -> list[str]:
        """Returns the pseudonyms of both series, source first."""
        return [self.source["series"], self.target["series"]]

    def columns(self) -> dict[str, object]:
        """Returns the columns of both series, as rules of pairs name them: `source.tier`, `target.tier`."""
        sides = (("source", self.source), ("target", self.target))
        return {f"{side}.{name}": value for side, series in sides for name, value in series.items()}


@dataclass(frozen=True)
class FlowStep:
    """One step of the flow chart.

    Attributes:
        reason: why scans or pairs were dropped.
        unit: `scan` or `pair`.
        before: how many entered the step.
        dropped: how many it dropped.
    """

    reason: str
    unit: str
    before: int
    dropped: int


@dataclass(frozen=True)
class Selection:
    """Result of a selection.

    Attributes:
        scans: number of series of the index.
        flow_steps: in order.
        pairs: those that are left, sorted by name.
        exclusions: pseudonym and reason of each series that is in no pair, sorted.
    """

    scans: int
    flow_steps: tuple[FlowStep, ...]
    pairs: tuple[Pair, ...]
    exclusions: tuple[tuple[str, str], ...] = field(repr=False)


def select(scans: Sequence[SeriesRow], rules: Rules) -> Selection:
    """Returns the pairs that the rules leave, and a reason for every other series.

    Args:
        scans: every series of the index; see `join_grades`.
        rules: of the cohort.

    Raises:
        NoInput: `NO_INPUT` when there are no scans.
        UsageError: `COLUMN` when a rule names a column that does not exist.
        InputRefused: `LIST` when a table of exclusions cannot be read.
    """
    if not scans:
        raise NoInput("NO_INPUT", "the index contains no series")
    flow = _Flow()
    left = flow.drop_scans("inconsistent identifiers", scans, lambda scan: bool(scan["fault"]))
    if rules.drop_duplicates:
        shared = _images_of_several_patients(scans)
        left = flow.drop_scans("same image under two patients", left, lambda scan: scan["content"] in shared)
    for step in rules.steps:
        if step.of == "scan":
            left = flow.drop_scans(step.reason, left, _scan_test(step))
    if rules.drop_duplicates:
        duplicates = _duplicates(left, rules)
        left = flow.drop_scans("same image as another scan", left, lambda scan: scan["series"] in duplicates)
    pairs, unpaired = _paired(left, rules)
    reason = "no partner, or a better scan of the session was taken"
    flow.record("scan", reason, len(left), len(unpaired), [scan["series"] for scan in unpaired])
    for step in rules.steps:
        if step.of == "pair":
            pairs = flow.drop_pairs(step.reason, pairs, _pair_test(step))
    paired = {name for pair in pairs for name in pair.series}
    missing = [scan["series"] for scan in scans if scan["series"] not in paired | set(flow.reasons)]
    if missing:
        raise AssertionError(f"{len(missing)} series are in no pair and have no reason")
    exclusions = tuple(sorted((name, reason) for name, reason in flow.reasons.items() if name not in paired))
    return Selection(len(scans), tuple(flow.steps), tuple(pairs), exclusions)


@dataclass
class _Flow:
    """Records the steps of a selection, and the reason of each dropped series by its pseudonym."""

    steps: list[FlowStep] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)

    def drop_scans(
        self, reason: str, scans: Sequence[SeriesRow], is_dropped: Callable[[SeriesRow], bool]
    ) -> list[SeriesRow]:
        """Records one step of scans and returns those that are left."""
        kept, dropped = _partition(scans, is_dropped)
        self.record("scan", reason, len(scans), len(dropped), [scan["series"] for scan in dropped])
        return kept

    def drop_pairs(self, reason: str, pairs: Sequence[Pair], is_dropped: Callable[[Pair], bool]) -> list[Pair]:
        """Records one step of pairs and returns those that are left."""
        kept, dropped = _partition(pairs, is_dropped)
        self.record("pair", reason, len(pairs), len(dropped), [name for pair in dropped for name in pair.series])
        return kept

    def record(self, unit: str, reason: str, before: int, dropped: int, series: Iterable[str]) -> None:
        """Records one step with the pseudonyms of the dropped series."""
        self.reasons |= dict.fromkeys(series, reason)
        self.steps.append(FlowStep(reason, unit, before, dropped))


def _partition(items: Iterable[T], is_dropped: Callable[[T], bool]) -> tuple[list[T], list[T]]:
    kept: list[T] = []
    dropped: list[T] = []
    for item in items:
        (dropped if is_dropped(item) else kept).append(item)
    return kept, dropped


def _scan_test(step: Step) -> Callable[[SeriesRow], bool]:
    listed = _listed(step)
    return lambda scan: scan["series"] in listed or _any_fits(step.drop, scan)


def _pair_test(step: Step) -> Callable[[Pair], bool]:
    listed = _listed(step)
    return lambda pair: pair.name in listed or _any_fits(step.drop, pair.columns())


def _any_fits(conditions: Iterable[Condition], columns: Mapping[str, object]) -> bool:
    return any(condition.fits(columns) for condition in conditions)


def _all_fit(conditions: Iterable[Condition], columns: Mapping[str, object]) -> bool:
    return all(condition.fits(columns) for condition in conditions)


def _listed(step: Step) -> set[str]:
    """Returns the names in the column `item` of the table of a step, none without a table."""
    path: Path | None = step.listed
    if path is None:
        return set()
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        return {row["item"] for row in rows}
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise InputRefused("LIST", f"{path.name} is not a tab-separated table with a column item") from error


def _images_of_several_patients(scans: Sequence[SeriesRow]) -> set[str]:
    """Returns the hashes of images that are filed under more than one patient, whether or not the rules drop them."""
    patients: dict[str, set[str]] = defaultdict(set)
    for scan in scans:
        if scan["content"]:
            patients[scan["content"]].add(scan["patient"])
    return {content for content, names in patients.items() if len(names) > 1}


def _duplicates(scans: Sequence[SeriesRow], rules: Rules) -> set[str]:
    """Returns the series to drop from each group with the same image: all but one.

    The one that is kept is the one whose session has most of source and target, so that a pair is not lost.
    """
    sides_of_session: dict[str, set[str]] = defaultdict(set)
    for scan in scans:
        for name, side in (("source", rules.source), ("target", rules.target)):
            if _all_fit(side.when, scan):
                sides_of_session[scan["study"]].add(name)
    same_image: dict[str, list[SeriesRow]] = defaultdict(list)
    for scan in scans:
        if scan["content"]:
            same_image[scan["content"]].append(scan)
    duplicates: set[str] = set()
    for group in same_image.values():
        ordered = sorted(group, key=lambda scan: (-len(sides_of_session[scan["study"]]), scan["series"]))
        duplicates |= {scan["series"] for scan in ordered[1:]}
    return duplicates


def _paired(scans: Sequence[SeriesRow], rules: Rules) -> tuple[list[Pair], list[SeriesRow]]:
    """Returns a pair for each session with a source and a target near it, and the scans that are in no pair."""
    by_patient: dict[str, list[SeriesRow]] = defaultdict(list)
    for scan in scans:
        by_patient[scan["patient"]].append(scan)
    pairs: list[Pair] = []
    for members in by_patient.values():
        sources = _best_of_sessions([scan for scan in members if _all_fit(rules.source.when, scan)])
        targets = _best_of_sessions([scan for scan in members if _all_fit(rules.target.when, scan)])
        near = [(_days(source, target) or 0, _rank(source), _rank(target), source, target)
                for source in sources for target in targets if _is_near(source, target, rules.pair.within)]  # fmt: skip
        taken: set[str] = set()
        # nearest in time first, then by rank, so that the pairs do not depend on the order of the scans
        for *_, source, target in sorted(near, key=lambda candidate: candidate[:3]):
            if taken.isdisjoint({source["series"], target["series"]}):
                pairs.append(Pair(source, target))
                taken |= {source["series"], target["series"]}
    paired = {name for pair in pairs for name in pair.series}
    return sorted(pairs, key=lambda pair: pair.name), [scan for scan in scans if scan["series"] not in paired]


def _best_of_sessions(scans: Sequence[SeriesRow]) -> list[SeriesRow]:
    sessions: dict[str, list[SeriesRow]] = defaultdict(list)
    for scan in scans:
        sessions[scan["study"]].append(scan)
    return [min(members, key=_rank) for members in sessions.values()]


def _rank(scan: SeriesRow) -> tuple[int, float, str]:
    """Returns a key that sorts the best scan first: by tier, then by pass probability, then by name."""
    tier = len(TIERS) if scan["tier"] not in TIERS else TIERS.index(scan["tier"])
    return tier, -(scan["pass_probability"] or 0.0), scan["series"]


def _is_near(source: SeriesRow, target: SeriesRow, within: str | int) -> bool:
    """Returns whether two scans are in one session, or at most `within` days apart."""
    if source["series"] == target["series"]:
        return False
    if within == "session":
        return source["study"] == target["study"]
    days = _days(source, target)
    return days is not None and days <= int(within)


def _days(source: SeriesRow, target: SeriesRow) -> int | None:
    """Returns the days between two scans, None when a date is unknown."""
    if source["study"] == target["study"]:
        return 0
    if source["day"] is None or target["day"] is None:
        return None
    try:
        return abs((date.fromisoformat(source["day"]) - date.fromisoformat(target["day"])).days)
    except ValueError:
        return None
