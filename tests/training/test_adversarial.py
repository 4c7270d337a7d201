import pytest
import torch
from lightning_fabric import Fabric

from voxlate.bundle.settings import AdversarialSettings, Patches
from voxlate.errors import UsageError
from voxlate.training.adversarial import (
    discriminator_input,
    discriminator_loss,
    draw_labels,
    feature_matching,
    generator_loss,
    patch_corners,
)

CUBE = (128, 128, 128)


def seen(patches: Patches, size=CUBE) -> torch.Tensor:
    covered = torch.zeros(size, dtype=torch.int32)
    for i, j, k in patch_corners(size, patches):
        covered[i : i + patches.size[0], j : j + patches.size[1], k : k + patches.size[2]] += 1
    return covered


def test_the_published_patches_leave_out_fourteen_voxels_along_each_axis():
    covered = seen(Patches(stride=(50, 50, 50)))
    assert len(patch_corners(CUBE, Patches(stride=(50, 50, 50)))) == 8
    assert covered[:114, :114, :114].min() == 1
    assert not covered[114:].any()
    assert (covered > 0).float().mean().item() == pytest.approx(0.706, abs=1e-3)


def test_patches_cover_the_window_by_default_and_tile_it_where_they_can():
    assert (seen(Patches()) == 1).all()
    assert seen(Patches(), (100, 64, 130)).min() == 1


def test_a_window_smaller_than_a_patch_is_refused():
    with pytest.raises(UsageError, match=r"PATCHES .*\(64, 60, 64\)"):
        patch_corners((64, 60, 64), Patches())


def test_the_patches_of_an_item_stay_together_and_hold_image_and_source():
    image, source = torch.rand(2, 1, 6, 6, 6), torch.rand(2, 1, 6, 6, 6)
    parts, count = discriminator_input(image, source, AdversarialSettings(patches=Patches(size=(3, 3, 3))))
    assert (parts.shape, count) == ((16, 2, 3, 3, 3), 8)
    assert torch.equal(parts[0, 0], image[0, 0, :3, :3, :3])
    assert torch.equal(parts[15, 1], source[1, 0, 3:, 3:, 3:])
    alone, _ = discriminator_input(image, source, AdversarialSettings(conditional=False))
    assert torch.equal(alone, image)


@pytest.mark.parametrize(
    ("kind", "real", "synthetic"),
    [("standard", (1, 1), (0, 0)), ("one_sided", (0.7, 1), (0, 0)), ("inverted", (0, 0.3), (0.7, 1))],
)
def test_labels_lie_where_they_should_and_hang_on_the_seed_alone(kind, real, synthetic):
    settings = AdversarialSettings(labels=kind)
    labels = draw_labels(settings, 500, (3, 7, 0, 0))
    for drawn, (low, high) in ((labels.real, real), (labels.synthetic, synthetic)):
        assert low <= drawn.min() <= drawn.max() <= high
    assert torch.equal(labels.real, draw_labels(settings, 500, (3, 7, 0, 0)).real)
    if kind != "standard":
        assert not torch.equal(labels.real, draw_labels(settings, 500, (3, 8, 0, 0)).real)


def test_a_discriminator_learns_from_real_and_synthetic_images_and_nothing_from_the_loss_of_the_generator():
    discriminator, settings = torch.nn.Conv3d(2, 1, 1), AdversarialSettings()
    fabric = Fabric(accelerator="cpu", devices=1)
    synthetic = torch.rand(1, 1, 2, 2, 2, requires_grad=True)
    real, source = torch.rand(1, 1, 2, 2, 2), torch.rand(1, 1, 2, 2, 2)
    discriminator_loss(discriminator, synthetic, real, source, settings, (0,)).backward()
    assert discriminator.weight.grad is not None
    assert synthetic.grad is None
    discriminator.zero_grad(set_to_none=True)
    generator_loss(discriminator, synthetic, source, settings, (0,), fabric=fabric).backward()
    assert discriminator.weight.grad is None
    assert synthetic.grad.abs().sum() > 0
    assert all(weight.requires_grad for weight in discriminator.parameters())


def test_weights_that_a_discriminator_of_the_user_has_frozen_stay_frozen_after_the_loss_of_the_generator():
    image = torch.rand(2, 1, 8, 8, 8)
    network = torch.nn.Conv3d(1, 1, 4)
    network.bias.requires_grad_(False)
    settings = AdversarialSettings(conditional=False)
    generator_loss(network, image, image, settings, (0,), fabric=Fabric(accelerator="cpu"))
    assert (network.weight.requires_grad, network.bias.requires_grad) == (True, False)


def test_the_objectives_are_those_of_least_squares_by_hand():
    discriminator, settings = torch.nn.Conv3d(2, 1, 1), AdversarialSettings()
    torch.nn.init.zeros_(discriminator.weight)
    torch.nn.init.constant_(discriminator.bias, 0.25)
    image = torch.zeros(1, 1, 2, 2, 2)
    loss = discriminator_loss(discriminator, image, image, image, settings, (0,)).item()
    assert loss == pytest.approx(0.5 * (0.75**2 + 0.25**2))
    fabric = Fabric(accelerator="cpu", devices=1)
    loss = generator_loss(discriminator, image, image, settings, (0,), fabric=fabric).item()
    assert loss == pytest.approx(0.75**2)


def test_feature_matching_is_the_mean_difference_of_activations_and_trains_the_generator_alone():
    torch.manual_seed(0)
    discriminator = torch.nn.Sequential(torch.nn.Conv3d(2, 3, 1), torch.nn.LeakyReLU(0.2), torch.nn.Conv3d(3, 1, 1))
    fabric, settings = Fabric(accelerator="cpu", devices=1), AdversarialSettings(features=2.0)
    synthetic = torch.rand(1, 1, 2, 2, 2, requires_grad=True)
    real, source = torch.rand(1, 1, 2, 2, 2), torch.rand(1, 1, 2, 2, 2)
    found = feature_matching(discriminator, synthetic, real, source, settings, fabric=fabric)
    first, second = (discriminator[:2](torch.cat([image, source], dim=1)) for image in (synthetic, real))
    assert found.item() == pytest.approx((first - second).abs().mean().item())
    found.backward()
    assert synthetic.grad.abs().sum() > 0
    assert discriminator[0].weight.grad is None
    with pytest.raises(UsageError, match="NO_ACTIVATION"):
        feature_matching(torch.nn.Conv3d(2, 1, 1), synthetic, real, source, settings, fabric=fabric)
