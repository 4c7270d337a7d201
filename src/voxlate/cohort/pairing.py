"""Makes pairs: a source, a target near it in time, and the further sources near the source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from voxlate.archive.pseudonyms import session_name, subject_name
from voxlate.archive.rows import TIERS
from voxlate.cohort.rules import Condition, Rules
from voxlate.cohort.series_rows import SeriesRow


@dataclass(frozen=True)
class Pair:
    """A source and a target scan of one patient.

    Attributes:
        source, target: rows of the two series.
        more: rows of the further sources, by contrast; a contrast that was not found is left out.
    """

    source: SeriesRow
    target: SeriesRow
    more: Mapping[str, SeriesRow] = field(default_factory=dict, hash=False)

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
        """Returns the pseudonyms of all series: source, target, then the further sources."""
        return [scan["series"] for scan in (self.source, self.target, *self.more.values())]

    def columns(self) -> dict[str, object]:
        """Returns the columns of all series, as rules of pairs name them: `source.tier`, `target.tier`, `T2w.tier`."""
        sides = (("source", self.source), ("target", self.target), *self.more.items())
        return {f"{side}.{name}": value for side, series in sides for name, value in series.items()}


def any_fits(conditions: Iterable[Condition], columns: Mapping[str, object]) -> bool:
    """Returns whether at least one condition fits a row."""
    return any(condition.fits(columns) for condition in conditions)


def all_fit(conditions: Iterable[Condition], columns: Mapping[str, object]) -> bool:
    """Returns whether every condition fits a row."""
    return all(condition.fits(columns) for condition in conditions)


def paired(scans: Sequence[SeriesRow], rules: Rules) -> tuple[list[Pair], list[SeriesRow]]:
    """Returns a pair for each session with a source and a target near it, and the scans that are in no pair."""
    by_patient: dict[str, list[SeriesRow]] = defaultdict(list)
    for scan in scans:
        by_patient[scan["patient"]].append(scan)
    pairs: list[Pair] = []
    for members in by_patient.values():
        found: list[Pair] = []
        sources = _best_of_sessions([scan for scan in members if all_fit(rules.source.when, scan)])
        targets = _best_of_sessions([scan for scan in members if all_fit(rules.target.when, scan)])
        near = [(_days(source, target) or 0, _rank(source), _rank(target), source, target)
                for source in sources for target in targets if _is_near(source, target, rules.pair.within)]  # fmt: skip
        taken: set[str] = set()
        # nearest in time first, then by rank, so that the pairs do not depend on the order of the scans
        for *_, source, target in sorted(near, key=lambda candidate: candidate[:3]):
            if taken.isdisjoint({source["series"], target["series"]}):
                found.append(Pair(source, target))
                taken |= {source["series"], target["series"]}
        free = [scan for scan in members if scan["series"] not in taken]
        pairs += [replace(pair, more=_further(pair.source, free, rules)) for pair in found]
    used = {name for pair in pairs for name in pair.series}
    return sorted(pairs, key=lambda pair: pair.name), [scan for scan in scans if scan["series"] not in used]


def _further(source: SeriesRow, scans: Sequence[SeriesRow], rules: Rules) -> dict[str, SeriesRow]:
    """Returns for each further source of the rules the scan nearest in time to the source, then the best."""
    found: dict[str, SeriesRow] = {}
    for side in rules.more:
        near = [scan for scan in scans if all_fit(side.when, scan) and _is_near(source, scan, rules.pair.within)]
        if near:
            found[side.shows] = min(near, key=lambda scan: (_days(source, scan) or 0, _rank(scan)))
    return found


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
