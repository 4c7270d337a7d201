"""Networks, one per file. A new one is a file and a line in `MODELS`; the contract tests then run on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from voxlate.errors import UsageError
from voxlate.models.att_unet import AttUNet
from voxlate.models.res_unet import ResUNet
from voxlate.models.translator import Translator

__all__ = ["MODELS", "build"]

MODELS: dict[str, Callable[..., nn.Module]] = {
    "att_unet": AttUNet,
    "res_unet": ResUNet,
    "translator": Translator,
}


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
