from __future__ import annotations

import pytest

from voxlate.evaluation.schema.results import read_evaluation
from voxlate.reporting.case_selection import choose, leading_view


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, [("Only", "c0")]),
        (2, [("Best", "c0"), ("Worst", "c1")]),
        (3, [("Best", "c0"), ("Median", "c1"), ("Worst", "c2")]),
        (6, [("Best", "c0"), ("Median", "c2"), ("Worst", "c5")]),
    ],
)
def test_cases_are_shown_by_rank_of_mae_whatever_their_order(evaluation, n, expected) -> None:
    folder = evaluation(*(f"c{at}" for at in range(n)), images=False)
    folder.rows.sort(key=lambda row: (row[5], row[2]))
    folder.content["cases"].reverse()
    evaluated = read_evaluation(folder.write())
    assert [(c.title, c.case.case) for c in choose(evaluated, leading_view(evaluated))] == expected


def test_equal_scores_are_ranked_by_name(evaluation) -> None:
    folder = evaluation("b", "a", "c", images=False)
    for row in folder.rows:
        row[5] = 1.0
    evaluated = read_evaluation(folder.write())
    assert [c.case.case for c in choose(evaluated, leading_view(evaluated))] == ["a", "b", "c"]


def test_a_case_without_a_finite_mae_has_no_rank(evaluation) -> None:
    folder = evaluation("a", "b", "c", images=False)
    for row in folder.rows:
        if row[0] == "c":
            row[5] = "nan"
    evaluated = read_evaluation(folder.write())
    assert [(c.title, c.of) for c in choose(evaluated, leading_view(evaluated))] == [("Best", 2), ("Worst", 2)]


def test_the_first_protocol_leads(evaluation) -> None:
    folder = evaluation("a", images=False)
    folder.content["protocols"].insert(0, {"name": "other", "definition": "else"})
    other = [[*row[:3], "brain", *row[4:7], "other", row[8]] for row in folder.rows]
    folder.rows += other
    view = leading_view(read_evaluation(folder.write()))
    assert (view.protocol, view.region) == ("other", "brain")


def test_without_an_mae_cases_are_ranked_and_shown_by_the_next_metric(evaluation) -> None:
    folder = evaluation("a", "b", "c", images=False)
    folder.rows = [row for row in folder.rows if row[4] == "ssim"]
    evaluated = read_evaluation(folder.write())
    view = leading_view(evaluated)
    assert view.metric == "ssim"
    assert "SSIM" in view.rule
    assert [(c.title, c.case.case) for c in choose(evaluated, view)] == [("Best", "a"), ("Median", "b"), ("Worst", "c")]
