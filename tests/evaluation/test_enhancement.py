"""The measure of an agent's enhancement: known answers for images made by hand, and for a simulated head."""

import numpy as np
import pytest
from scipy import ndimage

from voxlate.evaluation.baselines import blur
from voxlate.evaluation.enhancement import AgentDirection, EnhancementMeasure, best_curve, trimmed_line
from voxlate.evaluation.lesions.sentences import enhancement_sentences
from voxlate.evaluation.schema.results import ScoreRow, SummaryRow
from voxlate.evaluation.schema.table import ScoreTable
from voxlate.simulation import Options, simulate_subject

SPACING = (1.0, 1.0, 1.0)
REMOVE, ADD = AgentDirection(1), AgentDirection(-1)


@pytest.fixture(scope="module")
def head():
    """Returns source, target, mask and the painted enhancement of a ball of smooth tissue with noise."""
    rng = np.random.default_rng(3)
    index = np.indices((48, 50, 46)) - np.array([24, 25, 23])[:, None, None, None]
    mask = np.sqrt(np.square(index).sum(axis=0)) < 20
    texture = ndimage.gaussian_filter(rng.normal(size=mask.shape), 3)
    target = np.where(mask, 1 + 2 * texture, 0).astype(np.float32)
    enhancement = np.zeros(mask.shape, np.float32)
    enhancement[20:26, 22:28, 20:25] = 0.8
    enhancement[30:33, 12:40, 22:25] = 0.9
    noise = rng.normal(0, 0.02, (2, *mask.shape)).astype(np.float32)
    return (target + enhancement + noise[0]) * mask, (target + noise[1]) * mask, mask, enhancement


def figures(measure, image):
    return {(score.region, score.metric): score.value for score in measure.scores(image)}


def test_the_source_has_100_the_target_0_and_what_is_half_removed_50(head):
    source, target, mask, _ = head
    measure = EnhancementMeasure(source, target, mask, spacing_mm=SPACING, direction=REMOVE)
    untouched, perfect, half = (figures(measure, image) for image in (source, target, (source + target) / 2))
    residual, share, cost = (
        ("enhanced", "residual_enhancement"), ("enhanced", "less_than_half_removed"), ("mask", "disturbance"),
    )  # fmt: skip
    assert (untouched[residual], untouched[share], untouched[cost]) == pytest.approx((100, 100, 100), abs=1e-4)
    assert (perfect[residual], perfect[share], perfect[cost]) == pytest.approx((0, 0, 0), abs=1e-4)
    assert half[residual] == pytest.approx(50, abs=1)
    assert half[cost] == pytest.approx(50, abs=2)


def test_gain_and_offset_are_no_removal(head):
    source, target, mask, _ = head
    measure = EnhancementMeasure(source, target, mask, spacing_mm=SPACING, direction=REMOVE)
    found = figures(measure, np.where(mask, 3 * source - 0.4, 0))
    assert found["enhanced", "residual_enhancement"] == pytest.approx(100, abs=0.5)


def test_the_enhanced_voxels_are_those_that_were_painted(head):
    source, target, mask, enhancement = head
    measure = EnhancementMeasure(source, target, mask, spacing_mm=SPACING, direction=REMOVE)
    painted = blur(enhancement, mask, 1.0, SPACING) > 0.3
    found = np.zeros_like(mask)
    found[measure.enhancement.box] = measure.enhancement.voxels
    deep = ndimage.distance_transform_edt(mask) >= 3
    assert (found & painted).sum() > 0.9 * (painted & deep).sum()
    assert (found & ~ndimage.binary_dilation(painted, iterations=2)).sum() == 0
    assert measure.enhancement.reverse_share == 0


def test_a_voxel_within_3_mm_of_the_border_is_not_enhanced_also_where_the_mask_fills_the_image(head):
    source, target, _, _ = head
    plain = target[12:36, 12:36, 12:36]
    painted = source[12:36, 12:36, 12:36] - plain
    painted[abs(painted) > 0.3] = 0  # leaves the noise
    painted[:8, 8:16, 8:16] += 0.9
    mask = np.ones(plain.shape, dtype=bool)
    measure = EnhancementMeasure(plain + painted, plain, mask, spacing_mm=SPACING, direction=REMOVE)
    assert np.argwhere(measure.enhancement.voxels)[:, 0].min() == 2  # the third layer is 3 mm from the one outside


def test_for_a_model_that_adds_enhancement_the_figures_mean_the_same(head):
    source, target, mask, _ = head
    removing = EnhancementMeasure(source, target, mask, spacing_mm=SPACING, direction=REMOVE)
    adding = EnhancementMeasure(target, source, mask, spacing_mm=SPACING, direction=ADD)
    assert (removing.enhancement.voxels & adding.enhancement.voxels).sum() > 0.95 * removing.enhancement.voxels.sum()
    found = figures(adding, target + 0.25 * (source - target))
    assert found["enhanced", "residual_enhancement"] == pytest.approx(75, abs=1)
    overdone = figures(adding, source + 0.5 * (source - target))
    assert overdone["enhanced", "residual_enhancement"] == pytest.approx(-50, abs=2)


def test_lesions_and_the_rest_are_measured_apart(head):
    source, target, mask, _ = head
    lesion = np.zeros_like(mask)
    lesion[18:28, 20:30, 18:27] = True
    near = ndimage.distance_transform_edt(~lesion) <= 5
    regions = {"lesion": lesion, "normal_appearing": mask & ~near}
    measure = EnhancementMeasure(source, target, mask, spacing_mm=SPACING, direction=REMOVE, regions=regions)
    only_lesion = figures(measure, np.where(ndimage.distance_transform_edt(~lesion) <= 3, target, source))
    assert only_lesion["enhanced_lesion", "residual_enhancement"] == pytest.approx(0, abs=3)
    assert only_lesion["enhanced_elsewhere", "residual_enhancement"] == pytest.approx(100, abs=3)


def test_a_head_without_enhancement_has_no_figures(head):
    _, target, mask, _ = head
    noise = np.random.default_rng(0).normal(0, 0.02, mask.shape).astype(np.float32)
    measure = EnhancementMeasure((target + noise) * mask, target, mask, spacing_mm=SPACING, direction=REMOVE)
    assert not measure.is_measurable
    scores = list(measure.scores(target))
    assert scores
    assert all(np.isnan(score.value) and "too little for a ratio" in score.left_out for score in scores)


@pytest.mark.parametrize(
    ("left", "cost", "is_worse"), [(40.0, 105.0, False), (-150.0, 100.0, True), (120.0, 90.0, True), (0.0, 900.0, True)]
)
def test_a_result_that_is_overdone_or_that_ruins_the_rest_is_called_worse(left, cost, is_worse):
    means = {("enhanced", "residual_enhancement"): left, ("enhanced", "less_than_half_removed"): 10.0,
             ("mask", "disturbance"): cost}  # fmt: skip
    rows = [
        SummaryRow(protocol="enhancement", intensity="as_written", region=region, method="synthetic", metric=metric,
                   unit="%", n=3, mean=mean, sd=None, median=mean, low=None, high=None)
        for (region, metric), mean in means.items()
    ]  # fmt: skip
    (sentence,) = enhancement_sentences(rows)
    assert sentence.is_worse == is_worse


def test_too_much_in_one_patient_and_too_little_in_another_do_not_cancel_in_the_sentence():
    table = ScoreTable("voxlate")
    where = {"protocol": "enhancement", "intensity": "as_written", "method": "synthetic", "unit": "%"}
    for patient, scans in {"a": [110.0], "b": [-110.0], "c": [120.0, -120.0]}.items():
        for at, value in enumerate(scans):
            own = where | {"case": f"{patient}{at}", "patient": patient}
            table.add(ScoreRow(**own, region="enhanced", metric="residual_enhancement", value=value))
            table.add(ScoreRow(**own, region="enhanced", metric="less_than_half_removed", value=10.0))
    rows = table.summarize()
    assert (rows[0].mean, rows[0].mean_distance, rows[0].loss) == pytest.approx((0, 340 / 3, 340 / 3))
    assert (rows[1].mean_distance, rows[1].loss) == (None, 10.0)
    (sentence,) = enhancement_sentences(rows)
    assert sentence.is_worse
    assert "Residual enhancement is 0 %" in sentence.text
    assert "3 patients; mean distance from the target 113 %)" in sentence.text


def test_a_line_that_ignores_outliers_is_found_exactly():
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1, (12, 12, 12))
    y = 2 * x - 0.3
    y[:2] += 5
    assert trimmed_line(x, y, np.ones_like(x, dtype=bool)) == pytest.approx((2, -0.3), abs=1e-9)
    assert trimmed_line(np.ones_like(x), y, np.ones_like(x, dtype=bool))[0] == 0


def test_the_best_curve_finds_a_curve_and_cannot_tell_enhancement_from_tissue():
    subject = simulate_subject("t1ce_t1", seed=5, subject=2, options=Options(is_same_acquisition=True))
    source, target = (subject.images[name].data for name in ("T1ce", "T1w"))
    mask = subject.truth.brain_mask.data > 0.5
    square = np.where(mask, np.square(source / source.max()), 0).astype(np.float32)
    again = best_curve(source, square, mask)
    low = mask & (source < np.quantile(source[mask], 0.98))  # the last bin is wide: vessels of every brightness
    assert np.corrcoef(again[low], square[low])[0, 1] > 0.999
    measure = EnhancementMeasure(source, target, mask, spacing_mm=(2.0, 2.0, 2.0), direction=REMOVE)
    found = figures(measure, best_curve(source, target, mask))
    assert measure.is_measurable
    assert found["enhanced", "residual_enhancement"] > 20


@pytest.mark.parametrize(
    ("task", "sign"),
    [
        ("T1ce to T1nce", 1),
        ("T1w to T1ce", -1),
        ("CT to T1w", None),
        ("T1ce to T2w", None),
        ("FLAIR to T1ce", None),
        ("", None),
    ],
)
def test_the_task_says_whether_an_agent_is_removed_or_added(task, sign):
    found = AgentDirection.of(task)
    assert (found.sign if found else None) == sign
