import logging

from voxlate.io.log import of_case, warn


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
