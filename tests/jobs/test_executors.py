import os
import signal
from typing import NamedTuple

import pytest

from voxlate.jobs import executors
from voxlate.jobs.executors import Limits, in_processes
from voxlate.jobs.states import DONE, CaseOutcome


class Named(NamedTuple):
    name: str


def end(item, out):
    return CaseOutcome(item.name, DONE)


class DiesWhenItIsLoaded:
    """Work whose process is killed before the case begins, as by the memory limit of a container."""

    def __reduce__(self):
        return kill_another_process, (os.getpid(),)


def kill_another_process(process):
    if os.getpid() != process:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("gib", "expected"), [(None, ["keep"]), (2.0, [2 << 30])])
def test_a_worker_keeps_freed_memory_unless_its_memory_is_limited(monkeypatch, gib, expected):
    done = []
    monkeypatch.setattr(executors, "end_with_parent", lambda parent: None)
    monkeypatch.setattr(executors, "_limit_threads", lambda threads: None)
    monkeypatch.setattr(executors, "_work", [])
    monkeypatch.setattr(executors, "silence_warnings", lambda: None)
    monkeypatch.setattr(executors, "keep_freed_memory", lambda: done.append("keep"))
    monkeypatch.setattr(executors.resource, "setrlimit", lambda kind, sizes: done.append(sizes[0]))
    executors._initialise(None, Limits(gib=gib), None, 0)
    assert done == expected


def test_a_worker_that_dies_before_its_case_begins_was_killed_and_not_too_slow(tmp_path):
    found = list(in_processes([DiesWhenItIsLoaded()], iter([Named("a")]), tmp_path, limits=Limits(seconds=60)))
    assert [outcome.code for outcome in found] == ["KILLED"]


def test_a_memory_limit_below_the_size_of_the_process_fails_the_case_and_not_the_run(tmp_path):
    limits = Limits(seconds=60, gib=0.001)
    found = list(in_processes([end], iter([Named("a")]), tmp_path, limits=limits))
    assert [outcome.code for outcome in found] == ["MEMORY"]
