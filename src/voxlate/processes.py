"""Work spread over processes at constant memory; a process that dies is told, never waited for."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from voxlate.errors import TemporaryFailure, UsageError

T = TypeVar("T")
R = TypeVar("R")

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


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
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = "1"
