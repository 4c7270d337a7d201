"""The networks of a recipe."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import ModelSettings
from voxlate.models import build
from voxlate.models.drunet import DRUNet
from voxlate.models.slicewise import Slicewise


def generator_of(recipe: Recipe) -> nn.Module:
    """Returns a new network from the sources, (B, sources, D, H, W), to the target, (B, 1, D, H, W).

    Raises:
        UsageError: `MODEL_UNKNOWN`, `MODEL_ARGUMENT`.
    """
    return _built(recipe.model, 1 + len(recipe.more_sources))


def discriminator_of(recipe: Recipe) -> nn.Module:
    """Returns a new network from an image, joined with its sources if it is conditional, to logits.

    Raises:
        UsageError: `MODEL_UNKNOWN`, `MODEL_ARGUMENT`.
    """
    settings = recipe.adversarial
    if settings is None:
        raise ValueError("the recipe has no discriminator")
    channels = 2 + len(recipe.more_sources) if settings.conditional else 1
    return _built(settings.discriminator, channels)


def load_encoder(network: nn.Module, path: Path, sha256: str) -> None:
    """Fills the encoder of a DRUNet, whether it stands alone or is applied to slices.

    Raises:
        NoInput, ModelInvalid: see `voxlate.models.parts.weights.load_weights`.
    """
    inner = network.network if isinstance(network, Slicewise) else network
    if isinstance(inner, DRUNet):
        inner.load_encoder(path, sha256=sha256)


def _built(settings: ModelSettings, channels: int) -> nn.Module:
    network = build(settings.name, **({"in_channels": channels} | settings.arguments))
    return network if settings.slice_axis is None else Slicewise(network, slice_axis=settings.slice_axis)
