import logging
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from voxlate.jobs import progress
from voxlate.jobs.progress import Heartbeat


def test_a_long_job_says_how_far_it_is_without_a_terminal(caplog):
    caplog.set_level(logging.INFO, "voxlate")
    with Heartbeat(console=Console(stderr=True), disable=True, seconds=0.05) as bar:
        task = bar.add_task("evaluating", total=4)
        time.sleep(0.12)
        bar.advance(task)
        time.sleep(0.12)
        (line,) = bar.lines()
    assert "evaluating: 0 of 4, 0 s gone" in caplog.messages
    assert line.startswith("evaluating: 1 of 4, 0 s gone, about ")
    assert line.endswith(" left")
    count = len(caplog.messages)
    time.sleep(0.15)
    assert len(caplog.messages) == count


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [100.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_the_first_finished_case_tells_the_time_left_at_once_and_only_where_more_than_a_minute_is_left(clock, caplog):
    caplog.set_level(logging.INFO, "voxlate")
    bar = Heartbeat(disable=True)
    slow, short = bar.add_task("preparing", total=12), bar.add_task("grading", total=3)
    clock[0] += 30
    bar.advance(short)
    bar.advance(slow)
    bar.advance(slow)
    assert caplog.messages == ["preparing: 1 of 12, 30 s gone, about 6 min left"]


def test_cases_of_an_earlier_run_do_not_shorten_the_time_left(clock):
    bar = Heartbeat(disable=True)
    task = bar.add_task("preparing", total=10)
    for _ in range(5):
        clock[0] += 0.1  # only their files are checked
        bar.advance(task)
    clock[0] += 60
    bar.advance(task)
    assert bar.lines() == ["preparing: 6 of 10, 60 s gone, about 4 min left"]
    clock[0] += 60
    bar.advance(task)
    assert bar.lines() == ["preparing: 7 of 10, 2 min gone, about 3 min left"]


def test_cases_of_uneven_length_all_count_for_the_time_left(clock):
    bar = Heartbeat(disable=True)
    task = bar.add_task("grading", total=4)
    for seconds in (0.5, 2.0):
        clock[0] += seconds
        bar.advance(task)
    assert bar.lines() == ["grading: 2 of 4, 2 s gone, about 2 s left"]


def test_the_work_of_a_few_seconds_tells_no_time(clock, caplog):
    caplog.set_level(logging.INFO, "voxlate")
    bar = Heartbeat(disable=True)
    task = bar.add_task("grading", total=1000)
    for _ in range(4):
        clock[0] += 1.5
        bar.update(task, advance=1)
    assert caplog.messages == ["grading: 4 of 1000, 6 s gone, about 25 min left"]


def test_several_processes_share_what_is_left(clock):
    bar = Heartbeat(disable=True)
    task = bar.add_task("preparing", total=17, jobs=8)
    clock[0] += 100
    bar.advance(task)  # the seven others are nearly done too
    assert bar.lines() == ["preparing: 1 of 17, 2 min gone, about 2 min left"]
    few = bar.add_task("preparing", total=3, jobs=8)
    clock[0] += 10
    bar.advance(few)
    assert bar.lines()[1] == "preparing: 1 of 3, 10 s gone, about 0 s left"


def test_cases_of_an_earlier_run_do_not_count_as_work_of_this_one(clock):
    bar = Heartbeat(disable=True)
    task = bar.add_task("translating", total=100)
    bar.skip(task, 90)
    assert bar.lines() == ["translating: 90 of 100, 0 s gone"]
    clock[0] += 60
    bar.advance(task)
    assert bar.lines() == ["translating: 91 of 100, 60 s gone, about 9 min left"]


def test_the_time_of_a_training_begins_with_its_first_step_also_when_it_is_resumed_or_a_fold_begins(clock):
    bar = Heartbeat(disable=True)
    task = bar.add_task("preparing", total=1000)
    clock[0] += 500  # preparation of the cases
    bar.reach(task, 901)
    assert bar.lines() == ["preparing: 901 of 1000, 0 s gone"]
    clock[0] += 2
    bar.reach(task, 902, description="training")
    assert bar.lines() == ["training: 902 of 1000, 2 s gone, about 3 min left"]
    bar.reach(task, 1)
    clock[0] += 4
    bar.reach(task, 2)
    assert bar.lines() == ["training: 2 of 1000, 4 s gone, about 67 min left"]


def test_a_task_that_is_done_is_not_told_any_more():
    with Heartbeat(disable=True) as bar:
        task = bar.add_task("grading", total=1)
        bar.advance(task)
        assert bar.lines() == []


@pytest.mark.parametrize("is_hidden", [True, False])
def test_the_line_of_a_minute_is_printed_once_beside_the_bar_and_always_logged(caplog, is_hidden):
    caplog.set_level(logging.INFO, "voxlate")
    with Heartbeat(console=Console(stderr=True), disable=is_hidden, seconds=0.05) as bar:
        bar.add_task("evaluating", total=4)
        time.sleep(0.12)
    assert {record.is_shown for record in caplog.records} == {not is_hidden}
