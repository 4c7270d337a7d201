from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from voxlate.bundle.recipe import read_recipe
from voxlate.bundle.settings import FeatureSettings, LocalSettings, SsimSettings, Stage
from voxlate.errors import NoInput, UsageError
from voxlate.losses.contextual import contextual
from voxlate.losses.gradient import gradient
from voxlate.losses.l1 import l1
from voxlate.losses.ssim import ssim_slices
from voxlate.models.features.vgg import vgg16
from voxlate.training import objective
from voxlate.training.objective import objectives_of


def images():
    torch.manual_seed(0)
    synthetic, target, source = (torch.rand(2, 1, 16, 16, 4) for _ in range(3))
    mask = torch.zeros_like(target)
    mask[:, :, 3:13, 3:13] = 1
    return synthetic, target, mask, source


def losses(recipe, root="", **change):
    return objectives_of(recipe.model_copy(update=change), root)


def test_weights_add_losses(recipe):
    synthetic, target, mask, source = images()
    (both,) = losses(recipe, loss={"l1": 2.0, "gradient": 0.5})
    expected = 2 * l1(synthetic, target, mask) + 0.5 * gradient(synthetic, target, mask)
    assert both(synthetic, target, mask, source).item() == pytest.approx(expected.item())


def test_an_unknown_loss_is_refused_with_those_there_are(recipe):
    with pytest.raises(UsageError, match=r"LOSS_UNKNOWN .*bce, .*contextual, gradient, l1, local"):
        losses(recipe, loss={"l2": 1.0})


def test_each_stage_has_its_loss(recipe):
    synthetic, target, mask, source = images()
    stages = (Stage(steps=1), Stage(steps=1, loss={"l1": 10.0}))
    first, second = losses(recipe, stages=stages)
    found = [each(synthetic, target, mask, source).item() for each in (first, second)]
    assert found[1] == pytest.approx(10 * found[0])


@pytest.mark.parametrize("normalise", ["area", "all"])
def test_the_local_loss_counts_where_the_target_is_brighter_than_the_first_source_by_its_limits(recipe, normalise):
    synthetic, target, mask, source = images()
    settings = LocalSettings(low=0.2, high=0.5, smoothing=1, normalise=normalise)
    (local,) = losses(recipe, loss={"local": 3.0}, local=settings)
    apart = target - source
    region = ((apart > 0.2) & (apart <= 0.5)).float() * mask
    count = region.sum() if normalise == "area" else target.numel()
    expected = 3 * ((synthetic - target).abs() * region).sum() / count
    found = local(synthetic, target, mask, torch.cat([source, target], dim=1))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_feature_losses_take_their_network_and_its_options_from_the_recipe(recipe, monkeypatch):
    synthetic, target, mask, source = images()
    network = vgg16(("relu1_2",), width=2)
    asked = []
    monkeypatch.setattr(objective, "offline_vgg16", lambda layers, white: asked.append((layers, white)) or network)
    settings = FeatureSettings(network="vgg16", layers=("relu1_2",), white=2.0, bandwidth=0.2, slice_count=2)
    (found,) = losses(recipe, loss={"contextual": 0.5}, features=settings)
    expected = 0.5 * contextual(network, bandwidth=0.2, slice_count=2)(synthetic, target, mask)
    assert found(synthetic, target, mask, source).item() == pytest.approx(expected.item(), rel=1e-5)
    assert asked == [(("relu1_2",), 2.0)]


def test_weights_of_features_are_named_with_their_hash_and_must_be_there(recipe, tmp_path):
    with pytest.raises(ValueError, match="go together"):
        FeatureSettings(weights="vgg.safetensors")
    with pytest.raises(ValueError, match="name a file and its hash"):
        FeatureSettings(network="vgg19")
    settings = FeatureSettings(network="vgg19", weights="vgg.safetensors", sha256="0" * 64)
    with pytest.raises(NoInput, match="WEIGHTS_MISSING"):
        losses(recipe, tmp_path, loss={"perceptual": 1.0}, features=settings)


def test_a_feature_network_that_no_loss_asks_for_is_not_loaded(recipe, monkeypatch):
    monkeypatch.setattr(objective, "offline_vgg16", lambda *_, **__: pytest.fail("loaded"))
    losses(recipe, loss={"l1": 1.0, "contextual": 0.0})


def test_the_range_of_the_images_in_ssim_is_that_of_the_recipe(recipe):
    synthetic, target, mask, source = images()
    (found,) = losses(recipe, loss={"ssim_slices": 1.0}, ssim=SsimSettings(data_range=1.0))
    assert found(synthetic, target, mask, source).item() == ssim_slices(synthetic, target, mask, 1.0).item()
    (usual,) = losses(recipe, loss={"ssim_slices": 1.0})
    assert usual(synthetic, target, mask, source).item() == ssim_slices(synthetic, target, mask).item()


def test_the_text_of_chen_sums_l1_the_plain_ssim_of_slices_and_the_local_loss(tmp_path):
    path = Path(__file__).resolve().parents[2] / "recipes" / "chen2022" / "faithful.yaml"
    recipe = read_recipe(path, variants=["plain_ssim"])
    torch.manual_seed(0)
    synthetic, target, source = torch.rand(3, 1, 1, 40, 30, 3)
    target, source = 0.5 * target, source.clamp(max=0.4)  # differences below `high`
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    pairs = [[x[0, 0, :, :, k].double().numpy() for x in (synthetic, target)] for k in range(3)]
    maps = [structural_similarity(*pair, full=True, **options)[1][5:-5, 5:-5] for pair in pairs]
    error, brighter = (synthetic - target).abs(), target - source > 0.1
    parts = (error.mean().item(), 1 - np.mean(maps), (error * brighter).mean().item())
    assert brighter.any()
    for summed, weights in zip(objectives_of(recipe, tmp_path), ((1, 1, 1), (0.1, 0.1, 10)), strict=True):
        expected = sum(weight * part for weight, part in zip(weights, parts, strict=True))
        assert summed(synthetic, target, torch.ones_like(target), source).item() == pytest.approx(expected, abs=1e-5)
