from __future__ import annotations

from itertools import cycle

import numpy as np
import pytest
from scipy import stats

from voxlate.evaluation.schema.results import read_evaluation
from voxlate.reporting.case_selection import leading_view
from voxlate.reporting.sections.first_screen import first_screen, headline
from voxlate.reporting.sections.places import places_of
from voxlate.reporting.sections.verdicts import amount_of, compare_with, direction_of, is_powerless

NAMES = ("a", "b", "c", "d")


def verdict(folder, metric="mae", other="source"):
    evaluated = read_evaluation(folder.write())
    return compare_with(evaluated, leading_view(evaluated), metric, other)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "better"),
        ({"mean_difference": 5.0, "ci_low": 4.0, "ci_high": 6.0}, "worse"),
        ({"ci_high": 0.5, "n": 12}, "open"),
        ({"p_adjusted": 0.06, "n": 12}, "leaning"),
        ({"p_adjusted": 0.06, "n": 12, "ci_low": -1.0, "ci_high": 0.5}, "open"),
        ({"p_adjusted": 0.06}, "few"),
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
    assert (found.outcome, found.gain, found.gain_interval) == ("better", 5.0, (4.0, 6.0))


def test_a_higher_psnr_is_better(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    folder.compare(metric="psnr", mean_difference=5.0, ci_low=4.0, ci_high=6.0)
    assert verdict(folder, "psnr").outcome == "better"


def test_two_scans_of_a_patient_count_as_one(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    for row in folder.rows:
        row[1] = "P0" if row[1] == "P1" else row[1]
    assert verdict(folder).n == 3


def test_the_verdict_states_the_difference_and_its_interval_in_the_same_direction(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    folder.compare()
    amount, certainty = amount_of(verdict(folder))
    assert amount == " by 5.00 points"
    assert "4.00 to 6.00" in certainty
    assert "adjusted for 6 comparisons, 4 patients" in certainty
    folder.content["comparisons"].clear()
    folder.compare(mean_difference=5.0, ci_low=4.0, ci_high=6.0)
    assert direction_of(verdict(folder)) == "worse"
    assert "4.00 to 6.00" in amount_of(verdict(folder))[1]


@pytest.mark.parametrize(("n", "comparisons", "is_too_few"), [(4, 1, True), (6, 1, False), (7, 6, True), (8, 6, False)])
def test_too_few_patients_are_those_whose_smallest_adjusted_p_is_not_below_the_level(
    n, comparisons, is_too_few
) -> None:
    assert is_powerless(n, comparisons) == is_too_few
    assert (comparisons * 2 / 2**n >= 0.05) == is_too_few


def test_too_few_patients_for_a_test_are_told_instead_of_a_p_value(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    folder.compare(p_adjusted=0.75)
    certainty = amount_of(verdict(folder))[1]
    assert certainty.endswith("4 patients: too few for a test")
    assert "0.75" not in certainty
    assert headline(places(folder)).endswith("4 patients are too few for a test.")


def places(folder):
    evaluated = read_evaluation(folder.write())
    return places_of(evaluated, leading_view(evaluated))


def with_lesions(folder, change: float) -> None:
    """Adds lesions whose synthetic error differs from that in the mask by `change`."""
    own = [row for row in folder.rows if row[8] == "as_written"]
    folder.rows += [[*r[:3], "lesion", r[4], r[5] + change * (r[2] == "synthetic"), *r[6:]] for r in own]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (0.0, "better on average inside the mask and in lesions"),
        (40.0, "better on average inside the mask; worse on average in lesions"),
    ],
)
def test_the_headline_turns_where_the_numbers_turn(evaluation, change, told) -> None:
    folder = evaluation(*NAMES, images=False)
    with_lesions(folder, change)
    assert headline(places(folder)).startswith(f"Against the untouched source: {told}.")


@pytest.mark.parametrize(
    ("change", "told"),
    [(0.0, "No simple method is better on average."), (40.0, "A simple method is better on average in lesions.")],
)
def test_the_headline_says_where_a_simple_method_is_better(evaluation, change, told) -> None:
    folder = evaluation(*NAMES, images=False)
    with_lesions(folder, change)
    assert told in headline(places(folder))


def test_a_simple_method_that_is_better_on_average_but_not_shown_to_be_is_told_so(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    own = {row[0]: row[5] for row in folder.rows if row[2] == "synthetic" and row[4] == "mae"}
    change = dict(zip(NAMES, (-2.0, -2.0, -2.0, 1.0), strict=True))
    for row in folder.rows:
        if row[2] == "histogram_match" and row[4] == "mae":
            row[5] = own[row[0]] + change[row[0]]
    found = verdict(folder, other="histogram_match")
    assert (found.gain, direction_of(found)) == (-1.25, "no difference shown")
    told = headline(places(folder))
    assert "No simple method is shown to be better." in told
    assert "on average inside" in told  # against the source, whose sentence is another one
    assert "is better on average" not in told


def test_the_simple_method_is_the_one_with_the_best_mean_in_each_place(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    folder.content["methods"] = ["source", "histogram_match", "constant", "synthetic"]
    matched = [row for row in folder.rows if row[2] == "histogram_match" and row[8] == "as_written"]
    folder.rows += [[*r[:2], "constant", *r[3:5], r[5] + 9, *r[6:]] for r in matched if r[4] == "mae"]
    folder.rows += [[*r[:3], "lesion", *r[4:]] for r in matched]
    folder.rows += [[*r[:2], "constant", "lesion", *r[4:5], r[5] - 2, *r[6:]] for r in matched if r[4] == "mae"]
    ours = [row for row in folder.rows if row[2] == "synthetic" and row[8] == "as_written"]
    folder.rows += [[*r[:3], "lesion", *r[4:]] for r in ours]
    assert [place.simple.other for place in places(folder)] == ["histogram_match", "constant"]


def test_a_tested_result_is_told_without_on_average(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    folder.compare(family="primary")
    assert headline(places(folder)).startswith("Against the untouched source: better inside the mask.")
    folder.content["comparisons"].clear()
    folder.compare(family="primary", mean_difference=5.0, ci_low=4.0, ci_high=6.0)
    assert headline(places(folder)).startswith("Against the untouched source: worse inside the mask.")


def test_a_test_outside_the_primary_family_is_labelled_exploratory(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    with_lesions(folder, 0.0)
    folder.compare(family="primary")
    folder.compare(region="lesion")
    told = headline(places(folder))
    assert told.startswith("Against the untouched source: better inside the mask and, exploratory, in lesions.")
    inside, lesions = (amount_of(place.source)[1] for place in places(folder))
    assert inside.endswith("4 patients")
    assert lesions.endswith("4 patients, exploratory")


def test_a_simple_method_is_called_better_only_where_a_test_shows_it(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    for row in folder.rows:
        if row[2] == "synthetic" and row[4] == "mae":
            row[5] += 9
    worse = {"family": "primary", "second": "histogram_match", "mean_difference": 6.0, "ci_low": 5.0, "ci_high": 7.0}
    folder.compare(**worse, p_adjusted=0.27)
    assert "A simple method is better on average inside the mask." in headline(places(folder))
    folder.content["comparisons"].clear()
    folder.compare(**worse)
    assert "A simple method is better inside the mask." in headline(places(folder))


def enhancement(folder, *ours: float) -> None:
    """Adds the residual enhancement of vessels: 100 % for the source, `ours` in turn for the synthetic images."""
    folder.content["protocols"].append({"name": "enhancement", "definition": "Residual enhancement."})
    metric = ["enhanced_elsewhere", "residual_enhancement"]
    for method, values in (("source", [100.0]), ("synthetic", ours)):
        value = sum(values) / len(values)
        folder.rows += [
            [case["case"], case["patient"], method, *metric, each, "%", "enhancement", "as_written"]
            for case, each in zip(folder.content["cases"], cycle(values), strict=False)
        ]
        row = folder.content["summary"][0]
        keys = {"protocol": "enhancement", "region": metric[0], "metric": metric[1], "method": method, "mean": value}
        keys["mean_distance"] = sum(map(abs, values)) / len(values)
        folder.content["summary"].append({**row, **keys, "n": 4, "unit": "%"})


@pytest.mark.parametrize(
    ("ours", "direction"), [(30.0, "better"), (-30.0, "better"), (130.0, "worse"), (-130.0, "worse")]
)
def test_residual_enhancement_of_vessels_is_judged_by_its_distance_from_none(evaluation, ours, direction) -> None:
    folder = evaluation(*NAMES, images=False)
    enhancement(folder, ours)
    vessels = places(folder)[-1]
    assert vessels.short == "in enhancing vessels"
    assert direction_of(vessels.source) == f"{direction} on average"


@pytest.mark.parametrize(
    ("ours", "direction", "certainty"), [(30.0, "better", "adjusted for"), (-80.0, "better on average", "not tested")]
)
def test_a_test_of_the_difference_is_no_test_of_the_distance_from_a_best_value_between(
    evaluation, ours, direction, certainty
) -> None:
    folder = evaluation(*NAMES, images=False)
    enhancement(folder, ours)
    where = {"protocol": "enhancement", "region": "enhanced_elsewhere", "metric": "residual_enhancement"}
    folder.compare(**where, mean_difference=ours - 100, ci_low=ours - 120, ci_high=ours - 80)
    vessels = places(folder)[-1]
    assert direction_of(vessels.source) == direction
    assert certainty in amount_of(vessels.source)[1]


def test_too_much_in_one_patient_and_too_little_in_another_do_not_cancel(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    enhancement(folder, 130.0, -130.0)
    vessels = places(folder)[-1].source
    assert (vessels.ours, vessels.our_loss, vessels.gain) == (0, 130, -30)
    assert direction_of(vessels) == "worse on average"
    evaluated = read_evaluation(folder.path)
    assert "mean distance from 0: 130" in str(first_screen(evaluated, leading_view(evaluated), ""))


def test_values_on_both_sides_of_the_best_are_tested_by_their_distance_from_it(evaluation) -> None:
    names = tuple("abcdefghij")
    folder = evaluation(*names, images=False)
    enhancement(folder, 20.0, -30.0, 10.0, -5.0, 40.0)
    where = {"protocol": "enhancement", "region": "enhanced_elsewhere", "metric": "residual_enhancement"}
    folder.compare(**where, mean_difference=-93.0, ci_low=-100, ci_high=-80, comparisons=4, n=10)
    vessels = places(folder)[-1].source
    gains = np.array([80.0, 70.0, 90.0, 95.0, 60.0] * 2)
    half = stats.t.ppf(0.975, 9) * gains.std(ddof=1) / np.sqrt(10)
    assert vessels.gain == pytest.approx(79)
    assert vessels.gain_interval == pytest.approx((79 - half, 79 + half))
    assert vessels.p_adjusted == pytest.approx(4 * 2 / 2**10)  # all signs agree: 2 of 1024 patterns, Bonferroni over 4
    assert direction_of(vessels) == "better"


@pytest.mark.parametrize(("changes", "direction"), [((1, -2, 2, 0), "no difference"), ((3, 4, 5, 4), "better on")])
def test_without_a_test_an_average_counts_only_if_its_interval_leaves_out_none(evaluation, changes, direction) -> None:
    folder = evaluation(*NAMES, images=False)
    own = {row[0]: row[5] for row in folder.rows if row[2] == "synthetic" and row[4] == "mae"}
    more = dict(zip(NAMES, changes, strict=True))
    for row in folder.rows:
        if row[2] == "source" and row[4] == "mae":
            row[5] = own[row[0]] + more[row[0]]
    found = verdict(folder)
    assert found.outcome == "untested"
    assert direction_of(found).startswith(direction)
    assert amount_of(found)[1].startswith("95 % interval")


def test_methods_that_share_no_patient_are_not_compared(evaluation) -> None:
    folder = evaluation(*NAMES, images=False)
    folder.rows = [row for row in folder.rows if row[2] != "histogram_match"]
    assert verdict(folder, other="histogram_match") is None
