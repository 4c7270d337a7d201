"""SSIM losses within slices and over several scales."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from voxlate.errors import UsageError
from voxlate.losses.ssim import ms_ssim, ms_ssim_slices, negative_log_ssim, scales_that_fit, ssim, ssim_slices


def pair(*size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    target = torch.rand(1, 1, *size)
    return (target + 0.2 * torch.rand(1, 1, *size)).clamp(0, 1.5), target, torch.ones(1, 1, *size)


def reference(synthetic: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Returns means of the whole similarity and of its contrast-structure part, of one slice, from scikit-image."""
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.5}
    _, whole = structural_similarity(synthetic, target, full=True, **options)
    smooth = [_smooth(x) for x in (synthetic, target)]
    c1 = (0.01 * 1.5) ** 2
    luminance = (2 * smooth[0] * smooth[1] + c1) / (smooth[0] ** 2 + smooth[1] ** 2 + c1)
    return float(whole[5:-5, 5:-5].mean()), float((whole / luminance)[5:-5, 5:-5].mean())


def _smooth(x: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(x, 1.5, truncate=3.5)


def test_similarity_within_slices_is_the_mean_of_that_of_scikit_image():
    synthetic, target, mask = pair(14, 16, 3)
    slices = [
        reference(synthetic[0, 0, :, :, k].double().numpy(), target[0, 0, :, :, k].double().numpy()) for k in range(3)
    ]
    assert ssim_slices(synthetic, target, mask).item() == pytest.approx(1 - np.mean([s for s, _ in slices]), abs=1e-5)


def test_two_scales_are_the_weighted_geometric_mean_of_what_scikit_image_gives():
    synthetic, target, mask = pair(24, 22, 1)
    fine = reference(*(x[0, 0, :, :, 0].double().numpy() for x in (synthetic, target)))
    halved = [torch.nn.functional.avg_pool2d(x[0, :, :, :, 0], 2)[0].double().numpy() for x in (synthetic, target)]
    weights = np.array([0.0448, 0.2856]) / (0.0448 + 0.2856)
    expected = 1 - fine[1] ** weights[0] * reference(*halved)[0] ** weights[1]
    assert ms_ssim_slices(synthetic, target, mask).item() == pytest.approx(expected, abs=1e-5)


def test_over_one_scale_it_is_structural_similarity():
    synthetic, target, mask = pair(12, 14, 13)
    assert ms_ssim(synthetic, target, mask).item() == pytest.approx(ssim(synthetic, target, mask).item(), abs=1e-6)


def test_slices_without_mask_do_not_count():
    synthetic, target, mask = pair(12, 12, 4)
    mask[..., 2:] = 0
    expected = ms_ssim_slices(synthetic[..., :2], target[..., :2], mask[..., :2])
    assert ms_ssim_slices(synthetic, target, mask).item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize(
    ("size", "scales"), [(10, 0), (11, 1), (21, 1), (22, 2), (44, 3), (175, 4), (176, 5), (999, 5)]
)
def test_so_many_scales_fit(size, scales):
    assert scales_that_fit((size, 1000)) == scales


def test_an_image_smaller_than_a_window_is_refused():
    small = torch.rand(1, 1, 10, 16, 16)
    for loss in (ms_ssim, ms_ssim_slices, ssim_slices):
        with pytest.raises(UsageError, match=r"SIZE .*at least 11"):
            loss(small, small, torch.ones_like(small))


def test_the_logarithm_of_a_similarity_below_zero_is_finite_and_has_a_gradient():
    _, target, mask = pair(12, 12, 12)
    synthetic = (1 - target).requires_grad_()
    value = negative_log_ssim(synthetic, target, mask)
    value.backward()
    assert 4 < value.item() < 200
    assert synthetic.grad.abs().sum() > 0


def test_opposite_images_over_scales_have_no_nan():
    _, target, mask = pair(12, 12, 12)
    synthetic = (1 - target).requires_grad_()
    ms_ssim(synthetic, target, mask).backward()
    assert torch.isfinite(synthetic.grad).all()
