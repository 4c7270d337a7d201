import pytest

from voxlate.jobs import executors
from voxlate.jobs.executors import Limits


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
