"""Runs many cases to the end of each, however often the run is stopped or killed.

Each case is a task of its own that can be repeated. Its work is done in a folder of its own below `.work/`; its files
are flushed, hashed and renamed into place, and only then does the ledger get the line that ends the case.

    OUT/batch.json     settings that all runs share
    OUT/names.txt      the cases, in the order of the table
    OUT/ledger.tsv     one row per case: state, code, flag, files; written last
    OUT/.runs/         the ledger and the locks
    OUT/.work/         work in progress
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from voxlate.errors import TemporaryFailure, printable, writing
from voxlate.io.atomic import flush, remove_orphans, sha256, write_text
from voxlate.io.tables import inert_cell
from voxlate.jobs.executors import Executor, Named
from voxlate.jobs.ledger import RETRY, RUNS, Ledger, is_whole, read_ledger
from voxlate.jobs.locking import lock
from voxlate.jobs.run_folder import RunFolder
from voxlate.jobs.shards import shard_of
from voxlate.jobs.states import DONE, PENDING, REFUSED, CaseOutcome, may_pass
from voxlate.version import __version__

log = logging.getLogger("voxlate")

WORK, SETTINGS, NAMES, TABLE = ".work", "batch.json", "names.txt", "ledger.tsv"

T_co = TypeVar("T_co", bound=Named, covariant=True)
T = TypeVar("T", bound=Named)
Watch = Callable[[CaseOutcome], None]


class CaseTable(Protocol[T_co]):
    """The cases of a run, for example a `voxlate.inference.manifest.Manifest`."""

    @property
    def sha256(self) -> str:
        """Returns the hash of the table."""

    @property
    def faults(self) -> Mapping[str, str]:
        """Returns why a case is refused before its work begins, by its name."""

    def names(self) -> list[str]:
        """Returns the names of all cases, in order."""

    def items(self, shard: tuple[int, int]) -> Iterator[T_co]:
        """Yields the cases of a shard."""


def run_batch(
    table: CaseTable[T],
    out: Path,
    settings: dict[str, Any],
    executor: Executor[T],
    *,
    shard: tuple[int, int] = (1, 1),
    retry: bool = False,
    watch: Watch | None = None,
) -> None:
    """Brings every case of a shard to an end; a case that is done and whole is left alone.

    Args:
        table: all cases of the batch.
        out: folder of the batch.
        settings: what all runs of the batch must share, for example the hash of the bundle.
        executor: does the work; see `voxlate.jobs.executors`.
        shard: number of the part, from 1, and number of parts.
        retry: try again the cases that failed, and those refused for a cause outside the scan; see `may_pass`.
        watch: called with the outcome of each case.

    Raises:
        UsageError: `BATCH_DIFFERS` when `out` belongs to another table, bundle or settings; `FOLDER_OCCUPIED`.
        TemporaryFailure: `SHARD_BUSY` when another process works on the shard; `IO`; what the work raises.
        CannotWrite: `WRITE`; what the work raises.
    """
    _claim(table, out, settings | {"shards": shard[1]})
    with _only_runner(out, shard):
        _clear_work(out, shard)
        remove_orphans(out)
        ledger = Ledger(out)
        try:
            outcomes = read_ledger(out)
            _refuse_faults(table, shard, outcomes, ledger, watch)
            for outcome in executor(_remaining(table, shard, out, outcomes, ledger, retry=retry), out):
                record_outcome(outcome, ledger, watch)
        finally:
            ledger.close()
            _clear_work(out, shard)
    write_table(out)


def record_outcome(outcome: CaseOutcome, ledger: Ledger, watch: Watch | None = None) -> None:
    """Writes how a case ended to the ledger, then to the log, then calls `watch`."""
    ledger.end(outcome)
    if outcome.state != DONE:
        log.error("%s: %s %s", printable(outcome.case), outcome.text, printable(outcome.message))
    elif outcome.flag:
        # For the log file alone: the process that did the work has printed the reason.
        log.info("%s: flagged %s; look at it before use", outcome.case, outcome.flag, extra={"is_shown": True})
    if watch is not None:
        watch(outcome)


def write_table(out: Path) -> None:
    """Writes `ledger.tsv`, one row for each case in the order of the table."""
    # Shards may end together. One that wrote what it had read earlier would replace the table of one that ended later.
    with _locked(out, "table", wait=True):
        lines = ["case\tstate\tcode\tflag\tfiles"]
        for outcome in batch_outcomes(out):
            files = " ".join(f"{file}={value}" for file, value in sorted(outcome.files.items()))
            cells = [outcome.case, outcome.state, outcome.code, outcome.flag, files]
            lines.append("\t".join(inert_cell(cell) for cell in cells))
        write_text(out / TABLE, "\n".join(lines) + "\n")


def batch_outcomes(out: Path) -> list[CaseOutcome]:
    """Returns the outcome of each case of a batch, in the order of its table."""
    outcomes = read_ledger(out)
    return [outcomes.get(name) or CaseOutcome(name) for name in read_names(out)]


def read_names(out: Path) -> list[str]:
    """Returns the names of all cases of a batch, in the order of its table."""
    # `splitlines` would also split at other line separators, which names written by older versions may contain.
    return (out / NAMES).read_text(encoding="utf-8").removesuffix("\n").split("\n")


def batch_setting(out: Path, name: str) -> str:
    """Returns a setting that the first run of a batch chose, or an empty string before that run."""
    return str(_folder(out).settings().get(name, ""))


def move_into_place(work_folder: Path, out: Path) -> dict[str, str]:
    """Renames the files in a folder of work into the folder of the run and returns their hashes.

    The files were flushed to the disk when they were written. Sidecars (JSON) come last, so that an image with its
    sidecar is complete.

    Args:
        work_folder: folder of one case, on the same file system as `out`.
        out: folder of the run.

    Returns:
        SHA-256 of each file by its path below `out`.

    Raises:
        TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
    """
    paths = [path for path in sorted(work_folder.rglob("*")) if path.is_file()]
    hashes = {path.relative_to(work_folder).as_posix(): sha256(path) for path in paths}
    with writing(work_folder.name):
        for name in sorted(hashes, key=lambda name: name.endswith(".json")):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (work_folder / name).replace(out / name)
        for folder in {parent for name in hashes for parent in Path(name).parents}:
            flush(out / folder)
    return hashes


def _folder(out: Path) -> RunFolder:
    return RunFolder(out, SETTINGS, differ_code="BATCH_DIFFERS")


def require_own_folder(out: Path) -> None:
    """Refuses a folder that holds something other than a batch.

    Raises:
        UsageError: `FOLDER_OCCUPIED`.
    """
    if not (out / RUNS).is_dir():  # with it, a batch began here, even if it was killed before it wrote its settings
        _folder(out).require_own()


def _claim(table: CaseTable[T], out: Path, settings: dict[str, Any]) -> None:
    """Makes a folder that of the batch, or checks that it is; many tasks of a job array may do so at once."""
    folder = _folder(out)
    require_own_folder(out)
    names = table.names()
    settings = {"voxlate": __version__, "manifest_sha256": table.sha256, "cases": len(names)} | settings
    with _locked(out, "claim", wait=True):
        if folder.is_claimed:
            folder.require_same(settings)
            return
        write_text(out / NAMES, "".join(f"{name}\n" for name in names))
        folder.write_settings(settings)


@contextmanager
def _only_runner(out: Path, shard: tuple[int, int]) -> Iterator[None]:
    """Holds the lock of a shard."""
    try:
        with _locked(out, f"shard-{shard[0]}", wait=False):
            yield
    except BlockingIOError as error:
        raise TemporaryFailure("SHARD_BUSY", f"another process works on shard {shard[0]}/{shard[1]}") from error


@contextmanager
def _locked(out: Path, name: str, *, wait: bool) -> Iterator[None]:
    """Holds a lock, which the system releases however the process ends."""
    path = out / RUNS / f"{name}.lock"
    with writing(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    handle = lock(path, wait=wait)
    try:
        yield
    finally:
        os.close(handle)


def _clear_work(out: Path, shard: tuple[int, int]) -> None:
    """Removes the work in progress of killed processes; the lock of the shard shows that they are gone."""
    folder = out / WORK
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        if shard_of(path.name.rpartition("-")[0], shard[1]) == shard[0]:
            shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        folder.rmdir()


def _refuse_faults(
    table: CaseTable[T],
    shard: tuple[int, int],
    outcomes: Mapping[str, CaseOutcome],
    ledger: Ledger,
    watch: Watch | None,
) -> None:
    """Refuses the cases whose names cannot name a file."""
    for name, message in table.faults.items():
        if shard_of(name, shard[1]) == shard[0] and name not in outcomes:
            record_outcome(CaseOutcome(name, REFUSED, "CASE_NAME", message), ledger, watch)


def _remaining(
    table: CaseTable[T],
    shard: tuple[int, int],
    out: Path,
    outcomes: Mapping[str, CaseOutcome],
    ledger: Ledger,
    *,
    retry: bool,
) -> Iterator[T]:
    """Yields the cases that need work: pending, done with a file missing or changed, or to be retried."""
    for item in table.items(shard):
        if item.name in table.faults:
            continue
        outcome = outcomes.get(item.name) or CaseOutcome(item.name)
        is_broken = outcome.state == DONE and not is_whole(out, outcome)
        if is_broken or (retry and may_pass(outcome)):
            ledger.add(item.name, RETRY)
            yield item
        elif outcome.state == PENDING:
            yield item
