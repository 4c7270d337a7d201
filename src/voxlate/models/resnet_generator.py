"""ResNet generator of Johnson et al., ECCV 2016, in the form of CycleGAN, as Lee et al. 2020 used it (CT to T2).

Input (B, in_channels, H, W), or (B, in_channels, D, H, W) with `dimensions=3`, sizes multiples of 4 and at least 8;
output (B, out_channels, ...) of the same size.

Where paper and code differ, and the argument that chooses:

- Lee et al. cite Johnson et al., whose network has five residual blocks and batch normalisation, but describe nine
  blocks and instance normalisation, as the released code of the same group has: `blocks`.
- The code ends in tanh, so that targets are in [−1, 1]: `final_activation`.
- Transposed convolutions of 3 voxels at stride 2 leave a checkerboard pattern: `upsampling="nearest"` replaces each by
  nearest upsampling and a convolution of the same size.
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
"""Sizes must be multiples of it: the resolution is halved twice."""
SMALLEST = 8
"""Smallest size in voxels: the residual blocks reflect borders at a quarter of it, which needs two voxels."""


@dataclass(frozen=True)
class ResNetGeneratorDesign:
    """Options of `ResNetGenerator` besides its channels.

    Attributes:
        blocks: number of residual blocks at a quarter of the resolution.
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
    """A 7 x 7 convolution, two strided ones, residual blocks, two upsampling layers, and a 7 x 7 convolution.

    11,365,633 parameters with one contrast in and out. Instance normalisation without gain and offset.

    Args:
        in_channels: number of source contrasts.
        out_channels: number of synthetic contrasts.
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
                "SIZE", f"resnet_generator needs at least 8 voxels along each axis, not {tuple(x.shape[2:])}"
            )
        x = self.steps(x)
        return torch.tanh(x) if self.design.final_activation == "tanh" else x


class ReflectedResidual(nn.Module):
    """A residual block: two normalised convolutions with reflected borders, ReLU between them."""

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
