"""Maps a function over items in several processes with bounded memory, and stops work cleanly at a signal."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from types import FrameType
from typing import Any, TypeVar

from voxlate.allocator import keep_freed_memory
from voxlate.errors import TemporaryFailure, UsageError, silence_warnings
from voxlate.threads import THREAD_VARIABLES

T = TypeVar("T")
R = TypeVar("R")

_PARENT_CHECK_S = 0.2
"""Time in seconds between two checks that the parent process lives, so that workers end within a second of it."""


class StopRequest:
    """Catches SIGINT and SIGTERM while a block runs, so that its work can stop at a safe point.

    A second signal takes its usual effect at once. Outside the main thread, where Python allows no signal handler, no
    signal is caught.

    Attributes:
        signal: number of the signal that came; 0 when none has come.
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
        """Ends the process as the signal would have; call it at a safe point of the work.

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


def parallel_map(work: Callable[[T], R], items: Iterable[T], *, jobs: int) -> Iterator[R]:
    """Yields the result of `work` for each item, in the order in which they end.

    With one job, the work is done in this process and in order. With several, each process uses one thread, and at most
    two items per process are taken ahead, so that `items` may be endless.

    Args:
        work: function of one item; it must be picklable.
        items: the items.
        jobs: number of processes.

    Example:
        >>> list(parallel_map(abs, [-1, 2], jobs=1))
        [1, 2]

    Raises:
        UsageError: `JOBS` when `jobs` is below 1.
        TemporaryFailure: `KILLED` when a process died.
    """
    require_jobs(jobs)
    if jobs == 1:
        yield from map(work, items)
        return
    try:
        yield from _spread(work, iter(items), jobs)
    except BrokenProcessPool as error:
        raise TemporaryFailure(
            "KILLED", "a process was killed, perhaps out of memory; run it again with fewer jobs"
        ) from error


def require_jobs(jobs: int) -> None:
    """Refuses a number of processes below 1.

    Raises:
        UsageError: `JOBS`.
    """
    if jobs < 1:
        raise UsageError("JOBS", f"{jobs} processes cannot work; give --jobs 1 or more")


def _spread(work: Callable[[T], R], waiting: Iterator[T], jobs: int) -> Iterator[R]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(os.getpid(),)) as pool:
        running: set[Future[R]] = set()
        while True:
            running |= {pool.submit(work, item) for item in islice(waiting, 2 * jobs - len(running))}
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)


def end_with_parent(parent: int) -> None:
    """Lets this process end when its parent dies, even if it died before this call.

    Without it, workers of a parent that was killed go on with the items that it gave them, then wait for ever.

    Args:
        parent: its process id.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_S)
    os._exit(1)


def _start(parent: int) -> None:
    """Limits numerical libraries to one thread; a new process has not loaded them yet, so that variables suffice."""
    end_with_parent(parent)
    silence_warnings()
    keep_freed_memory()
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
