"""Builds the networks of a recipe."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from voxlate.bundle.custom_code import import_custom, is_custom, is_trusted
from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import ModelSettings
from voxlate.errors import ModelInvalid, UsageError
from voxlate.models import build
from voxlate.models.drunet import DRUNet
from voxlate.models.slicewise import Slicewise


def generator_of(recipe: Recipe, *, trust_code: bool = False) -> nn.Module:
    """Returns a new generator, which maps sources, (B, C, D, H, W), to the target, (B, 1, D, H, W).

    C is 1 plus the number of additional sources; a constructor gets it as `in_channels`.

    Args:
        recipe: the resolved recipe.
        trust_code: import the module of a network outside voxlate, which runs its code.

    Raises:
        UsageError: `MODEL_UNKNOWN`, `MODEL_ARGUMENT`, `CUSTOM_CODE`.
        ModelInvalid: `MODEL_CODE` when the network is outside voxlate and its code is not trusted.
    """
    return _new_network(recipe.model, 1 + len(recipe.more_sources), trust_code=trust_code)


def discriminator_of(recipe: Recipe, *, trust_code: bool = False) -> nn.Module:
    """Returns a new discriminator, which maps an image, joined with its sources if it is conditional, to logits.

    Args:
        recipe: the resolved recipe, with `adversarial`.
        trust_code: as in `generator_of`.

    Raises:
        UsageError, ModelInvalid: as `generator_of`.
    """
    settings = recipe.adversarial
    if settings is None:
        raise ValueError("the recipe has no discriminator")
    channels = 2 + len(recipe.more_sources) if settings.conditional else 1
    return _new_network(settings.discriminator, channels, trust_code=trust_code)


def load_encoder(network: nn.Module, path: Path, sha256: str) -> None:
    """Loads pretrained weights into the encoder of a DRUNet, also when it is applied slice by slice.

    Args:
        network: changed in place; another network than a DRUNet is left as it is.
        path: a safetensors file.
        sha256: of the file.

    Raises:
        NoInput, ModelInvalid: see `voxlate.models.parts.weights.load_weights`.
    """
    inner = network.network if isinstance(network, Slicewise) else network
    if isinstance(inner, DRUNet):
        inner.load_encoder(path, sha256=sha256)


def _new_network(settings: ModelSettings, channels: int, *, trust_code: bool) -> nn.Module:
    arguments = {"in_channels": channels} | settings.arguments
    if is_custom(settings.name):
        network = _custom_network(settings.name, arguments, trust_code=trust_code)
    else:
        network = build(settings.name, **arguments)
    return network if settings.slice_axis is None else Slicewise(network, slice_axis=settings.slice_axis)


def _custom_network(name: str, arguments: dict[str, object], *, trust_code: bool) -> nn.Module:
    module, _, attribute = name.partition(":")
    if not is_trusted(trust_code):
        raise ModelInvalid(
            "MODEL_CODE",
            f"the network is {attribute} of the Python module {module}, code that is not part of the bundle; if you "
            "trust that module, pass --trust-code (in Python trust_code=True)",
        )
    try:
        network = import_custom(name)(**arguments)
    except TypeError as error:
        raise UsageError("MODEL_ARGUMENT", f"{name}: {error}") from error
    if not isinstance(network, nn.Module):
        raise UsageError("CUSTOM_CODE", f"{name} gives a {type(network).__name__}, not a torch.nn.Module")
    return network
