"""Networks, one per file. A new one is a file and a line in a table here; the contract tests then run on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from voxlate.errors import UsageError
from voxlate.models.att_unet import AttUNet
from voxlate.models.bottani_unet import BottaniUNet
from voxlate.models.drunet import DRUNet
from voxlate.models.features.vgg import vgg16, vgg19
from voxlate.models.gain_offset_unet import GainOffsetUNet
from voxlate.models.hr_fcn import HRFCN
from voxlate.models.patch_discriminator import PatchDiscriminator
from voxlate.models.res_unet import ResUNet
from voxlate.models.resnet_generator import ResNetGenerator
from voxlate.models.trans_unet import TransUNet
from voxlate.models.unet import UNet

__all__ = ["DISCRIMINATORS", "FEATURES", "GENERATORS", "MODELS", "build"]

Table = dict[str, Callable[..., nn.Module]]

GENERATORS: Table = {
    "att_unet": AttUNet,
    "bottani_unet": BottaniUNet,
    "drunet": DRUNet,
    "hr_fcn": HRFCN,
    "res_unet": ResUNet,
    "resnet_generator": ResNetGenerator,
    "trans_unet": TransUNet,
    "translator": GainOffsetUNet,
    "unet": UNet,
}
"""From a source to a synthetic image of the same size."""

DISCRIMINATORS: Table = {"patch_discriminator": PatchDiscriminator}
"""From an image and its condition, joined, to logits."""

FEATURES: Table = {"vgg16": vgg16, "vgg19": vgg19}
"""From an image to a list of frozen tensors that losses compare."""

MODELS: Table = {**GENERATORS, **DISCRIMINATORS, **FEATURES}


def build(name: str, **arguments: Any) -> nn.Module:
    """Returns a new network.

    Args:
        name: a key of `MODELS`.
        **arguments: plain keyword arguments of its constructor.

    Raises:
        UsageError: `MODEL_UNKNOWN`, with the names there are; `MODEL_ARGUMENT` for an argument it does not take.
    """
    if name not in MODELS:
        raise UsageError("MODEL_UNKNOWN", f"no network is called {name!r}; there are {', '.join(sorted(MODELS))}")
    try:
        return MODELS[name](**arguments)
    except TypeError as error:
        raise UsageError("MODEL_ARGUMENT", f"{name}: {error}") from error
