"""Every case is in one state, and the counts add up."""

import pytest

from voxlate.errors import CannotWrite, InputRefused, ModelInvalid, NoInput, TemporaryFailure
from voxlate.jobs.states import CaseOutcome, State, count_states, outcome_of_error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InputRefused("EMPTY", "x"), "REFUSED:EMPTY"),
        (NoInput("NO_INPUT", "x"), "REFUSED:NO_INPUT"),
        (ModelInvalid("MODEL", "x"), "REFUSED:MODEL"),
        (CannotWrite("WRITE", "x"), "FAILED:WRITE"),
        (TemporaryFailure("IO", "x"), "FAILED:IO"),
    ],
)
def test_an_error_of_the_input_refuses_its_case_and_one_of_the_machine_fails_it(error, text):
    assert outcome_of_error("a", error).text == text


def test_done_and_pending_have_no_code():
    assert (CaseOutcome("a", State.DONE).text, CaseOutcome("a").text) == ("OK", "PENDING")


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([], 0),
        (["done"], 0),
        (["refused"] * 2, 65),
        (["done", "refused"], 8),
        (["failed"], 8),
        (["done", "pending"], 75),
    ],
)
def test_the_counts_add_up_and_give_the_exit_status(states, status):
    counts = count_states(map(State, states))
    assert counts.cases == counts.done + counts.refused + counts.failed + counts.pending == len(states)
    assert counts.exit_status == status
