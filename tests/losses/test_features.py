"""Losses on the feature maps of a frozen network."""

import math

import pytest
import torch

from voxlate.errors import UsageError
from voxlate.losses import FEATURE_LOSSES
from voxlate.losses.contextual import contextual, contextual_dissimilarity, match_features
from voxlate.losses.features import feature_pairs, spread_evenly
from voxlate.losses.perceptual import perceptual, segmentation
from voxlate.losses.style import content, gram, style

torch.manual_seed(0)
LAYER = torch.nn.Conv2d(1, 8, 3, padding=1).requires_grad_(False)
CLASSES = torch.nn.Conv3d(1, 3, 3, padding=1).requires_grad_(False)


def features(x: torch.Tensor) -> list[torch.Tensor]:
    return [LAYER(x), torch.nn.functional.avg_pool2d(LAYER(x), 2)]


def losses(name: str):
    return segmentation(CLASSES) if name == "segmentation" else FEATURE_LOSSES[name](features)


def images() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    mask = torch.zeros(2, 1, 8, 10, 6)
    mask[:, :, 2:6, 2:8, 1:5] = 1
    return torch.rand(mask.shape), torch.rand(mask.shape), mask


names = pytest.mark.parametrize("name", sorted(FEATURE_LOSSES))


@names
def test_the_same_image_loses_nothing_even_on_a_background_of_zeros(name):
    _, target, mask = images()
    target = target * mask
    assert losses(name)(target, target, mask).item() == pytest.approx(0, abs=1e-3)


@names
def test_an_empty_mask_gives_zero_and_a_gradient_of_zero(name):
    synthetic, target, mask = images()
    synthetic.requires_grad_()
    value = losses(name)(synthetic, target, 0 * mask)
    value.backward()
    assert value.item() == 0
    assert torch.equal(synthetic.grad, torch.zeros_like(synthetic))


@names
def test_the_gradient_is_finite_and_reaches_the_image_under_autocast_to_half_precision(name):
    synthetic, target, mask = images()
    synthetic, target = (synthetic * mask).requires_grad_(), target * mask
    full = losses(name)(synthetic, target, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = losses(name)(synthetic, target, mask)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(full.item(), rel=1e-5)
    value.backward()
    assert torch.isfinite(synthetic.grad).all()
    assert synthetic.grad.abs().sum() > 0


def plain(synthetic: torch.Tensor, target: torch.Tensor, bandwidth: float) -> float:
    """The formula of the reference, one number at a time."""
    mean = target.mean(dim=1, keepdim=True)
    x, y = ((f - mean) / (f - mean).norm(dim=0) for f in (synthetic.double(), target.double()))
    weights = []
    for i in range(x.shape[1]):
        distance = [(1 - float(x[:, i] @ y[:, j])) / 2 for j in range(y.shape[1])]
        raw = [math.exp((1 - d / (min(distance) + 1e-5)) / bandwidth) for d in distance]
        weights.append([w / sum(raw) for w in raw])
    best = [max(row[j] for row in weights) for j in range(y.shape[1])]
    return -math.log(sum(best) / len(best))


@pytest.mark.parametrize("bandwidth", [0.1, 0.5])
def test_the_contextual_loss_is_the_formula_of_the_paper(bandwidth):
    torch.manual_seed(0)
    synthetic, target = torch.rand(4, 7), torch.rand(4, 9)
    found = contextual_dissimilarity(synthetic, target, bandwidth).item()
    assert found == pytest.approx(plain(synthetic, target, bandwidth), rel=1e-3)


def test_the_steps_of_the_contextual_loss_end_in_the_loss():
    torch.manual_seed(0)
    synthetic, target = torch.rand(4, 7), torch.rand(4, 9)
    matching = match_features(synthetic, target, 0.5)
    assert matching.loss.item() == pytest.approx(contextual_dissimilarity(synthetic, target, 0.5).item(), rel=1e-6)
    assert torch.allclose(matching.weight.sum(dim=1), torch.ones(7))
    assert torch.allclose(matching.relative.amin(dim=1), torch.ones(7), rtol=1e-3)
    x, y = (features - target.mean(dim=1, keepdim=True) for features in (synthetic, target))
    cosine = torch.cosine_similarity(x.T[:, None], y.T[None], dim=2)
    assert torch.allclose(matching.distance, (1 - cosine) / 2, atol=1e-6)


def test_chunks_do_not_change_the_contextual_loss():
    synthetic, target = torch.rand(4, 23), torch.rand(4, 23)
    whole = contextual_dissimilarity(synthetic, target, 0.5)
    assert contextual_dissimilarity(synthetic, target, 0.5, chunk=5).item() == pytest.approx(whole.item(), rel=1e-5)


def test_the_order_of_features_does_not_matter_to_the_contextual_loss_without_places():
    features_of_one = torch.rand(4, 12)
    shuffled = features_of_one[:, torch.randperm(12)]
    assert contextual_dissimilarity(shuffled, features_of_one, 0.5).item() == pytest.approx(0, abs=1e-3)


def test_places_make_a_moved_image_worse():
    _, target, mask = images()
    moved = target.roll(3, dims=3)
    everywhere = torch.ones_like(mask)
    values = [contextual(features, spatial_weight=w)(moved, target, everywhere).item() for w in (0.0, 0.5)]
    assert values[1] > values[0]


def test_a_bandwidth_of_nothing_is_refused():
    with pytest.raises(UsageError, match="LOSS_ARGUMENT"):
        contextual(features, bandwidth=0)


def test_the_number_of_positions_is_bounded_and_they_are_spread():
    assert spread_evenly(10, 4096, device=torch.device("cpu")).tolist() == list(range(10))
    assert spread_evenly(100, 4, device=torch.device("cpu")).tolist() == [12, 37, 62, 87]
    assert spread_evenly(0, 4, device=torch.device("cpu")).tolist() == []


def test_slices_are_taken_where_the_mask_is():
    synthetic, target, mask = images()
    seen = []

    def watch(x: torch.Tensor) -> list[torch.Tensor]:
        seen.append(x)
        return [x]

    pairs = list(feature_pairs(watch, synthetic, target, mask, slice_count=2))
    assert torch.equal(
        seen[0], torch.stack([target[0, ..., 2], target[0, ..., 4], target[1, ..., 2], target[1, ..., 4]])
    )
    assert torch.equal(pairs[0].mask[0], mask[0, ..., 2])


def test_the_perceptual_loss_of_the_identity_is_the_mean_absolute_error():
    synthetic, target, mask = images()
    loss = perceptual(lambda x: [x], slice_count=None)
    inside = mask.bool()
    assert loss(synthetic, target, mask).item() == pytest.approx((synthetic - target)[inside].abs().mean().item())


def test_the_segmentation_loss_does_not_mind_what_no_class_minds():
    _, target, mask = images()
    loss = segmentation(lambda x: torch.cat([x - x.mean(), 0 * x], dim=1))
    assert loss(target + 5, target, mask).item() == pytest.approx(0, abs=1e-9)
    assert loss(2 * target, target, mask).item() > 0


@pytest.mark.parametrize(("inside", "expected"), [(1, 0.0), (2, 1.0), (4, 1.0)])
def test_a_coarse_place_is_inside_where_at_least_half_of_what_it_stands_for_is(inside, expected):
    mask = torch.zeros(1, 1, 2, 2)
    mask.flatten()[:inside] = 1
    pair = next(feature_pairs(lambda x: [torch.nn.functional.avg_pool2d(x, 2)], mask, mask, mask, slice_count=None))
    assert pair.mask.item() == expected


def test_a_gram_matrix_is_that_of_its_formula_inside_the_mask():
    torch.manual_seed(2)
    maps, mask = torch.rand(1, 3, 4, 5), torch.zeros(1, 1, 4, 5)
    mask[..., 1:3, 2:4] = 1
    inside = maps[0][:, 1:3, 2:4].reshape(3, 4)
    assert torch.allclose(gram(maps, mask)[0], inside @ inside.T / (3 * 4), atol=1e-6)


def test_style_does_not_see_where_features_are_and_content_does():
    torch.manual_seed(2)
    image, mask = torch.rand(1, 1, 6, 6, 1), torch.ones(1, 1, 6, 6, 1)
    turned = image.flip(2)
    pointwise = torch.nn.Conv2d(1, 4, 1).requires_grad_(False)

    def network(x):
        return [pointwise(x)]

    assert style(network, slice_count=1)(turned, image, mask).item() == pytest.approx(0, abs=1e-9)
    expected = (pointwise(turned[..., 0]) - pointwise(image[..., 0])).square().mean().item()
    assert content(network, slice_count=1)(turned, image, mask).item() == pytest.approx(expected, rel=1e-5)
    brighter = style(network, slice_count=1)(2 * image, image, mask).item()
    first, second = (gram(pointwise(x[..., 0]), mask[..., 0])[0] for x in (2 * image, image))
    assert brighter == pytest.approx(((first - second).square().sum() / (4 * 4**2)).item(), rel=1e-5)
