from dataclasses import replace

import numpy as np
import pytest
from phantoms import head

from voxlate.bundle.contrast import contrast_line
from voxlate.bundle.contrast_descriptor import SHARES
from voxlate.bundle.settings import AugmentationSettings
from voxlate.training.data.augment import Pair, augment, enhancement, power, smooth_field, thick_slices

NONE = AugmentationSettings(flip=0, contrast=0, gain=0, bias=0, noise=0)
SHAPE = (14, 17, 15)


def paired(source: np.ndarray, target: np.ndarray) -> Pair:
    mask = target > 0
    return Pair(source, target, mask.astype(np.float32), contrast_line(source, target, mask))


def pair(seed: int = 0) -> Pair:
    source, target = head(seed, shape=SHAPE).data / 500, head(seed + 1, shape=SHAPE).data / 500
    return paired(source, target)


def test_without_strength_nothing_changes():
    before = pair()
    after = augment(before, NONE, np.random.default_rng(0))
    assert np.allclose(after.source, before.source)
    assert np.allclose(after.target, before.target)


def test_a_flip_mirrors_all_three_along_the_first_axis():
    before = pair()
    after = augment(before, NONE.model_copy(update={"flip": 1.0}), np.random.default_rng(0))
    for name in ("source", "target", "weight"):
        assert np.allclose(getattr(after, name), getattr(before, name)[::-1])


def test_air_stays_zero_under_every_variation():
    settings = AugmentationSettings(contrast=0.5, source_contrast=0.3, gain=0.2, bias=0.5, noise=0.2, graft=1)
    before = pair()
    air = before.source == 0
    for seed in range(5):
        after = augment(before, settings.model_copy(update={"flip": 0.0}), np.random.default_rng(seed))
        assert not after.source[air].any()
        assert not after.target[before.target == 0].any()


def test_an_offset_moves_the_source_alone_by_one_constant_within_its_limit():
    moved = [
        augment(pair(), NONE.model_copy(update={"offset": 0.2}), np.random.default_rng(seed)) for seed in range(20)
    ]
    for each in moved:
        inside = pair().source != 0
        shifts = (each.source - pair().source)[inside]
        assert np.ptp(shifts) < 1e-6
        assert abs(shifts[0]) <= 0.2
        assert not each.source[~inside].any()
        assert np.array_equal(each.target, pair().target)
    assert np.ptp([each.source.max() for each in moved]) > 0.1


def test_contrast_changes_both_images_alike_and_keeps_the_reference_level():
    same = paired(pair().source, pair().source)
    after = augment(same, NONE.model_copy(update={"contrast": 0.5}), np.random.default_rng(3))
    assert np.array_equal(after.source, after.target)
    assert not np.allclose(after.source, same.source)
    assert power(np.float32([1.0, 0.0, -1.0, 4.0]), 0.5).tolist() == [1.0, 0.0, -1.0, 2.0]


@pytest.mark.parametrize("exponent", [0.6, 1.0, 1.7])
def test_the_power_of_a_voxel_is_that_of_double_precision_and_keeps_its_sign(exponent):
    image = np.concatenate([[0, 1, -1], np.random.default_rng(0).normal(0, 2, 500)]).astype(np.float32)
    true = np.sign(image) * np.abs(image.astype(np.float64)) ** exponent
    before = image.copy()
    assert power(image, exponent) == pytest.approx(true, rel=2e-6)
    assert power(image, exponent)[:3].tolist() == [0, 1, -1]
    assert np.array_equal(image, before)


def test_an_augmented_window_stays_in_single_precision():
    settings = AugmentationSettings(contrast=0.5, source_contrast=0.1, graft=0.5)
    after = augment(pair(), settings, np.random.default_rng(0))
    assert {after.source.dtype, after.target.dtype, after.weight.dtype} == {np.dtype(np.float32)}


def test_the_smooth_field_is_the_exponential_of_a_plane_through_zero():
    field = np.log(smooth_field(SHAPE, 0.4, np.random.default_rng(0)))
    assert np.abs(field).max() <= 3 * 0.2 + 1e-6
    assert field.mean() == pytest.approx(0, abs=1e-6)
    for axis in range(3):
        assert np.allclose(np.diff(field, 2, axis=axis), 0, atol=1e-5)


def test_enhancement_is_what_the_source_adds_to_the_target_of_the_same_contrast():
    target = pair().target
    vessel = np.zeros(SHAPE, dtype=np.float32)
    vessel[6:8, 7, 7] = 1.5
    assert np.allclose(enhancement(paired(target + vessel, target)), vessel, atol=0.05)


def test_a_line_of_contrast_is_not_taken_for_a_change():
    target = pair().target
    after = paired(0.7 * target + 0.3, target)
    assert np.allclose(after.difference(), 0, atol=1e-5)
    assert after.line == pytest.approx((1 / 0.7, -0.3 / 0.7), rel=1e-4)


def test_a_darker_source_differs_but_does_not_enhance():
    target = pair().target
    darker = target.copy()
    darker[7, 7, 7] -= 1
    assert paired(darker, target).difference()[7, 7, 7] == pytest.approx(-1, abs=0.1)
    assert not enhancement(paired(darker, target)).any()


def test_where_the_loss_does_not_count_nothing_differs():
    before = pair()
    blind = Pair(before.source, before.target, np.zeros_like(before.weight), before.line)
    assert not blind.difference().any()


def test_a_graft_gives_the_target_with_enhancement_and_unenhanced_gives_the_target():
    before = pair()
    grafted = augment(before, NONE.model_copy(update={"graft": 1.0}), np.random.default_rng(0))
    assert (grafted.source >= before.target - 1e-6).all()
    assert np.allclose(grafted.target, before.target)
    bare = augment(before, NONE.model_copy(update={"unenhanced": 1.0}), np.random.default_rng(0))
    assert np.allclose(bare.source, before.target)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("parts", "first"), [(2, 0), (3, 2), (5, 1), (7, 6), (40, 3)])
def test_thick_slices_keep_a_constant_and_zeros(axis, parts, first):
    ball = head(0, shape=SHAPE).data > 0
    thick = thick_slices(np.where(ball, np.float32(0.7), np.float32(0)), axis, parts, first)
    assert np.allclose(thick[ball], 0.7, rtol=1e-5)
    assert not thick[~ball].any()


@pytest.mark.parametrize(("parts", "first"), [(3, 0), (5, 2)])
def test_the_centre_of_a_thick_slice_is_the_mean_of_its_voxels(parts, first):
    image = np.random.default_rng(0).uniform(1, 2, (15, 6, 5)).astype(np.float32)
    thick = thick_slices(image, 0, parts, first)
    start = (parts - first) % parts
    for number in range(start, 15 - parts + 1, parts):
        centre = thick[number + parts // 2]
        assert np.allclose(centre, image[number : number + parts].mean(axis=0), rtol=1e-5)


def test_between_thick_slices_a_ramp_stays_a_ramp():
    ramp = np.broadcast_to(np.arange(1, 25, dtype=np.float32)[:, None, None], (24, 3, 3))
    assert np.allclose(thick_slices(ramp, 0, 4, 0)[2:-2], ramp[2:-2], rtol=1e-5)


def test_all_images_of_a_window_become_the_same_thick_slices():
    before = pair()
    settings = NONE.model_copy(update={"slices": 1.0})
    same = augment(paired(before.source, before.source), settings, np.random.default_rng(3))
    assert np.array_equal(same.source, same.target)
    assert not np.allclose(same.source, before.source, rtol=1e-2)


def test_without_thick_slices_a_seed_gives_what_it_gave():
    first, second = np.random.default_rng(5), np.random.default_rng(5)
    without = augment(pair(), NONE, first)
    nearly = augment(pair(), NONE.model_copy(update={"slices": 1e-12}), second)
    assert np.array_equal(without.source, nearly.source)
    assert np.array_equal(without.target, nearly.target)
    assert second.random() != first.random()  # only a recipe that asks for thick slices draws a number for them


def test_the_quantiles_of_a_window_follow_what_is_done_to_its_intensities():
    random = np.random.default_rng(0)
    source, target = (random.uniform(0.3, 1.7, SHAPE).astype(np.float32) for _ in range(2))
    contrasts = np.stack([np.quantile(image, SHARES) for image in (source, target)]).astype(np.float32)
    before = replace(paired(source, target), contrasts=contrasts)
    settings = NONE.model_copy(update={"contrast": 0.5, "source_contrast": 0.5, "target_curve": 1.0})
    moved = []
    for seed in range(10):
        after = augment(before, settings, np.random.default_rng(seed))
        # The median is 1 after a curve; the curve is linear between quantiles, which it therefore moves exactly.
        level = after.contrasts[1][3]
        assert level == pytest.approx(1)
        found = np.stack([np.quantile(image, SHARES) for image in (after.source, after.target)])
        assert after.contrasts == pytest.approx(found, rel=0.01)
        moved.append(after.contrasts[1])
    assert np.std(np.log(moved), axis=0)[[0, -1]].min() > 0.1


def test_a_source_made_of_the_target_has_the_quantiles_of_the_target():
    before = replace(pair(), contrasts=np.array([np.arange(7), np.arange(1, 8)], dtype=np.float32))
    for name in ("unenhanced", "graft"):
        after = augment(before, NONE.model_copy(update={name: 1.0}), np.random.default_rng(0))
        assert after.contrasts == pytest.approx(before.contrasts[[1, 1]], rel=1e-5)
