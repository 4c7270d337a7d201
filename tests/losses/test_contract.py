"""Contract tests of every loss in `LOSSES`, and their values."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from voxlate.errors import UsageError
from voxlate.losses import LOSSES
from voxlate.losses.gradient import gradient
from voxlate.losses.l1 import l1
from voxlate.losses.ssim import ssim

names = pytest.mark.parametrize("name", sorted(LOSSES))


def images(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    synthetic, target = torch.rand(2, 1, 13, 16, 14), torch.rand(2, 1, 13, 16, 14)
    mask = torch.zeros_like(target)
    mask[:, :, 4:9, 5:11, 4:10] = 1
    return synthetic, target, mask


@names
def test_the_same_image_loses_nothing(name):
    _, target, mask = images()
    assert LOSSES[name](target, target, mask).item() == pytest.approx(0, abs=1e-6)


@names
def test_a_worse_image_loses_more(name):
    synthetic, target, mask = images()
    losses = [LOSSES[name](target + share * (synthetic - target), target, mask).item() for share in (0.1, 0.5, 1.0)]
    assert losses == sorted(losses)
    assert losses[0] > 0


@names
def test_an_empty_mask_gives_zero_and_a_finite_gradient(name):
    synthetic, target, mask = images()
    synthetic.requires_grad_()
    value = LOSSES[name](synthetic, target, torch.zeros_like(mask))
    value.backward()
    assert value.item() == 0
    assert torch.equal(synthetic.grad, torch.zeros_like(synthetic))


@names
def test_what_lies_far_from_the_mask_does_not_count(name):
    synthetic, target, _ = images()
    mask = torch.zeros_like(target)
    mask[:, :, 5:7, 5:7, 5:7] = 1
    changed = synthetic.clone()
    changed[:, :, -1, -1, -1] += 100
    assert LOSSES[name](changed, target, mask).item() == pytest.approx(LOSSES[name](synthetic, target, mask).item())


def test_l1_is_the_mean_over_the_mask():
    synthetic, target, mask = images()
    inside = mask.bool()
    assert l1(synthetic, target, mask).item() == pytest.approx((synthetic - target)[inside].abs().mean().item())


def test_gradient_of_a_shifted_ramp_is_the_difference_of_slopes():
    ramp = torch.arange(10.0).reshape(1, 1, 10, 1, 1).expand(1, 1, 10, 4, 4)
    flat = torch.zeros_like(ramp)
    every = torch.ones_like(ramp)
    pairs = [9 * 16, 10 * 12, 10 * 12]
    assert gradient(3 * ramp + 5, flat, every).item() == pytest.approx(3 * pairs[0] / sum(pairs))


def test_ssim_is_one_minus_that_of_scikit_image():
    synthetic, target, mask = images()
    _, similarity = structural_similarity(
        synthetic[0, 0].double().numpy(),
        target[0, 0].double().numpy(),
        data_range=1.5,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    inner = np.zeros(similarity.shape, dtype=bool)
    inner[5:-5, 5:-5, 5:-5] = True
    inside = inner & mask[0, 0].bool().numpy()
    assert ssim(synthetic[:1], target[:1], mask[:1]).item() == pytest.approx(1 - similarity[inside].mean(), abs=1e-5)


def test_ssim_of_an_image_too_small_for_its_window_is_refused():
    small = torch.rand(1, 1, 10, 16, 16)
    with pytest.raises(UsageError, match="SIZE"):
        ssim(small, small, torch.ones_like(small))


def test_gradient_has_the_slope_of_its_formula():
    torch.manual_seed(0)
    synthetic, target = (torch.rand(2, 3, 4, 5, 6, dtype=torch.float64) for _ in range(2))
    mask = torch.randint(0, 3, (2, 1, 4, 5, 6)).double()
    total, count = 0.0, 0.0
    ours, plain = synthetic.clone().requires_grad_(), synthetic.clone().requires_grad_()
    for axis in (2, 3, 4):
        ends = [torch.arange(mask.shape[axis] - 1) + shift for shift in (0, 1)]
        weight = torch.minimum(*(mask.index_select(axis, end) for end in ends)).expand(-1, 3, -1, -1, -1)
        total = total + ((torch.diff(plain, dim=axis) - torch.diff(target, dim=axis)).abs() * weight).sum()
        count += weight.sum()
    found = gradient(ours, target, mask)
    assert found.item() == pytest.approx((total / count).item(), rel=1e-12)
    (3 * found).backward()
    (3 * total / count).backward()
    assert torch.allclose(ours.grad, plain.grad, rtol=1e-10, atol=1e-15)
