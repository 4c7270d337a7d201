"""The loss of a recipe: the tables of `voxlate.losses` joined into one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import FeatureSettings, LocalSettings
from voxlate.errors import UsageError
from voxlate.losses import FEATURE_LOSSES, LOSSES, Loss
from voxlate.losses.local import Enhancement, local
from voxlate.models.features.head_segmenter import DEFAULT_LAYERS as HEAD_LAYERS
from voxlate.models.features.head_segmenter import HeadFeatures, head_segmenter
from voxlate.models.features.vgg import DEFAULT_LAYERS as VGG_LAYERS
from voxlate.models.features.vgg import VGGFeatures, offline_vgg16

Objective = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Of synthetic, target, weight, (B, 1, D, H, W) each, and source (B, C, D, H, W); a scalar."""


def objectives_of(recipe: Recipe, root: Path) -> list[Objective]:
    """Returns the loss of each stage; a feature network is built once and shared.

    Raises:
        UsageError: `LOSS_UNKNOWN`, with the names there are.
        NoInput, ModelInvalid: the weights of the feature network are missing or not those named.
    """
    weights = [recipe.loss if stage.loss is None else stage.loss for stage in recipe.plan]
    known = sorted({*LOSSES, *FEATURE_LOSSES, "local"})
    for name in sorted({name for each in weights for name in each}):
        if name not in known:
            raise UsageError("LOSS_UNKNOWN", f"no loss is called {name!r}; there are {', '.join(known)}")
    used = {name for each in weights for name, weight in each.items() if weight > 0}
    simple = dict(LOSSES)
    if used & OF_FEATURES:
        simple |= feature_losses(recipe.features, root)
    if "segmentation" in used:
        slices = recipe.features.slice_count
        simple["segmentation"] = FEATURE_LOSSES["segmentation"](_on_device(head_segmenter()), slice_count=slices)
    return [_weighted_sum(each, simple, recipe.local) for each in weights]


OF_FEATURES = frozenset({"contextual", "perceptual"})


def feature_losses(settings: FeatureSettings, root: Path) -> dict[str, Loss]:
    """Returns the losses that compare what a frozen network sees, by name."""
    network, slices = _on_device(_feature_network(settings, root)), settings.slice_count
    return {
        "contextual": FEATURE_LOSSES["contextual"](
            network,
            bandwidth=settings.bandwidth,
            positions=settings.positions,
            spatial_weight=settings.spatial_weight,
            slice_count=slices,
        ),
        "perceptual": FEATURE_LOSSES["perceptual"](network, slice_count=slices),
    }


def _feature_network(settings: FeatureSettings, root: Path) -> nn.Module:
    if settings.network == "head":
        return HeadFeatures(settings.layers or HEAD_LAYERS)
    layers = settings.layers or VGG_LAYERS
    if settings.weights is None:
        return offline_vgg16(layers, white=settings.white)
    network = VGGFeatures(19 if settings.network == "vgg19" else 16, layers, white=settings.white)
    network.load(root / settings.weights, sha256=settings.sha256 or "")
    return network


def _on_device(network: nn.Module) -> Callable[[Tensor], Any]:
    """Returns a function that asks a network where its images are."""
    return lambda images: network.to(images.device)(images)


def _weighted_sum(weights: Mapping[str, float], simple: Mapping[str, Loss], settings: LocalSettings) -> Objective:
    chosen = [(simple[name], weight) for name, weight in weights.items() if weight > 0 and name in simple]
    of_region = weights.get("local", 0.0)
    enhancement = Enhancement(
        low=settings.low,
        high=float("inf") if settings.high is None else settings.high,
        smoothing=settings.smoothing,
        largest_slice_voxels=settings.largest_slice_voxels,
    )

    def loss(synthetic: Tensor, target: Tensor, weight: Tensor, source: Tensor) -> Tensor:
        total = synthetic.new_zeros(())
        for function, factor in chosen:
            total = total + factor * function(synthetic, target, weight)
        if of_region > 0:
            region = enhancement.region(source[:, :1], target)
            total = total + of_region * local(synthetic, target, weight, region=region, normalise=settings.normalise)
        return total

    return loss
