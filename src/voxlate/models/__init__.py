"""Networks, one per file.

To add one, write a file and add a line to a table here; the contract tests in `tests/models` then run on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import Parameter, signature
from typing import Any

from torch import nn

from voxlate.errors import UsageError, nearest
from voxlate.models.att_unet import AttUNet
from voxlate.models.bottani_unet import BottaniUNet
from voxlate.models.casnet import CasNet
from voxlate.models.decnn import DECNN
from voxlate.models.drunet import DRUNet
from voxlate.models.features.vgg import vgg16, vgg19
from voxlate.models.gain_offset_unet import GainOffsetUNet
from voxlate.models.hr_fcn import HRFCN
from voxlate.models.hr_fcn_printed import HRFCNPrinted
from voxlate.models.locality_adaptive_unet import LocalityAdaptiveUNet
from voxlate.models.parts.layers import require_at_least
from voxlate.models.patch_discriminator import PatchDiscriminator
from voxlate.models.pix2pix_unet import Pix2PixUNet
from voxlate.models.res_unet import ResUNet
from voxlate.models.resnet_generator import ResNetGenerator
from voxlate.models.trans_unet import TransUNet
from voxlate.models.unet import UNet

__all__ = ["DISCRIMINATORS", "FEATURES", "GENERATORS", "MODELS", "build"]

Table = dict[str, Callable[..., nn.Module]]

GENERATORS: Table = {
    "att_unet": AttUNet,
    "bottani_unet": BottaniUNet,
    "casnet": CasNet,
    "decnn": DECNN,
    "drunet": DRUNet,
    "hr_fcn": HRFCN,
    "hr_fcn_printed": HRFCNPrinted,
    "locality_adaptive_unet": LocalityAdaptiveUNet,
    "pix2pix_unet": Pix2PixUNet,
    "res_unet": ResUNet,
    "resnet_generator": ResNetGenerator,
    "trans_unet": TransUNet,
    "translator": GainOffsetUNet,
    "unet": UNet,
}
"""Networks that map a source image to a synthetic image of the same size."""

DISCRIMINATORS: Table = {"patch_discriminator": PatchDiscriminator}
"""Networks that map an image concatenated with its condition to logits."""

FEATURES: Table = {"vgg16": vgg16, "vgg19": vgg19}
"""Frozen networks that map an image to a list of feature maps for losses."""

MODELS: Table = {**GENERATORS, **DISCRIMINATORS, **FEATURES}


def build(name: str, **arguments: Any) -> nn.Module:
    """Returns a new network with random weights.

    Args:
        name: a key of `MODELS`.
        **arguments: keyword arguments of its constructor, as a recipe lists them.

    Raises:
        UsageError: `MODEL_UNKNOWN` for an unknown name, with the known ones; `MODEL_ARGUMENT` for an argument that the
            network does not take.

    Example:
        >>> import torch
        >>> build("unet", width=8, depth=2, dimensions=2)(torch.rand(1, 1, 16, 24)).shape
        torch.Size([1, 1, 16, 24])
    """
    if name not in MODELS:
        raise UsageError("MODEL_UNKNOWN", f"there is no network {name!r}; choose one of {', '.join(sorted(MODELS))}")
    _require_known(name, arguments)
    try:
        require_at_least("width", arguments.get("width", 1), 1)
        return MODELS[name](**arguments)
    except TypeError as error:
        raise UsageError("MODEL_ARGUMENT", f"{name}: {error}") from error


def _require_known(name: str, arguments: Iterable[str]) -> None:
    """Refuses an argument that a network does not have, with the most similar one; raises `MODEL_ARGUMENT`."""
    parameters = signature(MODELS[name]).parameters
    if any(each.kind is Parameter.VAR_KEYWORD for each in parameters.values()):
        return
    for word in arguments:
        if word not in parameters:
            advice = nearest(word, parameters) or f"; choose from {', '.join(sorted(parameters))}"
            raise UsageError("MODEL_ARGUMENT", f"{name} has no argument {word!r}{advice}")
