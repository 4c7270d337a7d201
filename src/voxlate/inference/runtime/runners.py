"""Chooses the function that computes a window: the network in torch, or its OpenVINO conversion."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from voxlate.bundle.bundle import Bundle
from voxlate.errors import UsageError
from voxlate.inference.runtime.openvino import OpenVinoNetwork, convert, read_model, size_multiple
from voxlate.inference.runtime.repeatable import RepeatableConvolutions
from voxlate.models.parts.single_sample import SingleSampleConvolutions

TORCH, OPENVINO, INT8 = "torch", "openvino", "int8"
RUNTIMES = (TORCH, OPENVINO, INT8)
Runner = Callable[[Tensor], Tensor]
"""Maps windows (1, C, D, H, W) to (1, C', D, H, W)."""

_converted: WeakKeyDictionary[nn.Module, dict[str, OpenVinoNetwork]] = WeakKeyDictionary()
"""OpenVINO networks by torch network and runtime, so that each is converted once per process."""


def runner_of(bundle: Bundle, runtime: str, device: torch.device) -> Runner:
    """Returns the function that computes windows (1, C, D, H, W) of a bundle that is not an ensemble.

    Args:
        bundle: a trained model.
        runtime: one of `RUNTIMES`.
        device: device of torch.

    Raises:
        UsageError: `RUNTIME` for an unknown runtime, for OpenVINO on another device than the CPU, and for `int8` when
            the bundle has no 8-bit network that passed; `MISSING_LIBRARY`.
        ModelInvalid: `RUNTIME` when OpenVINO's output differs from torch's.
    """
    if runtime not in RUNTIMES:
        raise UsageError("RUNTIME", f"there is no runtime {runtime!r}; choose one of {', '.join(RUNTIMES)} and auto")
    if runtime == TORCH:
        return _in_torch(bundle.network.to(device).eval())
    if device.type != "cpu":
        raise UsageError("RUNTIME", f"{runtime} runs on the CPU only; pass --device cpu or --runtime torch")
    if runtime == INT8 and INT8 not in bundle.runtimes:
        raise UsageError("RUNTIME", f"{bundle.name} has no 8-bit network that passed; see voxlate accelerate")
    networks = _converted.setdefault(bundle.network, {})
    if runtime not in networks:
        networks[runtime] = _load(bundle, runtime)
    return networks[runtime]


def _load(bundle: Bundle, runtime: str) -> OpenVinoNetwork:
    if runtime in bundle.runtimes:
        return read_model(bundle.runtimes[runtime], factor=size_multiple(bundle.network))
    return convert(bundle.network.cpu().eval(), 1 + len(bundle.recipe.more_sources))


def _in_torch(network: nn.Module) -> Runner:
    def run(x: Tensor) -> Tensor:
        with torch.no_grad(), SingleSampleConvolutions(), RepeatableConvolutions():
            output: Tensor = network(x)
        return output

    return run
