"""Progress of long jobs: a bar on a terminal, and one line per minute in the log."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from voxlate.cli.console import is_quiet

LINE_SECONDS = 60.0  # between lines: frequent enough to see that a job runs, rare enough for a log of hours
log = logging.getLogger("voxlate")


class Heartbeat(Progress):
    """A progress bar that also logs one line per minute: task, count, total, elapsed time and time left.

    A thread of its own writes the line, so that a job does not seem to hang while one case takes ten minutes.
    """

    def __init__(self, *columns: Any, seconds: float = LINE_SECONDS, **options: Any) -> None:
        super().__init__(*columns, **options)
        self._seconds = seconds
        self._ended = threading.Event()
        self._began: dict[TaskID, float] = {}

    def add_task(self, description: str, *args: Any, **fields: Any) -> TaskID:
        """Adds a task; the time left is counted from now."""
        task = super().add_task(description, *args, **fields)
        self._began[task] = time.monotonic()
        return task

    def __enter__(self) -> Self:
        super().__enter__()
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        super().__exit__(kind, error, trace)

    def _beat(self) -> None:
        while not self._ended.wait(self._seconds):
            for line in self.lines():
                log.info("%s", line, extra={"is_shown": not self.disable})  # the bar shows it on a terminal

    def lines(self) -> list[str]:
        """Returns one line for each unfinished task."""
        return [self._line(task) for task in self.tasks if not task.finished]

    def _line(self, task: Any) -> str:
        gone = time.monotonic() - self._began[task.id]
        done = f"{task.completed:.0f} of {task.total:.0f}" if task.total is not None else f"{task.completed:.0f} done"
        left = ""
        if task.total is not None and task.completed > 0:
            left = f", {_duration(gone / task.completed * (task.total - task.completed))} left"
        return f"{task.description}: {done}, {_duration(gone)} gone{left}"


def progress_bar(*, off: bool) -> Heartbeat:
    """Returns a progress bar on standard error, or only the log lines if it is off or there is no terminal."""
    hidden = off or is_quiet() or not sys.stderr.isatty() or "SLURM_JOB_ID" in os.environ
    return Heartbeat(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=hidden,
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
