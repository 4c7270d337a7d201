from __future__ import annotations

import pytest

from voxlate.evaluation.schema.results import read_evaluation
from voxlate.reporting.case_selection import leading_view
from voxlate.reporting.sections.verdicts import compare_with, verdict_line

NAMES = ("a", "b", "c", "d")


def verdict(folder, metric="mae", other="source"):
    evaluated = read_evaluation(folder.write())
    return compare_with(evaluated, leading_view(evaluated), metric, other)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "better"),
        ({"mean_difference": 5.0, "ci_low": 4.0, "ci_high": 6.0}, "worse"),
        ({"ci_high": 0.5}, "open"),
        ({"p_adjusted": 0.06}, "leaning"),
        ({"p_adjusted": 0.06, "ci_low": -1.0, "ci_high": 0.5}, "open"),
        ({"p_adjusted": None, "ci_low": None, "ci_high": None, "comparisons": 0}, "untested"),
    ],
)
def test_the_model_is_better_only_when_interval_and_adjusted_p_agree(evaluation, changes, outcome) -> None:
    folder = evaluation(*NAMES, images=False)
    folder.compare(**changes)
    assert verdict(folder).outcome == outcome


def test_a_verdict_does_not_depend_on_the_order_of_the_methods(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    folder.compare(first="source", second="synthetic", mean_difference=5.0, ci_low=4.0, ci_high=6.0)
    found = verdict(folder)
    assert (found.outcome, found.difference, found.interval) == ("better", -5.0, (-6.0, -4.0))


def test_a_higher_psnr_is_better(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    folder.compare(metric="psnr", mean_difference=5.0, ci_low=4.0, ci_high=6.0)
    assert verdict(folder, "psnr").outcome == "better"


def test_patients_in_whom_the_model_is_worse_are_counted(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    for row in folder.rows:
        if row[0] == "b" and row[2] == "synthetic" and row[4] == "mae":
            row[5] += 100
    found = verdict(folder)
    assert (found.lost, found.n) == (1, 4)
    assert "worse in 1 of 4 patients" in verdict_line(found)


def test_two_scans_of_a_patient_count_as_one(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    for row in folder.rows:
        row[1] = "P0" if row[1] == "P1" else row[1]
    assert verdict(folder).n == 3


def test_the_verdict_states_the_difference_and_its_interval_in_the_same_direction(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    folder.compare(note="with 4 patients no permutation p below 0.125 is possible")
    text = verdict_line(verdict(folder))
    assert "5.00 points lower" in text
    assert "4.00 to 6.00" in text
    assert "6 comparisons" in text
    assert "no permutation p below 0.125" in text


def test_the_verdict_remarks_that_too_few_patients_make_significance_impossible(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    folder.compare(p_adjusted=0.75)
    assert "with 4 patients and 6 comparisons an adjusted p below 0.05 is hardly possible" in verdict_line(
        verdict(folder)
    )


def test_methods_that_share_no_patient_are_not_compared(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    folder.rows = [row for row in folder.rows if row[2] != "histogram_match"]
    assert verdict(folder, other="histogram_match") is None
