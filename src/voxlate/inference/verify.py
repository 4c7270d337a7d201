"""What a batch has come to: counts that add up to the manifest, and files that are still what they were."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voxlate.errors import ITEMS_REFUSED_STATUS, InputRefused, NoInput, TemporaryFailure
from voxlate.inference import bids_app
from voxlate.inference.batch import NAMES, SETTINGS, TABLE, read_names
from voxlate.io.atomic import sha256
from voxlate.jobs.ledger import DONE, FAILED, PENDING, REFUSED, Standing, standings

OWN_FILES = {SETTINGS, NAMES, TABLE, *bids_app.OWN_FILES}


@dataclass(frozen=True)
class Status:
    """The counts of a batch; `cases` is the sum of the others.

    Attributes:
        cases: of the manifest.
        done, refused, failed, pending: how many are in each state.
        codes: how often each reason was given for what is not done.
    """

    cases: int
    done: int
    refused: int
    failed: int
    pending: int
    codes: dict[str, int]

    @property
    def exit_status(self) -> int:
        """Returns 0 when all are done, 75 when some are pending, 65 when all were refused, 8 otherwise."""
        if self.pending:
            return TemporaryFailure.exit_status
        if self.done == self.cases:
            return 0
        return InputRefused.exit_status if self.refused == self.cases else ITEMS_REFUSED_STATUS


def status_of(out: Path) -> Status:
    """Returns the counts of a batch by its manifest and its ledger.

    Raises:
        NoInput: `out` is not the folder of a batch.
    """
    known, counts, codes = standings(out), dict.fromkeys((DONE, REFUSED, FAILED, PENDING), 0), dict[str, int]()
    names = _names(out)
    for name in names:
        standing = known.get(name, Standing())
        counts[standing.state] += 1
        if standing.code:
            codes[standing.code] = codes.get(standing.code, 0) + 1
    return Status(len(names), codes=dict(sorted(codes.items())), **counts)


def differences(out: Path) -> Iterator[str]:
    """Yields a line for each file that is missing, changed or unaccounted for.

    Raises:
        NoInput: `out` is not the folder of a batch.
    """
    expected: dict[str, str] = {}
    known = standings(out)
    for name in _names(out):
        standing = known.get(name, Standing())
        if standing.state == DONE:
            expected |= standing.files
    for name, wanted in expected.items():
        path = out / name
        if not path.is_file():
            yield f"{name}: missing"
        elif (found := sha256(path)) != wanted:
            yield f"{name}: changed, {found[:12]}… instead of {wanted[:12]}…"
    for path in sorted(out.rglob("[!.]*")):
        name = path.relative_to(out).as_posix()
        if path.is_file() and not name.startswith(".") and name not in expected and name not in OWN_FILES:
            yield f"{name}: in no line of the ledger"


def _names(out: Path) -> list[str]:
    if not (out / SETTINGS).is_file():
        raise NoInput("NO_INPUT", f"{out.name} is not the folder of a batch")
    return read_names(out)
