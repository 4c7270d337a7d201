"""Losses that compare images voxel by voxel."""

import pytest
import torch
from torch.nn import functional as F

from voxlate.errors import UsageError
from voxlate.losses.bce import bce
from voxlate.losses.cycle import cycle_consistency, identity_keeping
from voxlate.losses.l1 import charbonnier, l1
from voxlate.losses.local import PUBLISHED, Enhancement, local
from voxlate.losses.mse import mse

SIZE = (1, 1, 4, 5, 6)


def images() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    mask = torch.zeros(SIZE)
    mask[..., 1:4] = 1
    return torch.rand(SIZE), torch.rand(SIZE), mask


def test_mse_is_the_mean_over_the_mask():
    synthetic, target, mask = images()
    inside = mask.bool()
    assert mse(synthetic, target, mask).item() == pytest.approx(F.mse_loss(synthetic[inside], target[inside]).item())


def test_charbonnier_is_l1_for_large_errors_and_half_a_square_for_small_ones():
    _, target, mask = images()
    assert charbonnier(target + 100, target, mask).item() == pytest.approx(100, abs=2e-3)
    assert charbonnier(target.double() + 1e-5, target.double(), mask).item() == pytest.approx(0.5e-10 / 1e-3, rel=1e-3)


def test_bce_has_the_gradient_of_torch_s_and_leaves_out_the_entropy_of_the_target():
    synthetic, target, mask = images()
    inside = mask.bool()
    ours, theirs = (synthetic.clone().requires_grad_() for _ in range(2))
    bce(ours, target, mask).backward()
    F.binary_cross_entropy(theirs[inside], target[inside]).backward()
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)


def test_bce_is_finite_at_the_ends_of_its_domain():
    synthetic, target, mask = torch.zeros(SIZE, requires_grad=True), torch.ones(SIZE), torch.ones(SIZE)
    value = bce(synthetic, target, mask)
    value.backward()
    assert value.item() == pytest.approx(27.6, abs=0.1)
    assert torch.isfinite(synthetic.grad).all()


def test_bce_refuses_what_is_no_probability_inside_the_mask_only():
    synthetic, target, mask = images()
    target[..., 0] = -2.1
    bce(synthetic, target, mask)
    target[..., 2] = 2.6
    with pytest.raises(UsageError, match=r"LOSS_DOMAIN .*target has 2\.6"):
        bce(synthetic, target, mask)
    with pytest.raises(UsageError, match=r"LOSS_DOMAIN .*synthetic image has -1"):
        bce(-torch.ones(SIZE), torch.zeros(SIZE), mask)


def test_bce_of_a_nan_is_nan_so_that_the_training_loop_names_the_case():
    synthetic, target, mask = images()
    synthetic[..., 2] = torch.nan
    assert bce(synthetic, target, mask).isnan()


@pytest.mark.parametrize("normalise", ["area", "all"])
def test_the_local_loss_is_zero_without_error_mask_or_enhancement(normalise):
    synthetic, target, mask = images()
    region, nothing = (Enhancement().region(target - lift, target) for lift in (0.3, 0.0))
    assert local(target, target, mask, region=region, normalise=normalise).item() == 0
    assert local(synthetic, target, mask, region=nothing, normalise=normalise).item() == 0
    synthetic.requires_grad_()
    local(synthetic, target, torch.zeros_like(mask), region=region, normalise=normalise).backward()
    assert torch.equal(synthetic.grad, torch.zeros(SIZE))


def test_the_local_loss_is_averaged_over_the_region_or_as_published_over_everything():
    synthetic, target, mask = images()
    region = torch.zeros(SIZE)
    region[:, :, 1, 1, 2] = 1
    error = (synthetic - target)[0, 0, 1, 1, 2].abs().item()
    assert local(synthetic, target, mask, region=region).item() == pytest.approx(error)
    whole = local(synthetic, target, mask, region=region, normalise="all").item()
    assert whole == pytest.approx(error / target.numel())


def test_the_published_region_lies_between_two_thresholds_beyond_slice_75():
    before, after = torch.zeros(1, 1, 3, 3, 77), torch.zeros(1, 1, 3, 3, 77)
    after[0, 0, 0, 0, 74:] = 0.3
    after[0, 0, 1, 1, 76], after[0, 0, 2, 2, 76] = 0.61, 0.1
    assert PUBLISHED.region(before, after).nonzero()[:, 2:].tolist() == [[0, 0, 75], [0, 0, 76]]


def test_a_slice_with_too_much_region_does_not_count():
    before, after = torch.zeros(1, 1, 3, 3, 2), torch.zeros(1, 1, 3, 3, 2)
    after[..., 0], after[0, 0, 0, 0, 1] = 1, 1
    region = Enhancement(smoothing=1, largest_slice_voxels=4).region(before, after)
    assert region.nonzero()[:, 2:].tolist() == [[0, 0, 1]]


def test_a_single_bright_voxel_is_no_region_once_smoothed():
    before, after = torch.zeros(1, 1, 7, 7, 7), torch.zeros(1, 1, 7, 7, 7)
    after[0, 0, 3, 3, 3] = 1
    assert Enhancement(smoothing=1).region(before, after).sum() == 1
    assert Enhancement(smoothing=3).region(before, after).sum() == 0


def test_a_cycle_that_restores_its_source_loses_nothing_and_trains_both_networks():
    source, _, mask = images()
    there, back = (torch.nn.Conv3d(1, 1, 1) for _ in range(2))
    torch.nn.init.constant_(there.weight, 2.0)
    torch.nn.init.constant_(back.weight, 0.5)
    for network in (there, back):
        torch.nn.init.zeros_(network.bias)
    assert cycle_consistency(there(source), back, source, mask).item() == 0
    cycle_consistency(there(source) + 1, back, source, mask).backward()
    assert there.weight.grad.abs() > 0
    assert back.weight.grad.abs() > 0
    assert identity_keeping(there, source, mask).item() == pytest.approx(l1(2 * source, source, mask).item())
