"""The states of a case, the same in every run of many cases, and the counts that add up to the cases.

    cases = done + refused + failed + pending

Each file format keeps its own words for them:

    state     ledger, preparation.json, run.json   evaluation, cases/*.json   grades.tsv, items/*.json
    pending   pending                              no file                    PENDING
    done      done                                 evaluated                  OK
    refused   refused                              missing, refused           REFUSED:CODE
    failed    failed                               the run ends               FAILED:CODE
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from voxlate.errors import ITEMS_REFUSED_STATUS, InputRefused, TemporaryFailure, VoxlateError


class State(StrEnum):
    """Where a case stands: `refused` is the fault of its input, `failed` that of the machine or of voxlate."""

    PENDING = "pending"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


PENDING, DONE, REFUSED, FAILED = State


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """How a case ended, or that it is pending.

    Attributes:
        case: name of the case.
        state: see `State`.
        code, message: why it is not done; empty when it is.
        files: SHA-256 of each output file, by its path below the folder of the run, when the case is done.
        flag: code of a reason to look at the result although the case is done.
        inputs: hash of the inputs and settings of the case; empty where all cases of a run share their settings.
    """

    case: str
    state: State = PENDING
    code: str = ""
    message: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    flag: str = ""
    inputs: str = ""

    @property
    def text(self) -> str:
        """Returns the state with its code, as in `OK`, `REFUSED:NO_INPUT` or `PENDING`."""
        if self.state == DONE:
            return "OK"
        return f"{self.state.upper()}:{self.code}" if self.code else self.state.upper()


def outcome_of_error(case: str, error: VoxlateError, message: str | None = None) -> CaseOutcome:
    """Returns how an error ends a case: failed for a fault of the machine or of voxlate, refused for all others.

    Args:
        case: name of the case.
        error: the error that its work raised.
        message: text in place of the error's own, for example without names of files.
    """
    state = FAILED if error.state == "FAILED" else REFUSED
    return CaseOutcome(case, state, error.code, error.message if message is None else message)


MAY_PASS = ("NO_INPUT", "UNREADABLE", "SERIES_CHANGED", "MISSING_LIBRARY")
"""Codes of refusals whose cause may lie outside the scan: a disk that is not mounted, permissions, an index that is
older than its files, a library that is not installed."""


def may_pass(outcome: CaseOutcome) -> bool:
    """Returns whether a case that was not done may be done by another try: it failed, or see `MAY_PASS`."""
    return outcome.state == FAILED or (outcome.state == REFUSED and outcome.code in MAY_PASS)


@dataclass(frozen=True)
class Counts:
    """How many cases of a run are in each state; `cases` is the sum of the others."""

    cases: int
    done: int
    refused: int
    failed: int
    pending: int

    @property
    def exit_status(self) -> int:
        """Returns 0 when all are done, 75 when some are pending, 65 when all were refused, 8 otherwise."""
        if self.pending:
            return TemporaryFailure.exit_status
        if self.done == self.cases:
            return 0
        return InputRefused.exit_status if self.refused == self.cases else ITEMS_REFUSED_STATUS

    def told(self, *states: State) -> str:
        """Returns the counts of some states, or of all, as in `3 done, 1 refused`."""
        return ", ".join(f"{getattr(self, state)} {state}" for state in states or (DONE, REFUSED, FAILED, PENDING))


def count_states(states: Iterable[str]) -> Counts:
    """Returns how many there are of each `State`."""
    counts = Counter(states)
    return Counts(counts.total(), counts[DONE], counts[REFUSED], counts[FAILED], counts[PENDING])
