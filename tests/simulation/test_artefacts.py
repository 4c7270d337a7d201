"""Artefacts: closed forms of noise, conservation laws of slices and distortion, and no change where none is drawn."""

import numpy as np
import pytest
from scipy import ndimage

from voxlate.errors import UsageError
from voxlate.preparation.adc import fitted_adc
from voxlate.simulation.physics.artefacts import (
    Pose,
    add_motion,
    add_rician_noise,
    apply_pose,
    crop_field_of_view,
    distort_along_echo,
    shading,
    thick_slices,
    truncate_kspace,
)
from voxlate.simulation.physics.ct import blue_noise
from voxlate.simulation.physics.quality import Grades, checked_mix, draw_grades, parse_mix
from voxlate.simulation.physics.sequences import diffusion
from voxlate.volume import Volume

SHAPE = (21, 24, 18)


def random(seed=0):
    return np.random.default_rng(seed)


def blob(shape=SHAPE):
    image = np.zeros(shape, np.float32)
    image[6:15, 7:17, 5:13] = 1
    return ndimage.gaussian_filter(image, 2.0)


def test_the_second_moment_of_rician_noise_is_signal_squared_plus_two_sigma_squared():
    image = np.full((90, 90, 90), 3.0, np.float32)
    noisy = add_rician_noise(image, 1.7, random())
    assert (noisy.astype(np.float64) ** 2).mean() == pytest.approx(9 + 2 * 1.7**2, rel=5e-3)


def test_without_signal_rician_noise_has_the_mean_of_a_rayleigh_distribution():
    noisy = add_rician_noise(np.zeros((80, 80, 80), np.float32), 2.0, random())
    assert noisy.mean() == pytest.approx(2 * np.sqrt(np.pi / 2), rel=5e-3)


def test_no_noise_no_motion_no_truncation_change_nothing():
    image = blob()
    assert np.array_equal(add_rician_noise(image, 0, random()), image)
    assert np.array_equal(add_motion(image, [], 1.0, random()), image)
    assert np.array_equal(truncate_kspace(image, (1, 1, 1)), image)


def test_motion_of_a_head_that_holds_still_changes_nothing():
    assert add_motion(blob(), [Pose(), Pose()], 1.0, random()) == pytest.approx(blob(), abs=1e-5)


def test_a_larger_motion_leaves_a_larger_error():
    small, large = ([Pose((0.0, mm, 0.0))] * 4 for mm in (0.5, 3.0))
    errors = [np.abs(add_motion(blob(), poses, 1.0, random()) - blob()).mean() for poses in (small, large)]
    assert errors[1] > 1.5 * errors[0] > 0


def test_a_pose_moves_the_head_where_it_says():
    ball = ndimage.gaussian_filter(np.pad(np.ones((3, 3, 3), np.float32), 12), 1.5)
    shifted = apply_pose(ball, Pose((2.0, -1.0, 3.0)), 1.0)
    before, after = (np.array(ndimage.center_of_mass(image)) for image in (ball, shifted))
    assert after - before == pytest.approx([2, -1, 3], abs=0.01)


def test_a_pose_turns_about_the_centre_of_the_grid():
    image = np.zeros((25, 25, 25), np.float32)
    image[20, 12, 12] = 1
    turned = apply_pose(ndimage.gaussian_filter(image, 1.5), Pose(turn_deg=(0.0, 0.0, 90.0)), 1.0)
    assert np.array(ndimage.center_of_mass(turned)) == pytest.approx([12, 20, 12], abs=0.05)


def test_truncation_rings_beside_an_edge_and_keeps_the_mean():
    edge = np.zeros((32, 32, 4), np.float32)
    edge[8:24] = 1
    rung = truncate_kspace(edge, (0.4, 1, 1))
    assert rung.max() > 1.05
    assert edge[:, 0, 0].std() > rung[:, 0, 0].std() * 0.9


def test_shading_stays_within_its_amplitude_and_is_smooth():
    field = shading((30, 28, 26), 0.4, random())
    assert np.abs(np.log(field)).max() == pytest.approx(0.2, abs=1e-3)
    assert np.abs(np.diff(field, axis=0)).max() < 0.1


def test_thick_slices_keep_the_mean_of_what_they_cover():
    volume = Volume(random().random((3, 4, 30)), np.diag([1, 1, 1, 1.0]))
    thick = thick_slices(volume, 5.0, 1.0)
    assert thick.data.shape == (3, 4, 5)
    assert thick.spacing_mm == (1, 1, 6)
    assert thick.data[..., 1] == pytest.approx(volume.data[..., 6:11].mean(axis=2), abs=1e-6)
    assert thick.affine[2, 3] == pytest.approx(2.0)


def test_cutting_the_field_of_view_leaves_the_rest_where_it_was():
    volume = Volume(random().random(SHAPE), np.diag([2, 2, 2, 1.0]))
    short = crop_field_of_view(volume, 2, 4.0, 6.0)
    assert np.array_equal(short.data, volume.data[:, :, 2:15])
    assert short.affine[2, 3] == 4.0
    with pytest.raises(UsageError, match="FIELD_OF_VIEW"):
        crop_field_of_view(volume, 2, 20.0, 20.0)
    with pytest.raises(UsageError, match="SLICES_THIN"):
        thick_slices(volume, 1.0, 0.0)


def test_distortion_along_the_echo_keeps_the_sum_of_each_line():
    image = blob((20, 60, 20))
    y = np.arange(60, dtype=np.float32)
    shift = np.broadcast_to((3 * np.exp(-(((y - 30) / 12) ** 2)))[None, :, None], image.shape)
    warped = distort_along_echo(image, np.ascontiguousarray(shift), 1.0)
    assert warped.sum(axis=1) == pytest.approx(image.sum(axis=1), rel=0.02, abs=0.02)
    assert np.abs(warped - image).max() > 0.1


def test_the_adc_comes_back_exactly_without_noise():
    truth = random().uniform(0.1, 3.2, (6, 5, 4))
    images = [diffusion(random(1).uniform(50, 900, truth.shape), truth, b) for b in (0, 500, 1000)]
    assert fitted_adc(images, (0, 500, 1000)) == pytest.approx(truth, rel=1e-10)


def test_an_adc_needs_two_weightings_and_some_signal():
    with pytest.raises(UsageError, match="B_VALUES"):
        fitted_adc([np.ones(3)], [0])
    with pytest.raises(UsageError, match="B_VALUES"):
        fitted_adc([np.ones(3), np.ones(3)], [500, 500])
    assert fitted_adc([np.zeros(2), np.zeros(2)], [0, 1000]) == pytest.approx(0)


def test_ct_noise_has_its_deviation_and_grows_with_frequency():
    noise = blue_noise((64, 60, 12), 4.0, random())
    assert noise.std() == pytest.approx(4.0, rel=1e-3)
    power = (np.abs(np.fft.fft2(noise, axes=(0, 1))) ** 2).mean(axis=2)
    radius = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(60)[None, :])
    assert power[(radius > 0.2) & (radius < 0.3)].mean() > 5 * power[(radius > 0) & (radius < 0.08)].mean()


@pytest.mark.parametrize(("tier", "worst"), [("good", 0), ("medium", 1), ("low", 2)])
def test_grades_drawn_for_a_tier_are_of_that_tier(tier, worst):
    for seed in range(20):
        grades = draw_grades({tier: 1.0}, random(seed))
        assert grades.tier == tier
        assert max(grades.contrast, grades.motion, grades.noise) == worst


def test_a_mix_is_read_and_scaled():
    assert checked_mix(parse_mix("good=2, low=2")) == {"good": 0.5, "low": 0.5}
    drawn = [draw_grades({"good": 1, "improper": 1}, random(seed)).tier for seed in range(60)]
    assert 15 < drawn.count("improper") < 45


@pytest.mark.parametrize("text", ["good", "good=x", "fine=1", "good=-1,low=2", "good=0", "good=1,good=2"])
def test_a_mix_that_says_nothing_is_refused(text):
    with pytest.raises(UsageError, match="QUALITY_MIX"):
        checked_mix(parse_mix(text))


def test_grades_and_noise_out_of_range_are_refused():
    with pytest.raises(UsageError, match="GRADE"):
        Grades(motion=3)
    with pytest.raises(UsageError, match="NOISE_NEGATIVE"):
        add_rician_noise(blob(), -1, random())
    with pytest.raises(UsageError, match="KSPACE_PART"):
        truncate_kspace(blob(), (0, 1, 1))
