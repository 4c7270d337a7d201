"""Work over processes: all of it, in bounded memory, and a dead process is told."""

import os
import signal
from itertools import count, islice

import pytest

from voxlate.errors import TemporaryFailure, UsageError
from voxlate.jobs.processes import parallel_map


def threads_and(number: int) -> tuple[str, int]:
    return os.environ["OMP_NUM_THREADS"], number * number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_one_job_works_in_order_in_this_process():
    assert list(parallel_map(os.path.basename, ["a/b", "c/d"], jobs=1)) == ["b", "d"]


def test_several_processes_do_every_item_once_with_one_thread_each():
    found = list(parallel_map(threads_and, range(7), jobs=2))
    assert sorted(found) == [("1", n * n) for n in range(7)]


def test_an_endless_iterable_is_taken_only_as_far_as_needed():
    taken = []

    def items():
        for number in count():
            taken.append(number)
            yield number

    found = list(islice(parallel_map(threads_and, items(), jobs=2), 3))
    assert len(found) == 3
    assert len(taken) <= 3 + 4


def test_a_killed_process_is_a_temporary_failure():
    with pytest.raises(TemporaryFailure, match="a process was killed"):
        list(parallel_map(die, range(3), jobs=2))


def test_no_process_at_all_is_refused():
    with pytest.raises(UsageError, match="0 processes cannot work"):
        list(parallel_map(threads_and, [1], jobs=0))
