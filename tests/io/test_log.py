import logging

from hypothesis import given
from hypothesis import strategies as st

from voxlate.io.log import of_case, text_above, warn


def test_a_warning_names_its_case_and_only_inside_of_it(caplog):
    with caplog.at_level(logging.WARNING, "voxlate"):
        with of_case("case_1"):
            warn("CODE", "it is odd; look at it")
            with of_case("case_2"):
                warn("CODE", "too")
            warn("CODE", "again")
        warn("CODE", "alone\n")
    assert caplog.messages == [
        "CODE case_1: it is odd; look at it",
        "CODE case_2: too",
        "CODE case_1: again",
        "CODE alone\\n",
    ]
    assert {record.code for record in caplog.records} == {"CODE"}


@given(st.sampled_from([1.0, 1.5]), st.floats(-12, 0.3))
def test_a_number_above_a_limit_is_written_as_one_that_is_with_no_more_digits_than_that_takes(limit, exponent):
    value = limit + 10**exponent
    text = text_above(value, limit)
    decimals = len(text.partition(".")[2])
    assert float(text) > limit
    assert abs(float(text) - value) <= 0.5 * 10**-decimals + 1e-15
    assert decimals == 1 or float(f"{value:.{decimals - 1}f}") <= limit


def test_a_score_that_is_just_above_the_limit_has_the_digits_that_show_it():
    assert [text_above(score, 1) for score in (2.37, 1.0372, 1.00001, 0.96)] == ["2.4", "1.04", "1.00001", "1.0"]
