"""The loss of a recipe: the tables of `voxlate.losses` joined into one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from voxlate.errors import UsageError
from voxlate.losses import FEATURE_LOSSES, LOSSES, SOURCE_LOSSES, Loss
from voxlate.models.vgg import VGGFeatures, offline_vgg16
from voxlate.train.recipe import Recipe
from voxlate.train.settings import FeatureSettings

Objective = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Of synthetic, target, weight, (B, 1, D, H, W) each, and source (B, C, D, H, W); a scalar."""


def objectives_of(recipe: Recipe, root: Path) -> list[Objective]:
    """Returns the loss of each stage; a feature network is built once and shared.

    Raises:
        UsageError: `LOSS_UNKNOWN`, with the names there are.
        NoInput, ModelInvalid: the weights of the feature network are missing or not those named.
    """
    weights = [recipe.loss if stage.loss is None else stage.loss for stage in recipe.plan]
    names = {name for each in weights for name, weight in each.items() if weight > 0}
    known = sorted({*LOSSES, *SOURCE_LOSSES, *FEATURE_LOSSES} - {"segmentation"})
    for name in sorted({name for each in weights for name in each}):
        if name not in known:
            raise UsageError("LOSS_UNKNOWN", f"no loss is called {name!r}; there are {', '.join(known)}")
    features = feature_losses(recipe.features, root) if names & set(FEATURE_LOSSES) else {}
    return [_weighted_sum(each, features) for each in weights]


def feature_losses(settings: FeatureSettings, root: Path) -> dict[str, Loss]:
    """Returns the losses that compare what a frozen network sees, by name."""
    network = _feature_network(settings, root)
    contextual = FEATURE_LOSSES["contextual"](
        network,
        bandwidth=settings.bandwidth,
        positions=settings.positions,
        spatial_weight=settings.spatial_weight,
        slice_count=settings.slice_count,
    )
    return {
        "contextual": contextual,
        "perceptual": FEATURE_LOSSES["perceptual"](network, slice_count=settings.slice_count),
    }


def _feature_network(settings: FeatureSettings, root: Path) -> Callable[[Tensor], list[Tensor]]:
    if settings.weights is None:
        network = offline_vgg16(settings.layers, white=settings.white)
    else:
        network = VGGFeatures(19 if settings.network == "vgg19" else 16, settings.layers, white=settings.white)
        network.load(root / settings.weights, sha256=settings.sha256 or "")

    def features(images: Tensor) -> list[Tensor]:
        tensors: list[Tensor] = network.to(images.device)(images)
        return tensors

    return features


def _weighted_sum(weights: Mapping[str, float], features: Mapping[str, Loss]) -> Objective:
    alone: Mapping[str, Loss] = {**LOSSES, **features}
    used = {name: weight for name, weight in weights.items() if weight > 0}
    simple = [(alone[name], weight) for name, weight in used.items() if name in alone]
    sourced = [(SOURCE_LOSSES[name], weight) for name, weight in used.items() if name in SOURCE_LOSSES]

    def loss(synthetic: Tensor, target: Tensor, weight: Tensor, source: Tensor) -> Tensor:
        total = synthetic.new_zeros(())
        for function, factor in simple:
            total = total + factor * function(synthetic, target, weight)
        for of_source, factor in sourced:
            total = total + factor * of_source(synthetic, target, weight, source)
        return total

    return loss
