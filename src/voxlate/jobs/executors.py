"""Executors: process the cases of a run in this process, in worker processes, or on a Dask cluster.

A worker process that dies (out of memory, a crash in a library, over its time limit) fails its case, not the run. The
case is tried once more in a new process; if that dies too, the case fails with the code `KILLED` or `TIME`.
"""

from __future__ import annotations

import faulthandler
import importlib
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from voxlate.allocator import keep_freed_memory
from voxlate.errors import MissingLibrary, TemporaryFailure, UsageError, silence_warnings
from voxlate.jobs.processes import end_with_parent
from voxlate.jobs.states import FAILED, CaseOutcome


class Named(Protocol):
    """A case: anything with a name that is unique in its run."""

    @property
    def name(self) -> str:
        """Returns the name of the case."""


T = TypeVar("T", bound=Named)
Work = Callable[[T, Path], CaseOutcome]
"""Processes one case; takes the case and the folder of the run, returns how the case ended."""

Executor = Callable[[Iterator[T], Path], Iterator[CaseOutcome]]
"""Processes cases and yields how each ended, in the order in which they end."""

_CONNECT_TIMEOUT = "10s"
"""How long to wait for a Dask scheduler; a scheduler in one network answers within milliseconds. Chosen by hand."""

TRIES = 2
"""Number of tries of a case that kills its process. A second one, as the cause may lie outside the case, for example in
the memory that other programs use; chosen by hand."""

_CONTEXT = multiprocessing.get_context("spawn")
_work: list[tuple[Work[Any], Any]] = []
"""In a worker process: the work, and the shared value that holds the time at which the case began."""


@dataclass(frozen=True)
class Limits:
    """The limits of a worker process.

    Attributes:
        seconds: time limit of one case in seconds; None for no limit.
        gib: limit of the memory of the process (`RLIMIT_DATA`) in GiB; None for no limit.
        threads: number of threads of PyTorch.
    """

    seconds: float | None = None
    gib: float | None = None
    threads: int = 1


def in_this_process(work: Work[T], items: Iterator[T], out: Path) -> Iterator[CaseOutcome]:
    """Processes one case after the other in this process; a case that crashes it ends the run.

    Args:
        work: processes one case.
        items: the cases.
        out: folder of the run.
    """
    for item in items:
        yield work(item, out)


def in_processes(works: Sequence[Work[T]], items: Iterator[T], out: Path, *, limits: Limits) -> Iterator[CaseOutcome]:
    """Processes cases in worker processes, one case at a time in each; a worker lives for many cases.

    Args:
        works: what each worker process does with a case; picklable. They differ in nothing but where they compute.
        items: the cases.
        out: folder of the run.
        limits: limits of each worker process.

    Raises:
        CannotWrite, TemporaryFailure: what a work raises; the next run repeats the cases that were in progress.
    """
    all_workers: list[_Worker[T]] = [_Worker(work, out, limits) for work in works]
    try:
        busy: dict[Future[CaseOutcome], _Worker[T]] = {}
        free = list(all_workers)
        while True:
            while free and (item := next(items, None)) is not None:
                worker = free.pop()
                busy[worker.start(item)] = worker
            if not busy:
                return
            for future in wait(busy, return_when=FIRST_COMPLETED).done:
                worker = busy.pop(future)
                outcome = worker.end(future)
                if outcome is None:
                    busy[worker.start(worker.item)] = worker
                else:
                    free.append(worker)
                    yield outcome
    finally:
        for worker in all_workers:
            worker.close()


def on_dask(work: Work[T], items: Iterator[T], out: Path, *, address: str) -> Iterator[CaseOutcome]:
    """Processes cases on the workers of a Dask scheduler, which must see the same file system.

    At most two cases per thread of the workers are submitted ahead, so that a million cases need little memory. When a
    worker dies, Dask blames every case that it held. A case that Dask gives up is therefore tried once more at the end,
    alone; only if its workers die again, the case fails with the code `KILLED`.

    Args:
        work: processes one case; it must be picklable.
        items: the cases.
        out: folder of the run.
        address: address of the scheduler.

    Raises:
        UsageError: `MISSING_LIBRARY`; `SCHEDULER` when no scheduler answers at the address.
        TemporaryFailure: `SCHEDULER` when the connection is lost during the run.
    """
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise MissingLibrary("MISSING_LIBRARY", "a Dask scheduler needs: pip install 'voxlate[cluster]'") from error
    try:
        client = distributed.Client(address, timeout=_CONNECT_TIMEOUT, set_as_default=False)
    except OSError as error:
        raise UsageError("SCHEDULER", f"no Dask scheduler answers at {address}") from error
    with client:
        running = distributed.as_completed(loop=client.loop)
        submitted: dict[Any, T] = {}  # Dask cancels a future that has no reference
        suspects: list[T] = []
        tried_alone: set[str] = set()

        def submit(item: T) -> None:
            future = client.submit(_process_on_dask, work, item, out, pure=False)
            submitted[future] = item
            running.add(future)

        while True:
            ahead = 2 * max(1, sum(client.nthreads().values()))  # workers may join later
            while len(submitted) < ahead and (item := next(items, None)) is not None:
                submit(item)
            if not submitted:
                if not suspects:
                    return
                suspect = suspects.pop()
                tried_alone.add(suspect.name)
                submit(suspect)
            future, outcome = _next_outcome(running, distributed, address)
            item = submitted.pop(future)
            if outcome is not None:
                yield outcome
            elif item.name in tried_alone:
                message = "the workers that tried it died, perhaps out of memory"
                yield CaseOutcome(item.name, FAILED, "KILLED", message)
            else:
                suspects.append(item)


class _Worker(Generic[T]):
    """One worker process; a new one is started when it dies."""

    item: T

    def __init__(self, work: Work[T], out: Path, limits: Limits) -> None:
        self.work, self.out, self.limits = work, out, limits
        self.began = _CONTEXT.Value("d", 0.0, lock=False)  # a killed worker would keep the lock
        self.pool = self._new_pool()
        self.tries = 0

    def start(self, item: T) -> Future[CaseOutcome]:
        """Starts a case, or tries the same case once more."""
        self.tries = self.tries + 1 if self.tries and item.name == self.item.name else 1
        self.item = item
        self.began.value = time.monotonic()  # the worker sets it again; one that dies while it starts has taken no time
        return self.pool.submit(_process_case, item, self.out, self.limits.seconds)

    def end(self, future: Future[CaseOutcome]) -> CaseOutcome | None:
        """Returns the outcome of the case, or None when it is to be tried again."""
        try:
            return future.result()
        except BrokenProcessPool:
            self.pool.shutdown(wait=False)
            self.pool = self._new_pool()
        if self.tries < TRIES:
            return None
        elapsed_s = time.monotonic() - self.began.value
        if self.limits.seconds is not None and elapsed_s >= self.limits.seconds:
            message = f"took longer than {self.limits.seconds:g} s in each of {TRIES} tries"
            return CaseOutcome(self.item.name, FAILED, "TIME", message)
        message = f"the process died in each of {TRIES} tries, perhaps out of memory"
        return CaseOutcome(self.item.name, FAILED, "KILLED", message)

    def close(self) -> None:
        """Ends the process."""
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1, mp_context=_CONTEXT, initializer=_initialise, initargs=(self.work, self.limits, self.began, os.getpid())
        )


def _initialise(work: Work[Any], limits: Limits, began: Any, parent: int) -> None:
    end_with_parent(parent)
    _limit_threads(limits.threads)
    silence_warnings()
    if limits.gib is None:
        keep_freed_memory()  # under a limit, memory that is freed but kept would count
    else:
        size = int(limits.gib * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    _work.append((work, began))


def _limit_threads(threads: int) -> None:
    """Limits the threads of PyTorch where the work needs it.

    This module does not import PyTorch, so that work without a network starts fast. Where `work` needs PyTorch, it is
    loaded by now: unpickling `work` in the new process imported its modules.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)


def _process_case(item: Any, out: Path, seconds: float | None) -> CaseOutcome:
    """Processes a case; a watchdog ends the process at the time limit, even inside a library."""
    work, began = _work[0]
    began.value = time.monotonic()
    with Path(os.devnull).open("w") as devnull:
        try:
            if seconds is not None:
                faulthandler.dump_traceback_later(seconds, exit=True, file=devnull)
        except RuntimeError:  # the watchdog is a thread, which needs memory
            return CaseOutcome(item.name, FAILED, "MEMORY", "its process does not fit into the memory it may take")
        try:
            outcome: CaseOutcome = work(item, out)
            return outcome
        finally:
            faulthandler.cancel_dump_traceback_later()


def _process_on_dask(work: Work[T], item: T, out: Path) -> CaseOutcome:
    return work(item, out)


def _next_outcome(running: Iterator[Any], distributed: Any, address: str) -> tuple[Any, CaseOutcome | None]:
    """Returns the next future that ends, with the outcome of its case; None when its workers died.

    Raises:
        TemporaryFailure: `SCHEDULER` when the connection is lost.
    """
    try:
        future = next(running)
        return future, future.result()
    except distributed.KilledWorker:
        return future, None
    except (distributed.CancelledError, distributed.comm.CommClosedError) as error:
        raise TemporaryFailure(
            "SCHEDULER", f"the connection to the scheduler at {address} was lost; run it again"
        ) from error
