"""Makes pairs: a source, a target near it in time, and the further sources near the source.

Rules without a target make single scans: each source, with the further sources of its session.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from voxlate.archive.pseudonyms import session_name, subject_name
from voxlate.archive.rows import TIERS
from voxlate.cohort.rules import Condition, Rules, Side
from voxlate.cohort.series_rows import SeriesRow


@dataclass(frozen=True)
class Pair:
    """A source and a target scan of one patient; in a cohort of single scans, a source alone.

    Attributes:
        source: row of the series.
        target: row of the series, None for a single scan.
        more: rows of the further sources, by contrast; a contrast that was not found is left out.
        run: number of a single scan in its session, from 1 in order of acquisition; 0 where it is the only one, and
            for pairs.
    """

    source: SeriesRow
    target: SeriesRow | None
    more: Mapping[str, SeriesRow] = field(default_factory=dict, hash=False)
    run: int = 0

    @property
    def patient(self) -> str:
        """Returns the pseudonym of the patient."""
        return self.source["patient"]

    @property
    def name(self) -> str:
        """Returns a name that is unique in the cohort: BIDS subject, session and, if there are several, run."""
        name = f"{subject_name(self.patient)}_{session_name(self.source['study'])}"
        return f"{name}_run-{self.run}" if self.run else name

    @property
    def is_low(self) -> bool:
        """Returns whether the source or the target is of low quality."""
        return "low" in (self.source["tier"], None if self.target is None else self.target["tier"])

    @property
    def sides(self) -> list[tuple[str, SeriesRow]]:
        """Returns the rows of all series, each with its name: `source`, `target`, then the further contrasts."""
        target = [] if self.target is None else [("target", self.target)]
        return [("source", self.source), *target, *self.more.items()]

    @property
    def series(self) -> list[str]:
        """Returns the pseudonyms of all series: source, target, then the further sources."""
        return [scan["series"] for _, scan in self.sides]

    def columns(self) -> dict[str, object]:
        """Returns the columns of all series, as rules of pairs name them: `source.tier`, `target.tier`, `T2w.tier`."""
        return {f"{side}.{name}": value for side, series in self.sides for name, value in series.items()}


def any_fits(conditions: Iterable[Condition], columns: Mapping[str, object]) -> bool:
    """Returns whether at least one condition fits a row."""
    return any(condition.fits(columns) for condition in conditions)


def all_fit(conditions: Iterable[Condition], columns: Mapping[str, object]) -> bool:
    """Returns whether every condition fits a row."""
    return all(condition.fits(columns) for condition in conditions)


def paired(scans: Sequence[SeriesRow], rules: Rules) -> tuple[list[Pair], list[SeriesRow]]:
    """Returns the pairs or, for rules without a target, the single scans; and the scans that are in none of them."""
    by_patient: dict[str, list[SeriesRow]] = defaultdict(list)
    for scan in scans:
        by_patient[scan["patient"]].append(scan)
    pairs: list[Pair] = []
    for members in by_patient.values():
        target = rules.target
        found = _singles(members, rules) if target is None else _pairs(members, rules.source, target, _within(rules))
        taken = {name for pair in found for name in pair.series}
        free = [scan for scan in members if scan["series"] not in taken]
        pairs += [replace(pair, more=_further(pair.source, free, rules)) for pair in found]
    used = {name for pair in pairs for name in pair.series}
    return sorted(pairs, key=lambda pair: pair.name), [scan for scan in scans if scan["series"] not in used]


def _pairs(scans: Sequence[SeriesRow], source_side: Side, target_side: Side, within: str | int) -> list[Pair]:
    """Returns a pair for each session of a patient with a source and a target near it."""
    sources = _best_of_sessions([scan for scan in scans if all_fit(source_side.when, scan)])
    targets = _best_of_sessions([scan for scan in scans if all_fit(target_side.when, scan)])
    near = [(_days(source, target) or 0, _rank(source), _rank(target), source, target)
            for source in sources for target in targets if _is_near(source, target, within)]  # fmt: skip
    found: list[Pair] = []
    taken: set[str] = set()
    # nearest in time first, then by rank, so that the pairs do not depend on the order of the scans
    for *_, source, target in sorted(near, key=lambda candidate: candidate[:3]):
        if taken.isdisjoint({source["series"], target["series"]}):
            found.append(Pair(source, target))
            taken |= {source["series"], target["series"]}
    return found


def _singles(scans: Sequence[SeriesRow], rules: Rules) -> list[Pair]:
    """Returns every source of a patient, or the best of each session; several of a session are numbered."""
    sources = [scan for scan in scans if all_fit(rules.source.when, scan)]
    if rules.best_of_session:
        sources = _best_of_sessions(sources)
    sessions: dict[str, list[SeriesRow]] = defaultdict(list)
    for scan in sorted(sources, key=_acquired):
        sessions[scan["study"]].append(scan)
    return [
        Pair(scan, None, run=run if len(members) > 1 else 0)
        for members in sessions.values()
        for run, scan in enumerate(members, start=1)
    ]


def _within(rules: Rules) -> str | int:
    """Returns the limit of time of the rules; single scans take their further sources from their session."""
    return "session" if rules.pair is None else rules.pair.within


def _further(source: SeriesRow, scans: Sequence[SeriesRow], rules: Rules) -> dict[str, SeriesRow]:
    """Returns for each further source of the rules the scan nearest in time to the source, then the best."""
    found: dict[str, SeriesRow] = {}
    for side in rules.more:
        near = [scan for scan in scans if all_fit(side.when, scan) and _is_near(source, scan, _within(rules))]
        if near:
            found[side.shows] = min(near, key=lambda scan: (_days(source, scan) or 0, _rank(scan)))
    return found


def _best_of_sessions(scans: Sequence[SeriesRow]) -> list[SeriesRow]:
    sessions: dict[str, list[SeriesRow]] = defaultdict(list)
    for scan in scans:
        sessions[scan["study"]].append(scan)
    return [min(members, key=_rank) for members in sessions.values()]


def _acquired(scan: SeriesRow) -> tuple[float, float, str]:
    """Returns a key that sorts by time of acquisition, then number, then name; unknown values come last."""
    minute, number = scan["minute"], scan["number"]
    return math.inf if minute is None else minute, math.inf if number is None else number, scan["series"]


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
