"""The state of a batch: counts of its cases, and whether its files are unchanged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from voxlate.errors import NoInput
from voxlate.inference import bids_app
from voxlate.io.atomic import sha256
from voxlate.jobs.batch import NAMES, SETTINGS, TABLE, batch_outcomes
from voxlate.jobs.states import DONE, CaseOutcome, Counts, count_states

OWN_FILES = {SETTINGS, NAMES, TABLE, *bids_app.OWN_FILES}
"""Files of a batch that belong to no case."""


@dataclass(frozen=True)
class Status(Counts):
    """The counts of a batch.

    Attributes:
        codes: how often each code was given for a case that is not done.
        flags: how often each code was given for a case that is done, but is to be looked at before use.
    """

    codes: dict[str, int]
    flags: dict[str, int]


def status_of(out: Path) -> Status:
    """Returns the counts of a batch by its table and its ledger.

    Raises:
        NoInput: `out` is not the folder of a batch.
    """
    outcomes = outcomes_of(out)
    counts = count_states(outcome.state for outcome in outcomes)
    codes = Counter(outcome.code for outcome in outcomes if outcome.code)
    flags = Counter(outcome.flag for outcome in outcomes if outcome.flag and outcome.state == DONE)
    return Status(**asdict(counts), codes=dict(sorted(codes.items())), flags=dict(sorted(flags.items())))


def differences(out: Path) -> Iterator[str]:
    """Yields a line for each file that is missing, changed or unaccounted for.

    Raises:
        NoInput: `out` is not the folder of a batch.
    """
    expected: dict[str, str] = {}
    for outcome in outcomes_of(out):
        if outcome.state == DONE:
            expected |= outcome.files
    for name, digest in expected.items():
        path = out / name
        if not path.is_file():
            yield f"{name}: missing"
        elif (actual := sha256(path)) != digest:
            yield f"{name}: changed, {actual[:12]}… instead of {digest[:12]}…"
    for path in sorted(out.rglob("[!.]*")):
        name = path.relative_to(out).as_posix()
        if path.is_file() and not name.startswith(".") and name not in expected and name not in OWN_FILES:
            yield f"{name}: in no line of the ledger"


def outcomes_of(out: Path) -> list[CaseOutcome]:
    """Returns the outcome of each case of a batch.

    Raises:
        NoInput: `out` is not the folder of a batch.
    """
    if not (out / SETTINGS).is_file():
        raise NoInput("NO_INPUT", f"{out.name} is not the folder of a batch")
    return batch_outcomes(out)
