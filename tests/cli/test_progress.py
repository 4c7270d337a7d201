import logging
import time

import pytest
from rich.console import Console

from voxlate.cli.progress import Heartbeat


def test_a_long_job_says_how_far_it_is_without_a_terminal(caplog):
    caplog.set_level(logging.INFO, "voxlate")
    with Heartbeat(console=Console(stderr=True), disable=True, seconds=0.05) as bar:
        task = bar.add_task("evaluating", total=4)
        time.sleep(0.12)
        bar.advance(task)
        time.sleep(0.12)
        (line,) = bar.lines()
    assert "evaluating: 0 of 4, 0 s gone" in caplog.messages
    assert line.startswith("evaluating: 1 of 4, 0 s gone, ")
    assert line.endswith(" left")
    count = len(caplog.messages)
    time.sleep(0.15)
    assert len(caplog.messages) == count


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
