from __future__ import annotations

import math

import pytest

from voxlate.evaluation.metrics import IMAGE_METRICS, metric_of
from voxlate.reporting.case_selection import usual_first


@pytest.mark.parametrize("name", IMAGE_METRICS)
def test_the_best_value_of_every_metric_has_the_lowest_loss(name: str) -> None:
    metric = metric_of(name)
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
    metric = metric_of("sparkle_index")
    assert metric.label == "Sparkle index"
    assert metric.arrow == ""
    assert math.isnan(metric.loss(1.0))


def test_usual_metrics_come_first_and_the_others_keep_their_order() -> None:
    assert usual_first(["zeta", "ssim", "alpha", "mae", "mae"], 3) == ["mae", "ssim", "zeta"]
