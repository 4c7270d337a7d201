"""Laws of every metric, closed forms, and the values of scikit-image and pytorch-msssim."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import normalized_mutual_information, peak_signal_noise_ratio, structural_similarity

from voxlate.errors import InputRefused, UsageError
from voxlate.evaluation import similarity as sim
from voxlate.evaluation.metrics import IMAGE_METRICS
from voxlate.evaluation.similarity import Window

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "ms_ssim.json").read_text())
SHAPE = (47, 53, 50)


def textured(seed=0, shape=SHAPE):
    noise = np.random.default_rng(seed).normal(size=shape)
    return (0.5 + 0.9 * ndimage.gaussian_filter(noise, 1.2)).astype(np.float32)


TARGET = textured()
NOISE = 0.05 * np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
MASK = np.zeros(SHAPE, dtype=bool)
MASK[5:41, 4:49, 6:44] = True
MASK &= ndimage.gaussian_filter(np.random.default_rng(2).normal(size=SHAPE), 6) > -0.02


def value(name, image, target=TARGET, mask=MASK, data_range=1.0):
    return IMAGE_METRICS[name].compute(image, target, mask, data_range)


@pytest.mark.parametrize("name", IMAGE_METRICS)
def test_an_image_equal_to_its_target_has_the_best_value(name):
    assert value(name, TARGET) == pytest.approx(IMAGE_METRICS[name].best, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in IMAGE_METRICS if IMAGE_METRICS[name].better != "one"])
def test_more_noise_scores_worse(name):
    scores = [value(name, TARGET + scale * NOISE) for scale in (0.5, 1.0, 2.0, 4.0)]
    ordered = sorted(scores, reverse=IMAGE_METRICS[name].better == "higher")
    assert scores == ordered
    assert len(set(scores)) == 4


@pytest.mark.parametrize("name", IMAGE_METRICS)
def test_mirroring_both_images_changes_nothing(name):
    flipped = [np.ascontiguousarray(a[::-1, :, ::-1]) for a in (TARGET + NOISE, TARGET, MASK)]
    assert IMAGE_METRICS[name].compute(*flipped, 1.0) == pytest.approx(value(name, TARGET + NOISE), rel=2e-2, abs=1e-6)


@pytest.mark.parametrize("name", IMAGE_METRICS)
def test_a_change_of_unit_of_both_images_and_the_range_changes_nothing(name):
    scaled = IMAGE_METRICS[name].compute(40 * (TARGET + NOISE), 40 * TARGET, MASK, 40.0)
    assert scaled == pytest.approx(value(name, TARGET + NOISE), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("name", ["mae", "rmse", "bias", "psnr", "nmi"])
def test_voxels_outside_the_mask_do_not_exist_for_pointwise_metrics(name):
    spoiled = np.where(MASK, TARGET + NOISE, np.float32(99))
    assert value(name, spoiled) == value(name, TARGET + NOISE)


@pytest.mark.parametrize("name", IMAGE_METRICS)
def test_an_empty_mask_is_refused(name):
    with pytest.raises(InputRefused, match="EMPTY_MASK"):
        value(name, TARGET, mask=np.zeros(SHAPE, dtype=bool))


@pytest.mark.parametrize("name", IMAGE_METRICS)
def test_images_of_different_shapes_are_refused(name):
    with pytest.raises(InputRefused, match="GRID_MISMATCH"):
        value(name, TARGET[:-1])


def test_a_constant_error_has_its_closed_forms():
    image = TARGET.astype(np.float64) + 0.1
    target = TARGET.astype(np.float64)
    assert sim.mae(image, target) == pytest.approx(0.1)
    assert sim.bias(image, target) == pytest.approx(0.1)
    assert sim.mse(image, target) == pytest.approx(0.01)
    assert sim.psnr(image, target, data_range=1.0) == pytest.approx(20.0)


def test_psnr_reaches_its_bound_exactly_when_all_errors_are_equal():
    even = sim.mae(TARGET + 0.1, TARGET)
    assert sim.highest_psnr(even, 1.0) == pytest.approx(sim.psnr(TARGET + 0.1, TARGET, data_range=1.0), abs=1e-3)
    uneven = TARGET + NOISE
    assert sim.psnr(uneven, TARGET, data_range=1.0) < sim.highest_psnr(sim.mae(uneven, TARGET), 1.0) - 1


def test_published_maes_bound_the_psnr():
    assert sim.highest_psnr(0.0273, 1.0) == pytest.approx(31.28, abs=0.005)
    assert sim.highest_psnr(0.029, 1.0) == pytest.approx(30.75, abs=0.005)


def test_psnr_equals_scikit_image():
    image = TARGET + NOISE
    expected = peak_signal_noise_ratio(TARGET, image, data_range=1.3)
    assert sim.psnr(image, TARGET, data_range=1.3) == pytest.approx(expected, rel=1e-6)


def test_smape_lies_between_nought_and_two_hundred():
    assert sim.smape(TARGET, -TARGET) == pytest.approx(200)
    assert sim.smape(np.zeros(SHAPE), np.zeros(SHAPE)) == 0
    assert sim.smape(3 * np.ones(SHAPE), np.ones(SHAPE)) == pytest.approx(100)


@pytest.mark.parametrize("shape", [(47, 53, 50), (11, 30, 13), (64, 71)])
def test_the_ssim_map_equals_scikit_image_everywhere(shape):
    target = textured(3, shape).astype(np.float64)
    image = target + 0.1 * textured(4, shape)
    mean, full = structural_similarity(
        target, image, data_range=1.4, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    assert sim.ssim_map(image, target, data_range=1.4) == pytest.approx(full, abs=1e-10)
    assert sim.ssim(image, target, data_range=1.4) == pytest.approx(mean, abs=1e-10)


def test_masked_ssim_is_the_mean_of_scikit_images_map_in_the_mask():
    image = TARGET + NOISE
    full = structural_similarity(
        TARGET, image, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )[1]
    assert sim.ssim(image, TARGET, data_range=1.0, mask=MASK) == pytest.approx(full[MASK].mean(), abs=1e-5)


@pytest.mark.parametrize("edge", [np.s_[:3, :3, :3], np.s_[-2:, 20:22, -1:], np.s_[25, 25, 25]])
def test_masked_ssim_of_the_box_equals_that_of_the_whole_image_at_its_edges(edge):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[edge] = True
    whole = sim.ssim_map(TARGET + NOISE, TARGET, data_range=1.0)[mask].mean()
    assert sim.ssim(TARGET + NOISE, TARGET, data_range=1.0, mask=mask) == pytest.approx(whole, abs=2e-6)


def test_uniform_windows_equal_scikit_images_defaults():
    image, target = (TARGET + NOISE).astype(np.float64), TARGET.astype(np.float64)
    full = structural_similarity(target, image, data_range=1.0, full=True)[1]
    window = Window(shape="uniform", is_sample=True)
    assert sim.ssim_map(image, target, data_range=1.0, window=window) == pytest.approx(full, abs=1e-10)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_ssim_with_a_window_within_slices_is_the_mean_over_two_dimensional_images(axis):
    image, target = (TARGET + NOISE).astype(np.float64), TARGET.astype(np.float64)
    pairs = zip(np.moveaxis(image, axis, 0), np.moveaxis(target, axis, 0), strict=True)
    expected = np.mean([sim.ssim(first, second, data_range=1.0) for first, second in pairs])
    window = Window(slice_axis=axis)
    assert sim.ssim(image, target, data_range=1.0, window=window) == pytest.approx(expected, abs=1e-10)


def test_ssim_on_a_high_level_survives_single_precision():
    exact = sim.ssim((TARGET + NOISE).astype(np.float64), TARGET.astype(np.float64), data_range=1.0)
    lifted = sim.ssim(TARGET + NOISE + np.float32(1000), TARGET + np.float32(1000), data_range=1.0)
    assert lifted == pytest.approx(exact, abs=2e-3)  # float32 itself keeps 1000.x to 6e-5


def waves():
    i, j, k = np.meshgrid(*(np.arange(n) for n in (164, 168, 172)), indexing="ij")
    target = 0.5 + 0.25 * np.sin(i / 7.0) * np.cos(j / 5.0) + 0.2 * np.sin(k / 3.0 + i * j / 900.0)
    return 0.9 * target + 0.05 * np.sin(i * 1.3) * np.sin(j * 1.1) * np.sin(k * 0.9) + 0.03, target


def test_ms_ssim_in_three_dimensions_equals_pytorch_msssim():
    image, target = waves()
    assert sim.ms_ssim(image, target, data_range=1.0, scales=3) == pytest.approx(GOLDEN["ms_ssim_3_scales"], abs=1e-6)
    assert sim.ssim(image, target, data_range=1.0) == pytest.approx(GOLDEN["ssim"], abs=1e-6)


def test_ms_ssim_in_two_dimensions_equals_pytorch_msssim():
    i, j = np.meshgrid(np.arange(192), np.arange(208), indexing="ij")
    target = 0.5 + 0.25 * np.sin(i / 7.0) * np.cos(j / 5.0) + 0.2 * np.sin(i * j / 900.0)
    image = 0.9 * target + 0.05 * np.sin(i * 1.3) * np.sin(j * 1.1) + 0.03
    assert sim.ms_ssim(image, target, data_range=1.0) == pytest.approx(GOLDEN["ms_ssim_2d_5_scales"], abs=1e-5)


def test_ms_ssim_with_one_scale_is_ssim():
    image = TARGET + NOISE
    expected = sim.ssim(image, TARGET, data_range=1.0, mask=MASK)
    assert sim.ms_ssim(image, TARGET, data_range=1.0, mask=MASK, scales=1) == pytest.approx(expected, abs=1e-6)


def test_the_box_of_the_mask_does_not_shift_the_coarser_scales():
    image, target = (a[:96, :88, :90] for a in waves())
    mask = np.zeros(target.shape, dtype=bool)
    mask[37:61, 33:58, 35:57] = True
    shifted = [np.pad(a, ((4, 0), (8, 4), (0, 12)), mode="edge") for a in (image, target)]
    padded = np.pad(mask, ((4, 0), (8, 4), (0, 12)))
    alone = sim.ms_ssim(image, target, data_range=1.0, mask=mask, scales=3)
    assert sim.ms_ssim(*shifted, data_range=1.0, mask=padded, scales=3) == pytest.approx(alone, abs=1e-12)


def test_an_image_narrower_than_the_window_is_refused():
    with pytest.raises(InputRefused, match="TOO_SMALL"):
        sim.ssim(TARGET[:10], TARGET[:10], data_range=1.0)
    with pytest.raises(InputRefused, match="TOO_SMALL"):
        sim.ms_ssim(TARGET, TARGET, data_range=1.0, scales=5)


def test_nmi_equals_scikit_image_and_ignores_a_gain():
    image, target = (TARGET + NOISE).astype(np.float64), TARGET.astype(np.float64)
    expected = normalized_mutual_information(target, image, bins=64)
    assert sim.nmi(image, target) == pytest.approx(expected, abs=1e-9)
    assert sim.nmi(2 * image, target) == pytest.approx(expected, abs=1e-9)


def test_nmi_of_independent_noise_is_near_one():
    assert sim.nmi(textured(8), textured(9), bins=8) == pytest.approx(1.0, abs=0.01)


def test_local_correlation_ignores_gain_and_offset_and_is_negative_for_an_inverted_image():
    assert sim.local_correlation(3 * TARGET + 7, TARGET, mask=MASK) == pytest.approx(1.0, abs=1e-4)
    assert sim.local_correlation(-TARGET, TARGET, mask=MASK) == pytest.approx(-1.0, abs=1e-4)


def test_local_correlation_of_a_constant_is_nought():
    assert sim.local_correlation(np.full(SHAPE, 0.3), TARGET, mask=MASK) == 0


def test_the_gradient_of_a_ramp_is_its_slope():
    ramp = np.fromfunction(lambda i, j, k: 3.0 * i - 4.0 * k, (12, 9, 11))
    inner = np.s_[1:-1, 1:-1, 1:-1]
    assert sim.gradient_magnitude(ramp)[inner] == pytest.approx(5.0)
    assert sim.tenengrad(ramp[inner].copy(), threshold=5.01) == 0
    flat = np.fromfunction(lambda i, j: 2.0 * j, (9, 11))
    assert sim.gradient_magnitude(flat)[1:-1, 1:-1] == pytest.approx(2.0)


def test_tenengrad_of_a_part_does_not_depend_on_the_box():
    whole = sim.gradient_magnitude(TARGET)[MASK].mean()
    assert sim.tenengrad(TARGET, mask=MASK) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("sigma", [0.4, 0.7, 1.0])
def test_blur_lowers_the_sharpness_ratio_and_noise_raises_it(sigma):
    blurred = ndimage.gaussian_filter(TARGET, sigma)
    softer = ndimage.gaussian_filter(TARGET, sigma + 0.2)
    assert sim.sharpness_ratio(softer, TARGET, mask=MASK) < sim.sharpness_ratio(blurred, TARGET, mask=MASK) < 1
    assert sim.sharpness_ratio(TARGET + sigma * NOISE, TARGET, mask=MASK) > 1


def test_gain_and_offset_do_not_change_the_sharpness_ratio():
    image = ndimage.gaussian_filter(TARGET, 0.7)
    expected = sim.sharpness_ratio(image, TARGET, mask=MASK)
    assert sim.sharpness_ratio(2 * image + 5, TARGET, mask=MASK) == pytest.approx(expected, rel=1e-3)


def test_the_edge_of_the_mask_is_not_detail():
    spoiled = np.where(MASK, TARGET, np.float32(50))
    assert sim.sharpness_ratio(spoiled, TARGET, mask=MASK) == pytest.approx(1.0, abs=1e-6)


def test_a_constant_image_has_no_detail_and_a_constant_target_no_sharpness_to_compare_with():
    assert sim.sharpness_ratio(np.full(SHAPE, 0.4), TARGET, mask=MASK) == 0
    with pytest.raises(InputRefused, match="CONSTANT"):
        sim.sharpness_ratio(TARGET, np.full(SHAPE, 0.4), mask=MASK)


def test_a_checkerboard_of_single_voxels_is_invisible_to_tenengrad_and_one_of_two_is_not():
    index = np.indices((16, 16)).sum(axis=0)
    assert sim.tenengrad((index % 2).astype(np.float64)[2:-2, 2:-2]) < 0.1
    blocks = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((2, 2)))
    assert sim.tenengrad(blocks) > 0.3


@pytest.mark.parametrize("data_range", [0.0, -1.0, float("nan"), float("inf")])
def test_a_range_that_is_not_positive_is_refused(data_range):
    with pytest.raises(UsageError, match="DATA_RANGE"):
        sim.psnr(TARGET, TARGET, data_range=data_range)
    with pytest.raises(UsageError, match="DATA_RANGE"):
        sim.ssim(TARGET, TARGET, data_range=data_range)


def test_missing_values_are_refused_with_their_number():
    spoiled = TARGET.copy()
    spoiled[MASK] = np.nan
    with pytest.raises(InputRefused, match=f"NON_FINITE {int(MASK.sum())}"):
        sim.mae(spoiled, TARGET, mask=MASK)


def test_wholly_padded_averages_are_not_what_is_computed():
    """torchmetrics averages over the padded border too; on an image that is good inside only, that shows."""
    image = TARGET.copy()
    image[:5] = 0
    image[-5:] = 0
    inner = sim.ssim_map(image, TARGET, data_range=1.0)
    assert sim.ssim(image, TARGET, data_range=1.0) == pytest.approx(inner[5:-5, 5:-5, 5:-5].mean(), abs=1e-6)
    assert sim.ssim(image, TARGET, data_range=1.0) > inner.mean() + 0.05
