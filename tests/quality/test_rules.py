"""Measures obey laws, rules have verdicts, and header and pixels are combined."""

import math

import numpy as np
import pytest
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.preparation.content import content_hash
from voxlate.quality.classifier import INPUT_SHAPE, NUMBERS, classifier_input
from voxlate.quality.fuse_evidence import decide_agent, decide_kind
from voxlate.quality.head_mask import find_head, otsu
from voxlate.quality.measures import entropy_focus, measure, noise_sigma, sharpness
from voxlate.quality.rules import RULES, apply_rules, worst_verdict
from voxlate.quality.tiers import answer, tier_of, tier_probabilities
from voxlate.volume import Volume

SHAPE = (60, 70, 56)
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])


def places():
    return np.stack(np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * 3.0 for n in SHAPE], indexing="ij"))


def head(noise=8.0, seed=0, **cut):
    """A head of 145 by 180 by 135 mm, its brain of two levels, in noisy air."""
    x, y, z = places()
    inside = (x / 72) ** 2 + (y / 90) ** 2 + (z / 67) ** 2 < 1
    brain = (x / 60) ** 2 + (y / 76) ** 2 + (z / 55) ** 2 < 1
    data = 350.0 * inside + brain * (150.0 * (np.sin(x / 9) * np.sin(y / 11) * np.sin(z / 9) > 0) - 50)
    rng = np.random.default_rng(seed)
    data = np.hypot(data + rng.normal(0, noise, SHAPE), rng.normal(0, noise, SHAPE))
    return Volume(np.rint(data).astype(np.float32), AFFINE)


def verdicts(volume):
    return {finding.code: finding.verdict for finding in apply_rules(measure(volume))}


def test_a_good_head_passes_every_rule():
    found = apply_rules(measure(head()))
    assert {each.code for each in found if each.verdict != "pass"} == {"SLICES_THICK"}, found  # the phantom's are 3 mm
    assert len(found) == len(RULES) == len({rule.code for rule in RULES})


def test_the_size_of_the_head_is_that_of_its_ellipsoid():
    truth_ml = 4 / 3 * math.pi * 72 * 90 * 67 / 1000
    assert measure(head())["head_ml"] == pytest.approx(truth_ml, rel=0.04)


def test_nothing_changes_with_scale_offset_or_orientation():
    volume = head()
    first = measure(volume)
    other = Volume(volume.data[::-1, :, ::-1].transpose(1, 0, 2) * 3.7 + 90, _turned(volume))
    second = measure(other)
    for name in first:
        if name not in ("handedness", "constant_air"):
            assert second[name] == pytest.approx(first[name], rel=0.02, abs=2e-3, nan_ok=True), name


def _turned(volume):
    i, _, k = volume.data.shape
    flip = np.eye(4)
    flip[0, 0], flip[0, 3], flip[2, 2], flip[2, 3] = -1, i - 1, -1, k - 1
    swap = np.eye(4)[[1, 0, 2, 3]]
    return volume.affine @ flip @ swap


def test_the_noise_is_estimated_in_any_image():
    rng = np.random.default_rng(1)
    slope = np.add.outer(np.arange(80) * 3.0, np.arange(90) * 2.0)[..., None] + np.zeros(20)
    where = np.ones(slope.shape, bool)
    for sigma in (0.0, 2.0, 11.0):
        assert noise_sigma(slope + rng.normal(0, sigma, slope.shape), where) == pytest.approx(sigma, rel=0.02, abs=1e-9)
    assert [verdicts(head(noise))["NOISE"] for noise in (8, 45, 90)] == ["pass", "warn", "fail"]


def test_a_blurred_image_is_less_sharp_and_a_noisy_one_not_sharper():
    rng = np.random.default_rng(2)
    image = 100.0 * (ndimage.gaussian_filter(rng.normal(size=(90, 90, 12)), (3, 3, 0)) > 0)
    where = np.ones(image.shape, bool)
    values = [sharpness(ndimage.gaussian_filter(image, (s, s, 0)), where) for s in (0, 0.7, 1.5, 3)]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(0.5, abs=0.08)
    assert values[-1] == pytest.approx(0.25, abs=0.03)
    assert sharpness(image + rng.normal(0, 10, image.shape), where) == pytest.approx(values[0], abs=0.03)


def test_the_entropy_focus_is_0_for_one_voxel_and_1_for_a_constant_image():
    one = np.zeros((9, 8, 7), np.float32)
    one[4, 4, 4] = 5
    assert entropy_focus(one) == 0
    assert entropy_focus(np.full((9, 8, 7), 3.0, np.float32)) == pytest.approx(1)
    assert math.isnan(entropy_focus(np.zeros((4, 4, 4), np.float32)))


def test_otsu_finds_a_threshold_between_two_levels():
    values = np.concatenate([np.full(500, 10.0), np.full(300, 90.0)])
    assert 10 < otsu(values, 100.0) < 90


def test_each_fault_is_found_by_its_rule():
    volume = head()
    data = volume.data
    inside = find_head(volume).mask
    x, y, z = places()

    def told(changed, affine=AFFINE):
        return verdicts(Volume(np.asarray(changed, np.float32), affine))

    assert told(data[:, :, 10:38])["SLICES_FEW"] == "fail"
    assert told(data[:, :, :40])["TRUNCATED"] == "fail"
    assert told(data[:, 25:])["TRUNCATED"] == "fail"
    assert told(np.minimum(data, 330))["CLIPPED"] == "fail"
    assert told(np.rint(data / 60))["LEVELS_FEW"] == "fail"
    assert told(data * (1 + 0.9 * (np.arange(56) % 9 == 4)))["SLICE_JUMP"] == "fail"
    assert told(data * np.exp(x / 100))["SHADING"] == "warn"
    assert told(data + 0.15 * np.roll(data, 35, axis=1))["GHOSTING"] == "warn"
    assert told(ndimage.gaussian_filter(data, 2))["BLURRED"] == "warn"
    for axis in (0, 1):
        assert told(ndimage.gaussian_filter1d(data, 4, axis=axis))["BLURRED"] in ("warn", "fail")
    assert told(np.where(inside, 300 + np.random.default_rng(0).normal(0, 5, SHAPE), data))["CONTRAST_LOW"] == "fail"
    assert told(data, np.diag([3.0, 3.0, 6.0, 1.0]))["SLICES_THICK"] == "warn"
    assert told(data, np.diag([1.0, 1.0, 1.0, 1.0]))["HEAD_SMALL"] == "fail"
    assert told(data, np.diag([1.0, 1.0, 1.0, 1.0]))["FIELD_SMALL"] == "fail"
    brain = (x / 60) ** 2 + (y / 76) ** 2 + (z / 55) ** 2 < 1
    assert told(np.where(brain, data, 0))["SKULL_STRIPPED"] == "note"
    assert told(np.where((y > 55) & (z < -5), 0, data))["DEFACED"] == "note"


def test_an_unmeasured_value_has_no_verdict_and_does_not_fail():
    x, y, z = places()
    brain = (x / 60) ** 2 + (y / 76) ** 2 + (z / 55) ** 2 < 1
    found = apply_rules(measure(Volume(np.where(brain, head().data, 0).astype(np.float32), AFFINE)))
    assert {each.code for each in found if each.verdict == "unmeasured"} == {"GHOSTING"}
    assert worst_verdict(found) != "fail"


def test_tiers_are_those_of_the_paper():
    assert tier_of({"contrast": 0, "motion": 0, "noise": 0}) == "good"
    assert tier_of({"contrast": 0, "motion": 1, "noise": 1}) == "medium"
    assert tier_of({"contrast": 2, "motion": 0, "noise": 1}) == "low"


def test_the_probabilities_of_tiers_add_up_and_are_those_of_all_combinations():
    rng = np.random.default_rng(3)
    grades = {name: rng.dirichlet(np.ones(3)) for name in ("contrast", "motion", "noise")}
    told = tier_probabilities(grades)
    slow = dict.fromkeys(("good", "medium", "low"), 0.0)
    for a in range(3):
        for b in range(3):
            for c in range(3):
                share = grades["contrast"][a] * grades["motion"][b] * grades["noise"][c]
                slow[tier_of({"contrast": a, "motion": b, "noise": c})] += share
    assert told == pytest.approx(slow)


def test_an_answer_below_the_least_probability_is_unknown():
    assert answer({"a": 0.95, "b": 0.05}) == "a"
    assert answer({"a": 0.85, "b": 0.15}) == "unknown"


@pytest.mark.parametrize(
    ("header", "pixels", "state", "by"),
    [
        ("yes", None, "yes", "header"),
        ("no", None, "no", "header"),
        ("unknown", None, "unknown", ""),
        ("conflict", None, "unknown", ""),
        ("conflict", 0.95, "yes", "pixels"),
        ("conflict", 0.05, "no", "pixels"),
        ("conflict", 0.6, "unknown", ""),
        ("unknown", 0.99, "yes", "pixels"),
        ("yes", 0.99, "yes", "both"),
        ("yes", 0.6, "yes", "header"),
        ("yes", 0.3, "unknown", ""),
        ("yes", 0.001, "no", "pixels against header"),
        ("no", 0.999, "yes", "pixels against header"),
    ],
)
def test_header_and_pixels_decide_together(header, pixels, state, by):
    decision = decide_agent(header, pixels)
    assert (decision.state, decision.by) == (state, by)
    mirrored = decide_agent({"yes": "no", "no": "yes"}.get(header, header), None if pixels is None else 1 - pixels)
    assert mirrored.probability == pytest.approx(1 - decision.probability)


def test_the_pixels_complete_an_unknown_header_and_a_contradiction_is_a_conflict():
    assert decide_kind("T1w", "unknown") == "T1w" == decide_kind("unknown", "T1w")
    assert decide_kind("T1w", "T2w") == "conflict"
    assert decide_kind("PDw", "T2w") == "PDw"  # the heads know no PDw
    assert [decide_kind("SWI", pixels) for pixels in ("unknown", "T2w")] == ["SWI", "SWI"]


def test_a_copy_has_the_same_content_and_a_near_copy_has_not():
    volume = head()
    first = content_hash(volume)
    assert content_hash(Volume(volume.data * 2.5 + 10, volume.affine)) == first
    assert content_hash(Volume(volume.data[::-1].transpose(2, 1, 0), _reordered(volume))) == first
    changed = volume.data.copy()
    changed[30, 30, 30] += 1
    assert content_hash(volume.with_data(changed)) != first
    assert content_hash(Volume(volume.data, np.diag([3.0, 3.0, 2.0, 1.0]))) != first


def _reordered(volume):
    flip = np.eye(4)
    flip[0, 0], flip[0, 3] = -1, volume.data.shape[0] - 1
    return volume.affine @ flip @ np.eye(4)[[2, 1, 0, 3]]


def test_the_input_of_the_network_does_not_depend_on_scale_grid_or_orientation():
    volume = head()
    first = classifier_input(volume)
    assert first.image.shape == INPUT_SHAPE
    assert first.numbers.shape == (len(NUMBERS),)
    assert np.isfinite(first.numbers).all()
    other = classifier_input(Volume(volume.data[::-1].transpose(2, 1, 0) * 4, _reordered(volume)))
    assert np.abs(other.image - first.image).mean() < 0.01
    moved = volume.affine.copy()
    moved[:3, 3] += (40, -33, 17)
    assert np.abs(classifier_input(Volume(volume.data, moved)).image - first.image).mean() < 0.01
    top = np.flatnonzero((first.image > 0.35).sum(axis=(0, 1)) > 20)
    assert top[-1] == pytest.approx(INPUT_SHAPE[2] - 5, abs=2)


def test_rules_of_mr_do_not_apply_to_a_ct():
    volume = head()
    ct = Volume(np.where(find_head(volume).mask, 30 + volume.data / 50, -1000).astype(np.float32), AFFINE)
    found = {each.code: each.verdict for each in apply_rules(measure(ct))}
    for code in ("CONTRAST_LOW", "GHOSTING", "SHADING", "BLURRED"):
        assert found[code] == "unmeasured"
    assert found["TRUNCATED"] == "pass"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (np.full((9, 8, 7), 5.0), None),
        (np.zeros((9, 8, 7)), None),
        (np.random.default_rng(0).normal(size=(2, 2, 2)), None),
        (np.random.default_rng(0).normal(size=(64, 64, 1)), None),
        (np.random.default_rng(0).normal(size=(30, 30, 30)) * 1e-9, None),
        (np.random.default_rng(0).normal(size=(9, 8, 7)) * 3e37, "RANGE"),
    ],
)
def test_odd_volumes_are_measured_or_refused_without_a_traceback(data, code):
    volume = Volume(data.astype(np.float32), np.eye(4))
    if code:
        with pytest.raises(InputRefused, match=code):
            classifier_input(volume)
        return
    told = classifier_input(volume)
    assert np.isfinite(told.image).all()
    assert len(apply_rules(told.measures)) == len(RULES)


def test_levels_are_counted_in_any_orientation():
    data = np.zeros((60, 50, 40), np.float32)
    data += np.arange(40) * 5.0
    for axes in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        assert measure(Volume(data.transpose(axes), np.eye(4)))["levels"] == 40
