"""Where the cases of a batch are worked on: here, in processes of their own, or on a Dask cluster.

A process that dies (out of memory, a fault in a library, over its time) fails its case and never the run: the case is
tried once more in a new process and then set aside as `KILLED` or `TIME`.
"""

from __future__ import annotations

import faulthandler
import importlib
import multiprocessing
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from voxlate.errors import TemporaryFailure, UsageError, silence_warnings
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

TRIES = 2
_CONTEXT = multiprocessing.get_context("spawn")
_work: list[tuple[Work[Any], Any]] = []
"""In a process for cases: the work, and the place where the time is written at which a case was begun."""


@dataclass(frozen=True)
class Limits:
    """What one case may take.

    Attributes:
        seconds: of the clock; None for no limit.
        gib: of memory that the process holds for itself; None for no limit.
        threads: of the processor.
    """

    seconds: float | None = None
    gib: float | None = None
    threads: int = 1


def in_this_process(work: Work[T], items: Iterator[T], out: Path) -> Iterator[CaseOutcome]:
    """Works on one case after the other; nothing guards the run against a case that kills it."""
    for item in items:
        yield work(item, out)


def in_processes(
    work: Work[T], items: Iterator[T], out: Path, *, workers: int, limits: Limits
) -> Iterator[CaseOutcome]:
    """Works on as many cases at a time as there are workers, each in a process of its own that lives for many cases.

    Raises:
        CannotWrite, TemporaryFailure: what `work` raises; the cases under way are worked on again in the next run.
    """
    crew: list[_Worker[T]] = [_Worker(work, out, limits) for _ in range(workers)]
    try:
        busy: dict[Future[CaseOutcome], _Worker[T]] = {}
        free = list(crew)
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
        for worker in crew:
            worker.close()


def on_dask(work: Work[T], items: Iterator[T], out: Path, *, address: str) -> Iterator[CaseOutcome]:
    """Works on the workers of a Dask scheduler, which must see the same files; a few cases ahead of them.

    Raises:
        UsageError: `MISSING_LIBRARY`; `SCHEDULER` when nobody answers at the address.
        TemporaryFailure: `SCHEDULER` when it is lost on the way.
    """
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise UsageError("MISSING_LIBRARY", "a Dask scheduler needs: pip install 'voxlate[cluster]'") from error
    try:
        client = distributed.Client(address, timeout="10s", set_as_default=False)
    except OSError as error:
        raise UsageError("SCHEDULER", f"no Dask scheduler answers at {address}") from error
    with client:
        running = distributed.as_completed(loop=client.loop)
        under_way: dict[Any, str] = {}  # Dask forgets a future that nobody holds
        while True:
            ahead = 2 * max(1, sum(client.nthreads().values()))  # workers may come later
            while len(under_way) < ahead and (item := next(items, None)) is not None:
                future = client.submit(_call, work, item, out, pure=False)
                under_way[future] = item.name
                running.add(future)
            if not under_way:
                return
            try:
                future = next(running)
                outcome = _of_dask(future, under_way[future], distributed)
            except (distributed.CancelledError, distributed.comm.CommClosedError) as error:
                raise TemporaryFailure("SCHEDULER", f"the scheduler at {address} was lost; run it again") from error
            del under_way[future]
            yield outcome


class _Worker(Generic[T]):
    """One process, made anew when it died."""

    item: T

    def __init__(self, work: Work[T], out: Path, limits: Limits) -> None:
        self.work, self.out, self.limits = work, out, limits
        self.began = _CONTEXT.Value("d", 0.0)
        self.pool = self._new_pool()
        self.tries = 0

    def start(self, item: T) -> Future[CaseOutcome]:
        """Begins with a case, or once more with the same."""
        self.tries = self.tries + 1 if self.tries and item.name == self.item.name else 1
        self.item = item
        return self.pool.submit(_within, item, self.out, self.limits.seconds)

    def end(self, future: Future[CaseOutcome]) -> CaseOutcome | None:
        """Returns the line that ends the case, or None when it is to be tried again."""
        try:
            return future.result()
        except BrokenProcessPool:
            self.pool.shutdown(wait=False)
            self.pool = self._new_pool()
        if self.tries < TRIES:
            return None
        spent = time.monotonic() - self.began.value
        if self.limits.seconds is not None and spent >= self.limits.seconds:
            message = f"took longer than {self.limits.seconds:g} s, {TRIES} times"
            return CaseOutcome(self.item.name, FAILED, "TIME", message)
        message = f"its process died {TRIES} times; perhaps out of memory"
        return CaseOutcome(self.item.name, FAILED, "KILLED", message)

    def close(self) -> None:
        """Ends the process."""
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1, mp_context=_CONTEXT, initializer=_begin, initargs=(self.work, self.limits, self.began, os.getpid())
        )


def _begin(work: Work[Any], limits: Limits, began: Any, parent: int) -> None:
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _limit_threads(limits.threads)
    silence_warnings()
    if limits.gib is not None:
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


def _end_with(parent: int) -> None:
    """Ends this process when the one that made it was killed, be it before this one was ready to notice."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def _within(item: Any, out: Path, seconds: float | None) -> CaseOutcome:
    """Works on a case; a watchdog ends the process when its time is over, whatever library it is in."""
    work, began = _work[0]
    began.value = time.monotonic()
    with Path(os.devnull).open("w") as nowhere:
        if seconds is not None:
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            outcome: CaseOutcome = work(item, out)
            return outcome
        finally:
            faulthandler.cancel_dump_traceback_later()


def _call(work: Work[T], item: T, out: Path) -> CaseOutcome:
    return work(item, out)


def _of_dask(future: Any, name: str, distributed: Any) -> CaseOutcome:
    try:
        outcome: CaseOutcome = future.result()
    except distributed.KilledWorker:
        return CaseOutcome(name, FAILED, "KILLED", "the workers that took it died; perhaps out of memory")
    return outcome
