"""Builds the networks of a recipe."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

from torch import nn
from torch.nn.parameter import is_lazy

from voxlate.bundle.contrast_descriptor import SHARES
from voxlate.bundle.custom_code import import_custom, is_custom, is_object, is_trusted, name_of, uncompiled
from voxlate.bundle.recipe import Recipe
from voxlate.bundle.settings import ModelSettings
from voxlate.errors import ModelInvalid, UsageError
from voxlate.models import build
from voxlate.models.drunet import DRUNet
from voxlate.models.slicewise import Slicewise

NetworkObject = nn.Module | Callable[..., nn.Module]
"""A network of the user, of which each use gets a copy; or a class or function that returns one, which is called with
`in_channels` and `ModelSettings.arguments`."""


def generator_of(recipe: Recipe, *, trust_code: bool = False, network: NetworkObject | None = None) -> nn.Module:
    """Returns a new generator, which maps sources, (B, C, D, H, W), to the target, (B, 1, D, H, W).

    C is 1 plus the number of additional sources; a constructor gets it as `in_channels`.

    Args:
        recipe: the resolved recipe.
        trust_code: import the module of a network outside voxlate, which runs its code.
        network: takes the place of the network that the recipe names.

    Raises:
        UsageError: `MODEL_UNKNOWN`, `MODEL_ARGUMENT`, `CUSTOM_CODE`.
        ModelInvalid: `MODEL_CODE` when the network is outside voxlate and its code is not trusted; `MODEL_OBJECT` when
            the recipe names a Python object that is not given.
    """
    model = recipe.model
    if recipe.reference is not None:
        model = model.model_copy(update={"arguments": model.arguments | {"reference": len(SHARES)}})
    return _new_network(model, 1 + len(recipe.more_sources), trust_code=trust_code, network=network)


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


def _new_network(
    settings: ModelSettings, channels: int, *, trust_code: bool, network: NetworkObject | None = None
) -> nn.Module:
    arguments = {"in_channels": channels} | settings.arguments
    if isinstance(network, nn.Module):
        made = _copy_of(network)
    elif network is not None:
        made = _called(network, name_of(network), arguments)
    elif is_custom(settings.name):
        made = _custom_network(settings.name, arguments, trust_code=trust_code)
    elif is_object(settings.name):
        raise ModelInvalid(
            "MODEL_OBJECT",
            f"the network {settings.name} is a Python object that was passed to voxlate.train and is not part of the "
            "bundle; pass it again, in Python: voxlate.load_bundle(folder, network=...) or voxlate.train(..., "
            "network=...); for the command line, put its class into a module and train with the class",
        )
    else:
        made = build(settings.name, **arguments)
    is_complete = settings.slice_axis is None or isinstance(made, Slicewise)
    return made if is_complete else Slicewise(made, slice_axis=settings.slice_axis or 0)


def _copy_of(network: nn.Module) -> nn.Module:
    """Returns a copy of a network of the user on the CPU, so that training leaves the original as it is.

    Of a network of `torch.compile` it is a copy of what that wraps, whose weights have the names of its class.
    """
    network = uncompiled(network)
    if any(is_lazy(tensor) for tensor in (*network.parameters(), *network.buffers())):
        raise UsageError(
            "CUSTOM_CODE", f"{type(network).__name__} has lazy layers; call it once on an example before it is passed"
        )
    try:
        return copy.deepcopy(network).cpu()  # as one that is built anew; each use moves it to its device
    except Exception as error:  # whatever an attribute of the network raises, such as an open file
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(
            "CUSTOM_CODE", f"{type(network).__name__} cannot be copied: {reason}; pass its class in its place"
        ) from error


def _custom_network(name: str, arguments: dict[str, object], *, trust_code: bool) -> nn.Module:
    module, _, attribute = name.partition(":")
    if not is_trusted(trust_code):
        raise ModelInvalid(
            "MODEL_CODE",
            f"the network is {attribute} of the Python module {module}, code that is not part of the bundle; if you "
            "trust that module, pass --trust-code, in Python voxlate.load_bundle(folder, trust_code=True)",
        )
    return _called(import_custom(name), name, arguments)


def _called(maker: Callable[..., object], name: str, arguments: dict[str, object]) -> nn.Module:
    """Returns the network that a class or function of the user makes."""
    if not callable(maker):
        raise UsageError(
            "CUSTOM_CODE", f"the network is of type {type(maker).__name__}, not a torch.nn.Module or its class"
        )
    try:
        network = maker(**arguments)
    except TypeError as error:
        raise UsageError("MODEL_ARGUMENT", f"{name}: {error}") from error
    if not isinstance(network, nn.Module):
        raise UsageError("CUSTOM_CODE", f"{name} gives a {type(network).__name__}, not a torch.nn.Module")
    made: nn.Module = uncompiled(network)
    return made
