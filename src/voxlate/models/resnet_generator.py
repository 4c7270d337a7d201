"""Residual generator of Johnson et al., ECCV 2016, in the form of CycleGAN, as Lee et al. 2020 used it (CT to T2).

Where paper and code differ, and what chooses: the paper cites Johnson, whose network has five blocks and batch
normalisation, but describes nine blocks and instance normalisation, as the released sibling code has: `blocks`. The
code ends in tanh, so targets are in [−1, 1]: `final_activation`. Its transposed convolutions of 3 voxels at stride 2
leave a checkerboard: `upsampling="nearest"` replaces each by nearest upsampling and a convolution of the same size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from voxlate.errors import UsageError
from voxlate.models.parts.blocks import require_multiple
from voxlate.models.parts.layers import Dimensions, Layers, layers_of, require_choice

FACTOR = 4
SMALLEST = 8


@dataclass(frozen=True)
class ResNetGeneratorDesign:
    """What can be chosen besides the channels.

    Attributes:
        blocks: residual blocks at a quarter of the resolution.
        dimensions: 2 for slices, 3 for volumes.
        upsampling: see the module's docstring.
        final_activation: see the module's docstring.
    """

    blocks: int = 9
    dimensions: Dimensions = 2
    upsampling: Literal["transposed", "nearest"] = "transposed"
    final_activation: Literal["tanh", "none"] = "tanh"

    def __post_init__(self) -> None:
        require_choice("upsampling", self.upsampling, ("transposed", "nearest"))
        require_choice("final_activation", self.final_activation, ("tanh", "none"))


class ResNetGenerator(nn.Module):
    """Seven by seven convolution, two strided ones, residual blocks, two that enlarge, seven by seven convolution.

    11,365,633 parameters with one contrast in and out. Instance normalisation without gain or offset.

    Args:
        in_channels: contrasts that go in.
        out_channels: contrasts that come out.
        width: channels at full resolution; the published network has 64.
        **design: fields of `ResNetGeneratorDesign`.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, width: int = 64, **design: Any) -> None:
        super().__init__()
        self.design = choices = ResNetGeneratorDesign(**design)
        self.layers = layers = layers_of(choices.dimensions)
        convolve = layers.convolution
        steps = _normalised(convolve(in_channels, width, 7, padding=3, padding_mode="reflect"), width, layers)
        for w in (width, 2 * width):
            steps += _normalised(convolve(w, 2 * w, 3, stride=2, padding=1), 2 * w, layers)
        steps += [ReflectedResidual(4 * width, layers) for _ in range(choices.blocks)]
        for w in (4 * width, 2 * width):
            steps += _normalised(_upsample(w, layers, choices.upsampling), w // 2, layers)
        steps.append(convolve(width, out_channels, 7, padding=3, padding_mode="reflect"))
        self.steps = nn.Sequential(*steps)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, ...), sizes multiples of 4 and at least 8, to (B, out_channels, ...).

        Raises:
            UsageError: `SIZE` for sizes that do not fit, `DIMENSIONS`.
        """
        self.layers.require_dimensions(x, network="resnet_generator")
        require_multiple(x, FACTOR, network="resnet_generator")
        if min(x.shape[2:]) < SMALLEST:
            raise UsageError(
                "SIZE", f"resnet_generator reflects borders and takes at least 8 voxels, not {tuple(x.shape[2:])}"
            )
        x = self.steps(x)
        return torch.tanh(x) if self.design.final_activation == "tanh" else x


class ReflectedResidual(nn.Module):
    """Two convolutions with reflected borders, each normalised, ReLU between them, added to the input."""

    def __init__(self, channels: int, layers: Layers) -> None:
        super().__init__()
        first, second = (layers.convolution(channels, channels, 3, padding=1, padding_mode="reflect") for _ in range(2))
        self.inner = nn.Sequential(*_normalised(first, channels, layers), second, layers.instance_norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, channels, ...) to the same shape."""
        result: Tensor = x + self.inner(x)
        return result


def _normalised(convolution: nn.Module, channels: int, layers: Layers) -> list[nn.Module]:
    return [convolution, layers.instance_norm(channels), nn.ReLU()]


def _upsample(channels: int, layers: Layers, upsampling: str) -> nn.Module:
    if upsampling == "transposed":
        return layers.transposed(channels, channels // 2, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"), layers.convolution(channels, channels // 2, 3, padding=1)
    )
