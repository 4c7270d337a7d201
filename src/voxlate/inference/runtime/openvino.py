"""Runs a network with OpenVINO, on windows of any size."""

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

from voxlate.errors import CannotWrite, MissingLibrary, ModelInvalid, UsageError, writing
from voxlate.models.gain_offset_unet import GainOffsetUNet, WithReference

MAX_COMPILED = 4
"""Compiled window sizes that are kept, most recently used first. Chosen by hand; not tuned."""
_UNIT = 64
"""Smallest side in voxels of the trial inputs, enough for networks that halve the resolution often and normalise."""
TOLERANCE = 5e-3
"""Largest root mean square difference from torch, relative to the root mean square of torch's output. Measured:
networks that normalise over few voxels differ by up to 2e-3 while they are untrained, others by 1e-7."""


def load_openvino() -> Any:
    """Returns the library, without its telemetry, which would send data without being asked.

    Raises:
        MissingLibrary: `MISSING_LIBRARY`.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # its import now fails, and OpenVINO runs without it
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise MissingLibrary("MISSING_LIBRARY", "OpenVINO is not installed: pip install 'voxlate[fast]'") from error


class OpenVinoNetwork:
    """An OpenVINO model that takes and returns torch tensors.

    Args:
        model: an OpenVINO model, with spatial axes of any size or of a fixed size.
        factor: number that spatial sizes must be multiples of; the border is repeated, as the network does in torch.

    Attributes:
        difference: from torch's output, see `difference`; None where it was not measured.
    """

    def __init__(self, model: Any, *, factor: int = 1) -> None:
        self.model, self.factor = model, factor
        self.difference: float | None = None
        self.compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def __call__(self, x: Tensor) -> Tensor:
        """Maps (1, C, D, H, W) to (1, C', D, H, W)."""
        size = x.shape[2:]
        pads = [amount for n in reversed(size) for amount in (0, -n % self.factor)]
        padded = F.pad(x, pads, mode="replicate") if any(pads) else x
        output = self._compiled(tuple(padded.shape))(padded.contiguous().numpy())[0]
        return torch.from_numpy(np.array(output))[:, :, : size[0], : size[1], : size[2]]

    def _compiled(self, shape: tuple[int, ...]) -> Any:
        """Returns the model compiled for one shape, which is much faster than for any shape."""
        if shape not in self.compiled:
            openvino = load_openvino()
            model = self.model.clone()
            try:
                model.reshape(list(shape))
            except RuntimeError as error:
                raise UsageError(
                    "SIZE", f"the network does not accept a window of {shape[2:]} voxels; change the window"
                ) from error
            settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "PERFORMANCE_HINT": "LATENCY"}
            settings["INFERENCE_PRECISION_HINT"] = "f32"
            self.compiled[shape] = openvino.Core().compile_model(model, "CPU", settings)
            if len(self.compiled) > MAX_COMPILED:
                self.compiled.popitem(last=False)
        self.compiled.move_to_end(shape)
        return self.compiled[shape]


def convert(network: nn.Module, channels: int) -> OpenVinoNetwork:
    """Returns a torch network converted to OpenVINO, checked against torch at another size than that of the trace.

    Args:
        network: on the CPU, in evaluation mode.
        channels: channels of its input.

    Raises:
        ModelInvalid: `RUNTIME` when the outputs differ: the network then depends on the size of its trace.
        MissingLibrary: `MISSING_LIBRARY`.
    """
    openvino = load_openvino()
    factor = size_multiple(network)
    unit = max(_UNIT, factor)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing warns of each branch on a shape; require_agreement checks
            sample = torch.rand(1, channels, 2 * unit, unit, 2 * unit)
            traced = torch.jit.trace(network, sample, check_trace=False)  # type: ignore[no-untyped-call]
            model = openvino.convert_model(traced, example_input=sample)
            model.reshape([1, channels, -1, -1, -1])
    except Exception as error:  # the converter raises errors of many types
        raise ModelInvalid("RUNTIME", "this network cannot be converted to OpenVINO; use --runtime torch") from error
    converted = OpenVinoNetwork(model, factor=factor)
    converted.difference = require_agreement(network, converted, channels)
    return converted


def size_multiple(network: nn.Module) -> int:
    """Returns the number that a network pads its input to a multiple of; 1 for a network without padding."""
    return int(getattr(network, "factor", 1)) if isinstance(network, GainOffsetUNet | WithReference) else 1


def require_agreement(network: nn.Module, converted: OpenVinoNetwork, channels: int) -> float:
    """Returns the difference between the outputs of both networks for noise; see `difference`.

    Args:
        network: in torch.
        converted: in OpenVINO.
        channels: channels of the input.

    Raises:
        ModelInvalid: `RUNTIME` when the difference is above `TOLERANCE`.
    """
    unit, generator = max(_UNIT, converted.factor), torch.Generator().manual_seed(0)
    probe = torch.rand((1, channels, unit, 2 * unit, unit), generator=generator)
    try:
        with torch.no_grad():
            expected, actual = network(probe), converted(probe)
        error = difference(actual, expected)
    except (RuntimeError, ValueError, UsageError) as cause:
        raise ModelInvalid("RUNTIME", "this network cannot be run by OpenVINO; use --runtime torch") from cause
    if not error <= TOLERANCE:  # `not <=` also catches NaN
        raise ModelInvalid(
            "RUNTIME", f"OpenVINO's output differs from torch's by {error:.2g} (relative RMS); use --runtime torch"
        )
    return error


def difference(actual: Tensor, expected: Tensor) -> float:
    """Returns the root mean square of the difference, relative to that of `expected`.

    Args:
        actual: a tensor of any shape.
        expected: the same shape.
    """
    return float((actual - expected).square().mean().sqrt() / expected.square().mean().sqrt().clamp_min(1e-6))


def read_model(path: Path, *, factor: int) -> OpenVinoNetwork:
    """Reads a network that `save_model` wrote. Its hash was checked when the bundle was read.

    Args:
        path: the .xml file; its weights are beside it.
        factor: see `OpenVinoNetwork`.

    Raises:
        ModelInvalid: `RUNTIME` when OpenVINO cannot read it.
        MissingLibrary: `MISSING_LIBRARY`.
    """
    openvino = load_openvino()
    try:
        return OpenVinoNetwork(openvino.Core().read_model(path), factor=factor)
    except RuntimeError as error:
        raise ModelInvalid(
            "RUNTIME", f"{path.name} cannot be read by this OpenVINO; make it again with voxlate accelerate or export"
        ) from error


def save_model(network: OpenVinoNetwork, path: Path) -> None:
    """Writes `path` and, beside it, the weights in 32 bits with the suffix .bin.

    Both are written to a temporary folder and then moved, the weights first, so that no file is ever half written.

    Args:
        network: the network.
        path: an .xml file.

    Raises:
        CannotWrite, TemporaryFailure: see `voxlate.errors.writing`.
    """
    with writing(path.name):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent) as folder:
            try:
                load_openvino().save_model(network.model, Path(folder) / path.name, compress_to_fp16=False)
            except RuntimeError as error:
                raise CannotWrite("WRITE", f"{path.name} cannot be written; check the free space") from error
            for name in (path.with_suffix(".bin").name, path.name):
                (Path(folder) / name).replace(path.with_name(name))
