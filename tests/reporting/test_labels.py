from __future__ import annotations

import math

import pytest

from voxlate.evaluation.metrics import IMAGE_METRICS
from voxlate.reporting import labels


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9123, "0.912"), (12.345, "12.3"), (-1.5, "−1.50"), (1234.5, "1234"), (0.0, "0.00"), (-0.0001, "−0.0001")],
)
def test_a_number_has_three_significant_digits_and_a_true_minus_sign(value: float, text: str) -> None:
    assert labels.number(value) == text


def test_a_number_that_rounds_to_zero_has_no_sign() -> None:
    assert labels.number(-0.0004, 2) == "0.00"


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_number_that_is_not_there_is_a_dash(value: float | None) -> None:
    assert labels.number(value) == labels.MISSING


def test_a_small_p_is_never_printed_as_zero() -> None:
    assert labels.p_value(1e-9).startswith("<")
    assert labels.p_value(0.0491) == "0.049"
    assert labels.p_value(0.5) == "0.50"


@pytest.mark.parametrize("name", IMAGE_METRICS)
def test_the_best_value_of_every_metric_loses_to_no_other(name: str) -> None:
    metric = labels.metric(name)
    best = metric.best
    others = [0.5, 0.9, 1.7] if math.isinf(best) else [best + 0.4, best - 0.4]
    possible = (
        others
        if IMAGE_METRICS[name].better == "one"
        else [v for v in others if (v < best) == (metric.better == "higher")]
    )
    assert possible
    assert all(metric.loss(best) < metric.loss(value) for value in possible)


def test_an_unknown_metric_gets_no_direction() -> None:
    metric = labels.metric("sparkle_index")
    assert metric.label == "Sparkle index"
    assert metric.arrow == ""
    assert math.isnan(metric.loss(1.0))


def test_leading_metrics_come_first_and_the_others_keep_their_order() -> None:
    assert labels.leading(["zeta", "ssim", "alpha", "mae", "mae"], 3) == ["mae", "ssim", "zeta"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/data/ann/Smith_John/t1.nii.gz is odd", "t1.nii.gz is odd"),
        (r"C:\data\Smith\t1.nii: bad", "t1.nii: bad"),
        ("see '/mnt/x/y'", "see 'y'"),
        ("source/target in mm/s, 3 of 4", "source/target in mm/s, 3 of 4"),
    ],
)
def test_a_path_of_a_machine_is_cut_to_its_last_part(text: str, kept: str) -> None:
    assert labels.without_paths(text) == kept
