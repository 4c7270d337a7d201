"""Work over processes: all of it, in bounded memory, and a dead process is told."""

import os
import signal
import subprocess
import sys
import time
from itertools import count, islice
from pathlib import Path

import pytest

from voxlate.errors import TemporaryFailure, UsageError
from voxlate.jobs.processes import parallel_map


def threads_and(number: int) -> tuple[str, int]:
    return os.environ["OMP_NUM_THREADS"], number * number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def note_process(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(0.1)


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


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_end_with_a_process_that_was_killed(tmp_path):
    code = "\n".join(
        (
            "import sys",
            "from itertools import repeat",
            "from tests.jobs.test_processes import note_process",
            "from voxlate.jobs.processes import parallel_map",
            "if __name__ == '__main__':",
            "    list(parallel_map(note_process, repeat(sys.argv[1]), jobs=2))",
        )
    )
    script, workers = tmp_path / "run.py", tmp_path / "workers"
    script.write_text(code)
    workers.mkdir()
    paths = [str(Path(__file__).parents[2]), *sys.path]
    parent = subprocess.Popen(
        [sys.executable, str(script), str(workers)], env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    )
    try:
        wait_until(lambda: len(list(workers.iterdir())) == 2)
    finally:
        parent.kill()
        parent.wait()
    started = [int(path.name) for path in workers.iterdir()]
    try:
        wait_until(lambda: not any(map(is_running, started)))
    finally:
        for process in filter(is_running, started):
            os.kill(process, signal.SIGKILL)


def wait_until(condition) -> None:
    end = time.monotonic() + 60  # two processes that load pytest on a busy machine
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
