"""A scan like those of the training passes; one of another contrast, shape or way up does not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from voxlate.bundle.out_of_distribution import (
    MIN_SCANS,
    TARGET_SCORE_LIMIT,
    TrainingStatistics,
    describe,
    fit_target_detector,
    fit_training_statistics,
    training_statistics_from_json,
)

SHAPE = (30, 36, 28)


def head(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A flat-bottomed ellipsoid with a bright core and a dark centre, a little different each time."""
    random = np.random.default_rng(number)
    place = [np.linspace(-1, 1, n) * random.uniform(1.02, 1.1) for n in SHAPE]
    x, y, z = np.meshgrid(*place, indexing="ij")
    radius = np.sqrt(x**2 + (y * 1.05) ** 2 + z**2)
    mask = (radius < 1) & (z > -0.6 + 0.3 * y)
    image = np.where(radius < 0.6, 1.3, 0.9) - 0.8 * (radius < 0.2) + random.normal(0, 0.03, SHAPE)
    return (image * random.uniform(1, 5)).astype(np.float32), mask


@pytest.fixture(scope="module")
def statistics() -> TrainingStatistics:
    return fit_training_statistics([describe(*head(number)) for number in range(8)])


@pytest.mark.parametrize("number", range(20, 26))
def test_a_scan_of_the_same_kind_is_known_whatever_its_gain(statistics, number):
    image, mask = head(number)
    score = statistics.score(describe(image * 40, mask))
    assert score.verdict == "known", score


def test_scans_whose_scale_leaves_the_median_near_zero_are_described_as_steadily():
    def centred(number, sign=1):
        image, mask = head(number)
        near_zero = 0.02 * np.random.default_rng(number).normal()
        return describe(sign * (image - np.median(image[mask])) / image[mask].std() + near_zero, mask)

    statistics = fit_training_statistics([centred(number) for number in range(8)])
    assert max(statistics.score(centred(number)).score for number in range(20, 30)) < 2.5  # over the median: 13
    assert statistics.score(centred(31, sign=-1)).by["intensities"] > 1.5


def test_a_scan_of_another_part_of_the_body_is_unknown_and_its_score_can_be_written_as_json(statistics):
    x, y, z = np.indices(SHAPE)
    cord = np.abs(x - z) + np.abs(y - z) < 4  # a thin diagonal fills hardly any cell of its box
    image = (100 + y).astype(np.float32)
    score = statistics.score(describe(image, cord))
    assert score.verdict == "unknown"
    assert json.loads(json.dumps(score.by, allow_nan=False)) == score.by


@pytest.mark.parametrize("axis", [1, 2])
def test_a_scan_that_lies_otherwise_is_unknown_by_its_shape(statistics, axis):
    image, mask = head(30)
    score = statistics.score(describe(np.flip(image, axis), np.flip(mask, axis)))
    assert score.verdict == "unknown"
    assert score.by["shape"] > 1.5
    assert "shape" in replace(score, by={"shape": 2.0, "pattern": 1.0}).reason
    assert "that the model makes" in replace(score, by={"shape": 0.2, "target": 1.1}).reason


def test_another_contrast_is_unknown(statistics):
    image, mask = head(31)
    turned = image.max() - image
    assert statistics.score(describe(turned, mask)).verdict == "unknown"


def test_an_image_of_noise_is_not_known(statistics):
    _, mask = head(32)
    noise = np.random.default_rng(0).uniform(0, 1, SHAPE).astype(np.float32)
    assert statistics.score(describe(noise, mask)).verdict != "known"


def test_few_training_scans_never_refuse():
    few = fit_training_statistics([describe(*head(number)) for number in range(MIN_SCANS - 1)])
    image, mask = head(33)
    assert few.score(describe(np.flip(image, 2), np.flip(mask, 2))).verdict == "unusual"


def test_the_training_statistics_survive_their_file(statistics):
    again = training_statistics_from_json(json.loads(json.dumps(statistics.to_json())))
    description = describe(*head(34))
    assert again.score(description).score == pytest.approx(statistics.score(description).score, rel=0.01)


def test_the_description_does_not_hang_on_the_size_of_the_voxels():
    image, mask = head(35)
    fine = describe(image.repeat(2, 0).repeat(2, 1).repeat(2, 2), mask.repeat(2, 0).repeat(2, 1).repeat(2, 2))
    for name, numbers in describe(image, mask).items():
        assert fine[name] == pytest.approx(numbers, rel=1e-3, nan_ok=True)


def intensities(low, high, n=8, seed=0):
    """Quantiles that rise to 1.3, the last from `low` to `high`."""
    tops = np.random.default_rng(seed).uniform(low, high, n)
    return [np.append(np.linspace(0.4, 1.3, 10), top) for top in tops]


def test_what_looks_like_a_target_is_detected_by_the_quantile_that_separates_them():
    detector = fit_target_detector(intensities(2.0, 4.0), intensities(1.3, 1.6, seed=1))
    assert detector.quantile == 10
    rest = np.linspace(0.4, 1.3, 10)
    for top, is_near in ((1.2, True), (1.5, True), (2.1, False), (6.0, False)):
        assert (detector.score(np.append(rest, top)) > 1) == is_near
    assert detector.score(np.append(rest, 60.0)) == 0


def test_it_works_as_well_where_targets_are_the_brighter_ones():
    detector = fit_target_detector(intensities(1.3, 1.6), intensities(2.0, 4.0, seed=1))
    rest = np.linspace(0.4, 1.3, 10)
    assert detector.score(np.append(rest, 3.0)) > 1 > detector.score(np.append(rest, 1.4))


def test_one_bright_head_among_the_targets_does_not_hide_what_separates_them():
    plain = fit_target_detector(intensities(2.0, 4.0), intensities(1.3, 1.6, seed=1))
    bloody = fit_target_detector(
        intensities(2.0, 4.0), [*intensities(1.3, 1.6, seed=1)[:-1], *intensities(3.5, 3.5, 1)]
    )
    assert bloody.threshold == pytest.approx(plain.threshold, abs=0.15)


def test_no_target_is_detected_where_nothing_separates_them_or_too_few_were_seen():
    assert fit_target_detector(intensities(1.3, 2.0), intensities(1.3, 2.0, seed=1)) is None
    few = MIN_SCANS - 1
    assert fit_target_detector(intensities(2.0, 4.0, few), intensities(1.3, 1.6, few)) is None


def test_what_looks_like_a_target_is_flagged_and_never_refused_and_outlives_json():
    sources = [describe(*head(number)) for number in range(8)]
    targets = [np.append(each["intensities"][:-1], 0.2 * each["intensities"][-1]) for each in sources]
    statistics = training_statistics_from_json(
        json.loads(json.dumps(fit_training_statistics(sources, targets).to_json()))
    )
    strange = {**sources[0], "intensities": np.append(sources[0]["intensities"][:-1], targets[0][-1])}
    by = statistics.score(strange).by
    assert statistics.target == fit_training_statistics(sources, targets).target
    assert by["target"] == TARGET_SCORE_LIMIT
    assert statistics.score(sources[1]).by["target"] < 1
