"""Work spread over processes at constant memory; a process that dies is told, never waited for.

Also how work that is asked to stop ends at a good place.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from types import FrameType
from typing import Any, TypeVar

from voxlate.errors import TemporaryFailure, UsageError, silence_warnings
from voxlate.threads import THREAD_VARIABLES

T = TypeVar("T")
R = TypeVar("R")


class StopRequest:
    """Notes SIGINT and SIGTERM while a block runs, so that the work in it ends at a good place.

    A second signal is not waited for. Outside the main thread, where Python lets no handler be set, nothing is noted.

    Attributes:
        signal: the number of the signal; 0 before any.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    def obey(self) -> None:
        """Ends the process as the signal would have, once the work is at a good place.

        Raises:
            KeyboardInterrupt: after SIGINT.
            SystemExit: after SIGTERM, with 143.
        """
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + self.signal)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


def each(work: Callable[[T], R], items: Iterable[T], *, jobs: int) -> Iterator[R]:
    """Yields what `work` returns for each item as soon as it is there; with one job, in this process and in order.

    No more than two items per process are under way, so an endless iterable is fine. Each process has one thread.

    Args:
        work: a function that can be pickled, or a partial of one.
        items: what it is called with.
        jobs: processes.

    Raises:
        UsageError: `JOBS` when `jobs` is below 1.
        TemporaryFailure: `KILLED` when a process died.
    """
    if jobs < 1:
        raise UsageError("JOBS", f"{jobs} processes cannot work; give --jobs 1 or more")
    if jobs == 1:
        yield from map(work, items)
        return
    try:
        yield from _spread(work, iter(items), jobs)
    except BrokenProcessPool as error:
        raise TemporaryFailure(
            "KILLED", "a process was killed, perhaps out of memory; run it again with fewer jobs"
        ) from error


def _spread(work: Callable[[T], R], waiting: Iterator[T], jobs: int) -> Iterator[R]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_use_one_thread) as pool:
        running: set[Future[R]] = set()
        while True:
            running |= {pool.submit(work, item) for item in islice(waiting, 2 * jobs - len(running))}
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)


def _use_one_thread() -> None:
    """Tells the numerical libraries, which a new process has not loaded yet, that the processes are the parallelism."""
    silence_warnings()
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
