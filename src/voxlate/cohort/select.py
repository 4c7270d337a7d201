"""Selects the pairs or single scans of a cohort by rules; every series is in one or has a reason why not.

The counts of the flow chart follow from the reasons.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from voxlate.archive.pseudonyms import subject_name
from voxlate.cohort.pairing import Pair, all_fit, any_fits, paired
from voxlate.cohort.rules import Rules, Step, Unit
from voxlate.cohort.series_rows import SeriesRow
from voxlate.errors import NoInput
from voxlate.io.tables import read_rows

T = TypeVar("T")


@dataclass(frozen=True)
class FlowStep:
    """One step of the flow chart.

    Attributes:
        reason: why they were dropped.
        unit: `scan` for series; `pair`, or `single` in a cohort without targets, after these are made.
        before: how many entered the step.
        dropped: how many it dropped.
    """

    reason: str
    unit: Unit
    before: int
    dropped: int


@dataclass(frozen=True)
class Selection:
    """Result of a selection.

    Attributes:
        scans: number of series of the index.
        flow_steps: in order.
        pairs: the pairs or single scans that are left, sorted by name.
        exclusions: pseudonym and reason of each series that is in none of them, sorted.
        unit: of `pairs`: `pair` or `single`.
    """

    scans: int
    flow_steps: tuple[FlowStep, ...]
    pairs: tuple[Pair, ...]
    exclusions: tuple[tuple[str, str], ...] = field(repr=False)
    unit: Unit = "pair"


def select(scans: Sequence[SeriesRow], rules: Rules) -> Selection:
    """Returns the pairs or single scans that the rules leave, and a reason for every other series.

    Args:
        scans: every series of the index; see `join_grades`.
        rules: of the cohort.

    Raises:
        NoInput: `NO_INPUT` when there are no scans, or a table of exclusions does not exist.
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
    pairs, unpaired = paired(left, rules)
    flow.record("scan", _reason_of_the_rest(rules), len(left), len(unpaired), [scan["series"] for scan in unpaired])
    pairs = _after_steps(pairs, rules, flow)
    used = {name for pair in pairs for name in pair.series}
    missing = [scan["series"] for scan in scans if scan["series"] not in used | set(flow.reasons)]
    if missing:
        raise AssertionError(f"{len(missing)} series are not in the cohort and have no reason")
    exclusions = tuple(sorted((name, reason) for name, reason in flow.reasons.items() if name not in used))
    return Selection(len(scans), tuple(flow.steps), tuple(pairs), exclusions, rules.unit)


def _reason_of_the_rest(rules: Rules) -> str:
    """Returns why a scan that no step excluded is in no pair, or is no single scan."""
    if rules.target is not None:
        return "no partner, or a better scan of the session was taken"
    better = ", or a better scan of the session was taken" if rules.best_of_session else ""
    return f"does not meet the conditions of the source{better}"


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

    def drop_pairs(
        self, reason: str, pairs: Sequence[Pair], is_dropped: Callable[[Pair], bool], unit: Unit = "pair"
    ) -> list[Pair]:
        """Records one step of pairs or single scans and returns those that are left."""
        kept, dropped = _partition(pairs, is_dropped)
        self.record(unit, reason, len(pairs), len(dropped), [name for pair in dropped for name in pair.series])
        return kept

    def record(self, unit: Unit, reason: str, before: int, dropped: int, series: Iterable[str]) -> None:
        """Records one step with the pseudonyms of the dropped series."""
        self.reasons |= dict.fromkeys(series, reason)
        self.steps.append(FlowStep(reason, unit, before, dropped))


def _after_steps(pairs: list[Pair], rules: Rules, flow: _Flow) -> list[Pair]:
    """Returns the pairs that have every required further source and that the steps of pairs leave."""
    for side in rules.more:
        if side.required:
            pairs = flow.drop_pairs(f"no {side.shows}", pairs, partial(_lacks, side.shows), rules.unit)
    for step in rules.steps:
        if step.of == "pair":
            pairs = flow.drop_pairs(step.reason, pairs, _pair_test(step, rules), rules.unit)
    return pairs


def _partition(items: Iterable[T], is_dropped: Callable[[T], bool]) -> tuple[list[T], list[T]]:
    kept: list[T] = []
    dropped: list[T] = []
    for item in items:
        (dropped if is_dropped(item) else kept).append(item)
    return kept, dropped


def _lacks(contrast: str, pair: Pair) -> bool:
    return contrast not in pair.more


def _scan_test(step: Step) -> Callable[[SeriesRow], bool]:
    listed = _listed(step)
    return lambda scan: scan["series"] in listed or any_fits(step.drop, scan)


def _pair_test(step: Step, rules: Rules) -> Callable[[Pair], bool]:
    listed = _listed(step)

    def is_dropped(pair: Pair) -> bool:
        absent = {f"{side.shows}.{name}": None for side in rules.more for name in pair.source}
        is_listed = bool(listed & {pair.name, subject_name(pair.patient)})
        return is_listed or any_fits(step.drop, {**absent, **pair.columns()})

    return is_dropped


def _listed(step: Step) -> set[str]:
    """Returns the names in the column `item` of the table of a step, none without a table."""
    if step.listed is None:
        return set()
    return {row["item"] for row in read_rows(step.listed, code="LIST", needed=("item",))}


def _images_of_several_patients(scans: Sequence[SeriesRow]) -> set[str]:
    """Returns the hashes of images that are filed under more than one patient, whether or not the rules drop them."""
    patients: dict[str, set[str]] = defaultdict(set)
    for scan in scans:
        if scan["content"]:
            patients[scan["content"]].add(scan["patient"])
    return {content for content, names in patients.items() if len(names) > 1}


def _duplicates(scans: Sequence[SeriesRow], rules: Rules) -> set[str]:
    """Returns the series to drop from each group with the same image: all but one.

    The one that is kept is the one whose session has most of source, target and further sources, so that a pair is not
    lost.
    """
    sides_of_session: dict[str, set[str]] = defaultdict(set)
    for scan in scans:
        for name, side in rules.sides:
            if all_fit(side.when, scan):
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
