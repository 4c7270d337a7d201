"""A network run by OpenVINO, which answers for windows of any size."""

from __future__ import annotations

import importlib
import sys
import tempfile
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.errors import CannotWrite, ModelInvalid, UsageError, writing
from voxlate.models.gain_offset_unet import GainOffsetUNet

MOST_COMPILED = 4
_UNIT = 64  # networks that halve the resolution often and normalise need as much
TOLERANCE = 5e-3
"""Root mean square of the difference from torch, as a share of that of the answer, that a converted network may show.
Networks that normalise over few voxels differ by up to 2e-3 while they are untrained, others by 1e-7."""


def load_openvino() -> Any:
    """Returns the library, whose telemetry is kept from being loaded: it would send without being asked.

    Raises:
        UsageError: `MISSING_LIBRARY`.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # importing it now fails, and it is left out
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise UsageError("MISSING_LIBRARY", "OpenVINO is not installed: pip install 'voxlate[fast]'") from error


class OpenVinoNetwork:
    """Calls a model of OpenVINO with tensors.

    Args:
        model: with a shape of any size along the spatial axes, or fixed.
        factor: what the spatial sizes must be multiples of; the border is repeated, as the network itself would do.
        difference: how far its answers are from torch's, where they were compared; see `difference`.
    """

    def __init__(self, model: Any, *, factor: int = 1, difference: float | None = None) -> None:
        self.model, self.factor, self.difference = model, factor, difference
        self.compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def __call__(self, x: Tensor) -> Tensor:
        """Maps (1, C, D, H, W) to (1, C', D, H, W)."""
        size = x.shape[2:]
        pads = [amount for n in reversed(size) for amount in (0, -n % self.factor)]
        padded = F.pad(x, pads, mode="replicate") if any(pads) else x
        answer = self._compiled(tuple(padded.shape))(padded.contiguous().numpy())[0]
        return torch.from_numpy(np.array(answer))[:, :, : size[0], : size[1], : size[2]]

    def _compiled(self, shape: tuple[int, ...]) -> Any:
        """Returns the model compiled for one shape, which is a good deal quicker than for any."""
        if shape not in self.compiled:
            openvino = load_openvino()
            fitted = self.model.clone()
            try:
                fitted.reshape(list(shape))
            except RuntimeError as error:
                raise UsageError("SIZE", f"the network takes no window of {shape[2:]} voxels") from error
            settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "PERFORMANCE_HINT": "LATENCY"}
            settings["INFERENCE_PRECISION_HINT"] = "f32"
            self.compiled[shape] = openvino.Core().compile_model(fitted, "CPU", settings)
            if len(self.compiled) > MOST_COMPILED:
                self.compiled.popitem(last=False)
        self.compiled.move_to_end(shape)
        return self.compiled[shape]


def convert(network: nn.Module, channels: int) -> OpenVinoNetwork:
    """Returns a network of torch as one of OpenVINO, compared with the original at another size.

    Args:
        network: on the CPU, in evaluation mode.
        channels: that go in.

    Raises:
        ModelInvalid: `RUNTIME` when the two do not agree: the network then depends on the size it was traced at.
        UsageError: `MISSING_LIBRARY`.
    """
    openvino = load_openvino()
    factor = size_multiple(network)
    unit = max(_UNIT, factor)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing tells of every branch on a shape; the comparison below decides
            sample = torch.rand(1, channels, 2 * unit, unit, 2 * unit)
            traced = torch.jit.trace(network, sample, check_trace=False)  # type: ignore[no-untyped-call]
            model = openvino.convert_model(traced, example_input=sample)
            model.reshape([1, channels, -1, -1, -1])
    except Exception as error:  # the converter answers what it does not know with whatever error it meets
        raise ModelInvalid("RUNTIME", "this network cannot be converted to OpenVINO; use --runtime torch") from error
    converted = OpenVinoNetwork(model, factor=factor)
    converted.difference = require_agreement(network, converted, channels)
    return converted


def size_multiple(network: nn.Module) -> int:
    """Returns what a network pads its input to a multiple of, or 1 for one that takes sizes as they are."""
    return int(getattr(network, "factor", 1)) if isinstance(network, GainOffsetUNet) else 1


def require_agreement(network: nn.Module, converted: OpenVinoNetwork, channels: int) -> float:
    """Returns how far the answers to noise are apart; see `difference`.

    Raises:
        ModelInvalid: `RUNTIME`.
    """
    unit, generator = max(_UNIT, converted.factor), torch.Generator().manual_seed(0)
    probe = torch.rand((1, channels, unit, 2 * unit, unit), generator=generator)
    try:
        with torch.no_grad():
            expected, found = network(probe), converted(probe)
        apart = difference(found, expected)
    except (RuntimeError, ValueError, UsageError) as error:
        raise ModelInvalid("RUNTIME", "this network cannot be run by OpenVINO; use --runtime torch") from error
    if not apart <= TOLERANCE:
        raise ModelInvalid("RUNTIME", f"OpenVINO's answer differs by {apart:.2g} of it; use --runtime torch")
    return apart


def difference(found: Tensor, expected: Tensor) -> float:
    """Returns the root mean square of the difference as a share of that of what was expected."""
    return float((found - expected).square().mean().sqrt() / expected.square().mean().sqrt().clamp_min(1e-6))


def read_model(path: Path, *, factor: int) -> OpenVinoNetwork:
    """Returns a network that `save_model` wrote; its hash was checked with the bundle's.

    Raises:
        ModelInvalid: `RUNTIME` when OpenVINO cannot read it.
        UsageError: `MISSING_LIBRARY`.
    """
    openvino = load_openvino()
    try:
        return OpenVinoNetwork(openvino.Core().read_model(path), factor=factor)
    except RuntimeError as error:
        raise ModelInvalid("RUNTIME", f"{path.name} cannot be read by this OpenVINO; make it again") from error


def save_model(network: OpenVinoNetwork, path: Path) -> None:
    """Writes `path` and, beside it, the weights with the suffix .bin, in 32 bits; the weights first, each whole or not.

    Raises:
        CannotWrite, TemporaryFailure: see `voxlate.errors.writing`.
    """
    with writing(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent) as folder:
            try:
                load_openvino().save_model(network.model, Path(folder) / path.name, compress_to_fp16=False)
            except RuntimeError as error:
                raise CannotWrite("WRITE", f"{path.name} cannot be written; is there room for it?") from error
            for name in (path.with_suffix(".bin").name, path.name):
                (Path(folder) / name).replace(path.with_name(name))
