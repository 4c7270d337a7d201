"""Progress and messages of a public function on standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

    from voxlate.jobs.progress import Heartbeat

_LOG = logging.getLogger("voxlate")


@contextmanager
def progress(task: str, total: int, *, jobs: int = 1) -> Iterator[tuple[Heartbeat, TaskID]]:
    """Context manager that logs how far a task is, and shows what is logged.

    A program that has set up `logging`, or the level of the logger `voxlate`, is left in charge. Otherwise messages
    from level INFO on go to standard error while the context lasts.

    Args:
        task: name of the task.
        total: its number of items or steps.
        jobs: number of items that are worked on at the same time.
    """
    from voxlate.jobs.progress import Heartbeat

    with _shown(), Heartbeat(disable=True) as bar:
        yield bar, bar.add_task(task, total=total, jobs=jobs)


@contextmanager
def _shown() -> Iterator[None]:
    if _LOG.hasHandlers() or _LOG.level != logging.NOTSET:
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    _LOG.addHandler(handler)
    _LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        _LOG.setLevel(logging.NOTSET)
        _LOG.removeHandler(handler)
