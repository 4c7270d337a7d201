"""The group level of the BIDS-App: what a derivative holds of each participant, and the quality figures of its images.

OUT/group.tsv     one row per participant: scans by state, and figures of the sidecars
OUT/group.json    the same over all participants, the codes of refusals, and a description of each column
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxlate.inference.bids_app import GROUP_FILES, require_subjects
from voxlate.inference.verify import outcomes_of
from voxlate.io import bids
from voxlate.io.atomic import write_json, write_text
from voxlate.io.documents import read_object
from voxlate.jobs.states import DONE, CaseOutcome, count_states

TABLE, SUMMARY = GROUP_FILES

_NAMELESS = "n/a"
"""The row of the scans whose file has no valid BIDS name."""

COLUMNS = {
    "participant_id": "Label of the participant.",
    "scans": "Scans of the participant that the model takes.",
    "done": "Scans that were translated.",
    "refused": "Scans whose input was refused.",
    "failed": "Scans that failed by a fault of the machine.",
    "pending": "Scans that were not translated yet.",
    "flagged": "Translated scans to look at before they are used: unlike the scans of the training.",
    "distance": "Largest out-of-distribution score of the participant's translated scans.",
    "brain_voxels": "Mean number of voxels of the translated brain.",
    "level_ratio": "Mean of ReferenceLevel / SourceReferenceLevel: brightness of the synthetic over the source scan.",
}


@dataclass(frozen=True)
class Participant:
    """A row of `group.tsv`; see `COLUMNS`. Figures are None where no sidecar has them."""

    participant_id: str
    scans: int
    done: int
    refused: int
    failed: int
    pending: int
    flagged: int
    distance: float | None
    brain_voxels: float | None
    level_ratio: float | None


def summarise_group(out: Path, subjects: Sequence[str] = ()) -> list[Participant]:
    """Writes `group.tsv` and `group.json` of a derivative, and returns the rows.

    Args:
        out: folder that `voxlate bids DATA OUT participant` wrote; other shards may still be at work.
        subjects: labels without `sub-`; all subjects when empty.

    Raises:
        NoInput: `NO_INPUT` when `out` is not the folder of a batch, or holds no scan of a subject.
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    by_person: defaultdict[str, list[CaseOutcome]] = defaultdict(list)
    for outcome in outcomes_of(out):
        name = outcome.case.split("_")[0] if outcome.case.startswith("sub-") else _NAMELESS
        by_person[name].append(outcome)
    require_subjects(out, subjects, by_person.keys() - {_NAMELESS})
    chosen = {
        name: each for name, each in sorted(by_person.items()) if not subjects or name.removeprefix("sub-") in subjects
    }
    rows = [_participant(out, name, outcomes) for name, outcomes in chosen.items()]
    write_text(out / TABLE, bids.table([asdict(row) for row in rows], list(COLUMNS)))
    write_json(out / SUMMARY, _summary(rows, [outcome for each in chosen.values() for outcome in each]))
    return rows


def _participant(out: Path, name: str, outcomes: Sequence[CaseOutcome]) -> Participant:
    sidecars = [sidecar for outcome in outcomes if outcome.state == DONE for sidecar in _sidecars(out, outcome)]
    counts = count_states(outcome.state for outcome in outcomes)
    return Participant(
        participant_id=name,
        scans=counts.cases,
        done=counts.done,
        refused=counts.refused,
        failed=counts.failed,
        pending=counts.pending,
        flagged=sum(bool(outcome.flag) for outcome in outcomes),
        distance=max(_figures(sidecars, "QC", "Gate", "score"), default=None),
        brain_voxels=_mean(_figures(sidecars, "QC", "BrainVoxels")),
        level_ratio=_mean(_level_ratios(sidecars)),
    )


def _sidecars(out: Path, outcome: CaseOutcome) -> Iterator[Mapping[str, Any]]:
    """Yields what the sidecars of a case say of the synthetic images; `voxlate verify` tells of unreadable ones."""
    for name in outcome.files:
        found = read_object(out / name).get("Synthetic") if name.endswith(".json") else None
        if isinstance(found, dict):
            yield found


def _figures(sidecars: Sequence[Mapping[str, Any]], *keys: str) -> list[float]:
    """Returns a number of each sidecar that has it."""
    found = []
    for sidecar in sidecars:
        value: Any = sidecar
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            found.append(float(value))
    return found


def _level_ratios(sidecars: Sequence[Mapping[str, Any]]) -> list[float]:
    pairs = [(_figures([one], "ReferenceLevel"), _figures([one], "SourceReferenceLevel")) for one in sidecars]
    return [level[0] / source[0] for level, source in pairs if level and source and source[0] > 0]


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _summary(rows: Sequence[Participant], outcomes: Sequence[CaseOutcome]) -> dict[str, Any]:
    counts = asdict(count_states(outcome.state for outcome in outcomes))
    codes = Counter(outcome.code for outcome in outcomes if outcome.code)
    figures = {}
    for name in ("distance", "brain_voxels", "level_ratio"):
        values = [value for row in rows if (value := getattr(row, name)) is not None]
        if values:
            figures[name] = {
                "median": statistics.median(values),
                "min": min(values),
                "max": max(values),
                "n": len(values),
            }
    return {
        "participants": len(rows),
        "scans": counts,
        "flagged": sum(row.flagged for row in rows),
        "codes": dict(sorted(codes.items())),
        "figures": figures,
        "columns": {name: {"Description": text} for name, text in COLUMNS.items()},
    }
