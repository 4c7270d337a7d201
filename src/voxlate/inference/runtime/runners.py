"""Which function answers for a window: the network in torch, or what was converted from it."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from voxlate.bundle.bundle import Bundle
from voxlate.errors import UsageError
from voxlate.inference.runtime.openvino import OpenVinoNetwork, convert, read_model, size_multiple

TORCH, OPENVINO, INT8 = "torch", "openvino", "int8"
RUNTIMES = (TORCH, OPENVINO, INT8)
Runner = Callable[[Tensor], Tensor]

_converted: WeakKeyDictionary[nn.Module, dict[str, OpenVinoNetwork]] = WeakKeyDictionary()
"""Of each network that is alive, so that it is converted once in a process."""


def runner_of(bundle: Bundle, runtime: str, device: torch.device) -> Runner:
    """Returns what answers for (1, C, D, H, W) windows of a bundle that is not joined of several.

    Args:
        bundle: a trained model.
        runtime: one of `RUNTIMES`.
        device: where torch runs.

    Raises:
        UsageError: `RUNTIME` for an unknown one, for one that needs the processor while another device is asked for,
            and for `int8` where the bundle has no network in 8 bits that passed; `MISSING_LIBRARY`.
        ModelInvalid: `RUNTIME` when OpenVINO's answers are not torch's.
    """
    if runtime not in RUNTIMES:
        raise UsageError("RUNTIME", f"{runtime!r} runs nothing; there are {', '.join(RUNTIMES)} and auto")
    if runtime == TORCH:
        return _in_torch(bundle.network.to(device).eval())
    if device.type != "cpu":
        raise UsageError("RUNTIME", f"{runtime} runs on the processor; pass --device cpu or --runtime torch")
    if runtime == INT8 and INT8 not in bundle.runtimes:
        raise UsageError("RUNTIME", f"{bundle.name} has no network in 8 bits that passed; see voxlate accelerate")
    known = _converted.setdefault(bundle.network, {})
    if runtime not in known:
        known[runtime] = _made(bundle, runtime)
    return known[runtime]


def _made(bundle: Bundle, runtime: str) -> OpenVinoNetwork:
    if runtime in bundle.runtimes:
        return read_model(bundle.runtimes[runtime], factor=size_multiple(bundle.network))
    return convert(bundle.network.cpu().eval(), 1 + len(bundle.recipe.more_sources))


def _in_torch(network: nn.Module) -> Runner:
    def run(x: Tensor) -> Tensor:
        with torch.no_grad():
            answer: Tensor = network(x)
        return answer

    return run
