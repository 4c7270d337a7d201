"""Progress of long jobs: one line per minute in the log, and what a bar on a terminal shows."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from rich.progress import Progress, Task, TaskID

from voxlate.io.log import duration

FIRST_SECONDS = 5.0  # of work before the time left is told for the first time; less is too uneven; chosen by hand
REUSED_SECONDS = 1.0  # an item of an earlier run is only checked, which takes less; chosen by hand
REUSED_FACTOR = 10.0  # how much longer than those the first item with work takes, at least; chosen by hand
LINE_SECONDS = 60.0  # between lines: frequent enough to see that a job runs, rare enough for a log of hours
log = logging.getLogger("voxlate")


@dataclass
class _Pace:
    """What the time left of a task is computed from.

    Attributes:
        began: when its first item began, on the monotonic clock.
        jobs: number of items that are worked on at the same time.
        skipped: items that an earlier run finished, which took no time of this one.
        reached: steps that were finished at the last call of `Heartbeat.reach`.
        is_told: whether the time left was told once.
        last: when an item was finished last.
        is_reusing: whether all items so far may be of an earlier run.
    """

    began: float
    jobs: int
    skipped: float = 0
    reached: float | None = None
    is_told: bool = False
    last: float = 0
    is_reusing: bool = True

    def finish(self, completed: float) -> None:
        """Notes that an item was finished; those before the first that took long are not counted for the time left.

        Args:
            completed: items that were finished before it.
        """
        now, count = time.monotonic(), completed - self.skipped
        took, before = now - self.last, (self.last - self.began) / max(count, 1)
        if self.is_reusing and took > REUSED_SECONDS:
            self.is_reusing = False
            if count > 0 and took > REUSED_FACTOR * before:
                self.began, self.skipped = self.last, completed
        self.last = now

    def seconds_left(self, completed: float, total: float, gone: float) -> float | None:
        """Returns the time left, or None before the first item is finished.

        When the first of several processes finishes its item, the others are nearly done with theirs.
        """
        done, items = completed - self.skipped, total - self.skipped
        if done <= 0:
            return None
        finished = max(done, min(self.jobs, items))
        return max(0.0, gone / finished * (items - finished))


class _Position(Protocol):
    step: int


class Heartbeat(Progress):
    """A progress bar that also logs one line per minute: task, count, total, elapsed time and time left.

    A thread of its own writes the line, so that a job does not seem to hang while one case takes ten minutes. The first
    case that is done gives the first estimate, which is logged at once if more than a minute is left.
    """

    def __init__(self, *columns: Any, seconds: float = LINE_SECONDS, **options: Any) -> None:
        super().__init__(*columns, **options)
        self._seconds, self._least_seconds = seconds, min(seconds, FIRST_SECONDS)
        self._ended = threading.Event()
        self._paces: dict[TaskID, _Pace] = {}

    def add_task(self, description: str, *args: Any, jobs: int = 1, **fields: Any) -> TaskID:
        """Adds a task; the time left is counted from now.

        Args:
            description: name of the task.
            *args: see `rich.progress.Progress.add_task`.
            jobs: number of items that are worked on at the same time.
            **fields: as `args`.
        """
        task = super().add_task(description, *args, **fields)
        now = time.monotonic()
        self._paces[task] = _Pace(now, max(1, jobs), last=now)
        return task

    def skip(self, task: TaskID, done: float) -> None:
        """States how many items of a task are finished without work of this run; the time is counted from now."""
        pace = self._paces[task]
        pace.began, pace.skipped = time.monotonic(), done
        pace.last, pace.is_reusing = pace.began, False  # the caller knows what an earlier run finished
        super().update(task, completed=done)

    def reach(self, task: TaskID, steps: int, **fields: Any) -> None:
        """States how many steps of a training are finished.

        The first call only starts the clock: what comes before it is the preparation of the cases, and the steps that
        an earlier run took. So does a call with fewer steps than before: the next fold begins.
        """
        pace = self._paces[task]
        if pace.reached is None or steps < pace.reached:
            self.skip(task, steps)
        pace.reached = steps
        self.update(task, completed=steps, **fields)

    def follow(self, task: TaskID) -> Callable[[_Position, float], None]:
        """Returns a watcher of a training, to be called with its position and its loss after each step."""

        def watch(position: _Position, loss: float) -> None:
            self.reach(task, position.step, description=f"training, loss {loss:.4f}")

        return watch

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Counts finished items; the first one tells the time left."""
        self._paces[task_id].finish(self._task(task_id).completed)
        super().advance(task_id, advance)
        self._tell_first(task_id)

    def update(self, task_id: TaskID, *args: Any, **fields: Any) -> None:
        """Changes a task; the first finished item tells the time left."""
        super().update(task_id, *args, **fields)
        self._tell_first(task_id)

    def _task(self, task_id: TaskID) -> Task:
        return next(each for each in self.tasks if each.id == task_id)

    def _tell_first(self, task_id: TaskID) -> None:
        pace, task = self._paces[task_id], self._task(task_id)
        left = self._seconds_left(task)
        if left is None or pace.is_told or self._gone(task) < self._least_seconds:
            return
        pace.is_told = True
        if left > self._seconds:
            log.info("%s", self._line(task), extra={"is_shown": not self.disable})

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
        done = f"{task.completed:.0f} of {task.total:.0f}" if task.total is not None else f"{task.completed:.0f} done"
        left = self._seconds_left(task)
        end = "" if left is None else f", about {duration(left)} left"
        return f"{task.description}: {done}, {duration(self._gone(task))} gone{end}"

    def _gone(self, task: Any) -> float:
        return time.monotonic() - self._paces[task.id].began

    def _seconds_left(self, task: Any) -> float | None:
        if task.total is None:
            return None
        return self._paces[task.id].seconds_left(task.completed, task.total, self._gone(task))
