import os
import subprocess
import sys

import pytest

from voxlate import threads


def test_no_more_threads_than_the_affinity_and_the_container_allow(tmp_path, monkeypatch):
    there = len(os.sched_getaffinity(0))
    monkeypatch.setattr(threads, "_CPU_LIMITS", (str(tmp_path / "cpu.max"),))
    assert threads.free_cores() == there
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert threads.free_cores() == there
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert threads.free_cores() == 1


def test_the_limit_of_an_older_container_is_read_from_its_two_files(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "_CPU_LIMITS", (str(tmp_path / "cpu.cfs_quota_us"),))
    (tmp_path / "cpu.cfs_quota_us").write_text("50000\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    assert threads.free_cores() == 1
    (tmp_path / "cpu.cfs_quota_us").write_text("-1\n")
    assert threads.free_cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("given", "expected"), [({}, str(threads.free_cores())), ({"OMP_NUM_THREADS": "1"}, "1")])
def test_threads_wait_passively_and_what_the_user_set_stays(given, expected):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "OPENBLAS_NUM", "MKL_"))}
    code = (
        "import os; from voxlate.threads import use_free_cores; use_free_cores(); "
        "print(os.environ['OMP_WAIT_POLICY'], os.environ['OPENBLAS_NUM_THREADS'])"
    )
    run = subprocess.run([sys.executable, "-c", code], env=clean | given, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["PASSIVE", expected]
