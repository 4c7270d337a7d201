"""The loss of a recipe: a weighted sum of the losses that it names, as one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from voxlate.bundle.custom_code import import_custom, is_custom, is_object, name_of
from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import FeatureSettings, LocalSettings
from voxlate.errors import UsageError, VoxlateError
from voxlate.losses import FEATURE_LOSSES, LOSSES, SIMILARITIES, Loss
from voxlate.losses.local import Enhancement, local
from voxlate.models.features.head_segmenter import DEFAULT_LAYERS as HEAD_LAYERS
from voxlate.models.features.head_segmenter import HeadFeatures, head_segmenter
from voxlate.models.features.vgg import DEFAULT_LAYERS as VGG_LAYERS
from voxlate.models.features.vgg import VGGFeatures, offline_vgg16

Objective = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Maps synthetic, target, weight, (B, 1, D, H, W) each, and source, (B, C, D, H, W), to a scalar."""

SHARED_FEATURES = frozenset({"content", "contextual", "perceptual", "style"})
"""Losses that compare features of one frozen network, which is built once for all of them."""


def objectives_of(recipe: Recipe, root: Path, *, loss: Loss | None = None) -> list[Objective]:
    """Returns the loss of each stage; a feature network is built once and shared by all stages.

    Args:
        recipe: the resolved recipe. A loss outside voxlate is imported, which runs the code of its module.
        root: the data folder, which weights of a feature network are relative to.
        loss: the Python object that the recipe names, if any; see `voxlate.bundle.custom_code.name_of`.

    Raises:
        UsageError: `LOSS_UNKNOWN`, with the existing names; `LOSS_OBJECT` when the recipe names a Python object that is
            not given; `CUSTOM_CODE`.
        NoInput, ModelInvalid: the weights of the feature network are missing or have another hash.
    """
    weights = [recipe.loss if stage.loss is None else stage.loss for stage in recipe.plan]
    names = sorted({*LOSSES, *FEATURE_LOSSES, "local"})
    given = {} if loss is None else {name_of(loss): loss}
    custom = sorted({name for each in weights for name in each if is_custom(name) or name in given})
    for name in sorted({name for each in weights for name in each}):
        if is_object(name) and name not in given:
            raise UsageError(
                "LOSS_OBJECT",
                f"the loss {name} is a Python object that was passed to voxlate.train; pass it again, or put it into a "
                "module and name it MODULE:NAME",
            )
        if name not in names and name not in custom:
            raise UsageError("LOSS_UNKNOWN", f"no loss is called {name!r}; there are {', '.join(names)}")
    ranged = {name: partial(loss, data_range=recipe.ssim.data_range) for name, loss in SIMILARITIES.items()}
    losses = LOSSES | ranged | {name: _checked(name, given.get(name) or import_custom(name)) for name in custom}
    used = {name for each in weights for name, weight in each.items() if weight > 0}
    if used & SHARED_FEATURES:
        losses |= feature_losses(recipe.features, root)
    if "segmentation" in used:
        slices = recipe.features.slice_count
        losses["segmentation"] = FEATURE_LOSSES["segmentation"](_on_device(head_segmenter()), slice_count=slices)
    return [_weighted_sum(each, losses, recipe.local) for each in weights]


def feature_losses(settings: FeatureSettings, root: Path) -> dict[str, Loss]:
    """Returns the losses that compare features of a frozen network, by name.

    Args:
        settings: of the recipe.
        root: the data folder, which `settings.weights` is relative to.
    """
    network, slices = _on_device(_feature_network(settings, root)), settings.slice_count
    return {
        "contextual": FEATURE_LOSSES["contextual"](
            network,
            bandwidth=settings.bandwidth,
            positions=settings.positions,
            spatial_weight=settings.spatial_weight,
            slice_count=slices,
        ),
        **{name: FEATURE_LOSSES[name](network, slice_count=slices) for name in ("content", "perceptual", "style")},
    }


def _checked(name: str, function: Callable[..., Any]) -> Loss:
    """Returns a loss outside voxlate that is refused when it fails or returns anything but a scalar with a gradient."""

    def loss(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        try:
            value = function(synthetic, target, mask)
        except (VoxlateError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever a loss of the user raises
            reason = f"{type(error).__name__}: {error}"
            raise UsageError("CUSTOM_CODE", f"the loss {name} fails on (synthetic, target, mask): {reason}") from error
        if not isinstance(value, Tensor) or value.ndim > 0:
            actual = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise UsageError("CUSTOM_CODE", f"the loss {name} returns {actual}, not a tensor of shape ()")
        if synthetic.requires_grad and not value.requires_grad:
            raise UsageError("CUSTOM_CODE", f"the loss {name} has no gradient with respect to the synthetic image")
        return value

    return loss


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
    """Returns a function that moves a network to the device of its input before it is applied."""
    return lambda images: network.to(images.device)(images)


def _weighted_sum(weights: Mapping[str, float], losses: Mapping[str, Loss], settings: LocalSettings) -> Objective:
    """Returns the sum of weight x loss; losses of weight 0 are not computed, and the loss `local` comes last."""
    chosen = [(losses[name], weight) for name, weight in weights.items() if weight > 0 and name in losses]
    local_weight = weights.get("local", 0.0)
    enhancement = Enhancement(
        low=settings.low,
        high=float("inf") if settings.high is None else settings.high,
        smoothing=settings.smoothing,
        largest_slice_voxels=settings.largest_slice_voxels,
    )

    def objective(synthetic: Tensor, target: Tensor, weight: Tensor, source: Tensor) -> Tensor:
        total = synthetic.new_zeros(())
        for function, factor in chosen:
            total = total + factor * function(synthetic, target, weight)
        if local_weight > 0:
            region = enhancement.region(source[:, :1], target)
            total = total + local_weight * local(synthetic, target, weight, region=region, normalise=settings.normalise)
        return total

    return objective
