from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxlate.errors import UsageError
from voxlate.readers.allocation import allocate
from voxlate.readers.study import parse_study

from .conftest import STUDY

CASES = [f"case{at}" for at in range(8)]


def study(**changes):
    text = STUDY
    for old, new in changes.values():
        text = text.replace(old, new)
    return parse_study(text, name="study.yaml")


def of(items, design):
    return [item for item in items if item.design == design]


def test_the_same_seed_gives_the_same_order_and_another_seed_another():
    assert allocate(study(), CASES) == allocate(study(), CASES)
    assert allocate(study(), CASES) != allocate(study(seed=("seed: 3", "seed: 4")), CASES)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    cases=st.integers(1, 13),
    gap=st.integers(1, 13),
    repeats=st.integers(0, 13),
    sessions=st.sampled_from([1, 2]),
)
def test_two_showings_of_a_case_are_never_nearer_than_the_washout(seed, cases, gap, repeats, sessions):
    gap, repeats = min(gap, cases), min(repeats, cases)
    protocol = study(
        seed=("seed: 3", f"seed: {seed}"),
        repeats=("repeats: 2", f"repeats: {repeats}"),
        gap=("trials: 4", f"trials: {gap}, sessions: {sessions}"),
    )
    for items in allocate(protocol, [f"c{at}" for at in range(cases)]).values():
        last = {}
        for at, item in enumerate(items):
            assert at - last.get(item.case, at - gap) >= gap
            last[item.case] = at
        assert len(of(items, "turing")) == 2 * cases + repeats


def test_each_reader_sees_both_versions_of_each_case_once_and_the_repeats_again():
    for items in allocate(study(), CASES).values():
        shown = Counter((item.case, item.shown) for item in of(items, "turing") if not item.is_repeat)
        assert shown == Counter((case, (version,)) for case in CASES for version in ("real", "synthetic"))
        repeats = [item for item in of(items, "turing") if item.is_repeat]
        assert len(repeats) == 2
        assert {item.shown for item in repeats} == {("real",), ("synthetic",)}


def test_sides_and_first_versions_are_balanced_within_and_between_readers():
    orders = allocate(study(), CASES)
    for items in orders.values():
        assert Counter(item.shown[0] for item in of(items, "choice")) == {"real": 4, "synthetic": 4}
        assert Counter(item.shown[0] for item in of(items, "turing")[:8]) == {"real": 4, "synthetic": 4}
    left = {reader: {item.case: item.shown[0] for item in of(items, "choice")} for reader, items in orders.items()}
    assert all(left["anna"][case] != left["ben"][case] for case in CASES)


def test_blocks_rotate_between_readers():
    first = [next(iter(items)).design for items in allocate(study(), CASES).values()]
    assert first == ["turing", "choice", "lee"]


def test_with_two_sessions_the_versions_of_a_case_are_in_different_ones():
    protocol = study(gap=("trials: 4", "trials: 4, sessions: 2, days: 28"))
    for items in allocate(protocol, CASES).values():
        sessions = {(item.case, item.shown): item.session for item in of(items, "turing") if not item.is_repeat}
        assert all(sessions[case, ("real",)] != sessions[case, ("synthetic",)] for case in CASES)
        assert all(a.session <= b.session for a, b in pairwise(items))


def test_a_washout_longer_than_the_study_is_refused():
    with pytest.raises(UsageError, match="9 trials between versions of a case need as many cases; there are 8"):
        allocate(study(gap=("trials: 4", "trials: 9")), CASES)


def test_more_repeats_than_cases_are_refused():
    with pytest.raises(UsageError, match="9 repeats of 8 cases"):
        allocate(study(repeats=("repeats: 2", "repeats: 9")), CASES)
