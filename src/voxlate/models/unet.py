"""U-Net (Ronneberger et al., MICCAI 2015, Figure 1) in 2D and 3D: the baseline of Chen et al. 2023 and Li et al. 2022.

Input (B, in_channels, D, H, W), or (B, in_channels, H, W) with `dimensions=2`, sizes multiples of 2^depth; output
(B, out_channels, ...) of the same size. Deviation from Ronneberger et al.: convolutions are padded, so that the output
is not smaller than the input.

Where papers and code differ, and the arguments that choose:

- Chen's 2D baseline has four convolutions at each level, dropout of 0.5 at the lowest and a ReLU after the last
  layer: `dimensions=2, convolutions=4, dropout=0.5, normalisation="none", final_activation="relu"`.
- Chen's 3D baseline splits each convolution into one within the slice and one across (`factored`), and multiplies
  its output by T1 (`ratio`), so that T1ce is zero wherever T1 is zero; the paper mentions neither. The released file
  does not run: its non-local block is not defined, and is left out here. Its fourth pooling leaves out the slice axis;
  here every pooling halves every axis. It ends in a ReLU too (`final_activation="relu"`), after a convolution to two
  channels that is left out here.
- Li's baseline upsamples by transposed convolutions, which leave a checkerboard pattern; `upsampling="nearest"` does
  not.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.errors import UsageError
from voxlate.models.parts.blocks import require_multiple
from voxlate.models.parts.layers import (
    Dimensions,
    Layers,
    Normalisation,
    layers_of,
    require_at_least,
    require_choice,
    require_two_voxels,
)


@dataclass(frozen=True)
class UNetDesign:
    """Options of `UNet` besides its channels.

    Attributes:
        depth: number of times the resolution is halved.
        convolutions: number of convolutions at each level of encoder and decoder.
        dimensions: 2 for slices, 3 for volumes.
        normalisation: kind of normalisation after each convolution.
        upsampling: transposed convolutions, or nearest upsampling and a convolution of one voxel.
        dropout: share of channels dropped at the lowest level during training.
        final_activation: activation after the last layer.
        factored: replace each cubic convolution by one within the slice (the last axis runs across) and one across.
        ratio: multiply the output by the first contrast of the source.
    """

    depth: int = 4
    convolutions: int = 2
    dimensions: Dimensions = 3
    normalisation: Normalisation = "instance"
    upsampling: Literal["transposed", "nearest"] = "nearest"
    dropout: float = 0.0
    final_activation: Literal["none", "relu", "sigmoid"] = "none"
    factored: bool = False
    ratio: bool = False

    def __post_init__(self) -> None:
        require_choice("upsampling", self.upsampling, ("transposed", "nearest"))
        require_choice("final_activation", self.final_activation, ("none", "relu", "sigmoid"))
        require_at_least("convolutions", self.convolutions, 1)
        if self.factored and self.dimensions == 2:
            raise UsageError("MODEL_ARGUMENT", "factored convolutions need dimensions=3")


class UNet(nn.Module):
    """An encoder and a decoder with skip connections by concatenation.

    Args:
        in_channels: number of source contrasts.
        out_channels: number of synthetic contrasts.
        width: channels of the first level, doubled at each lower one; the published networks have 64.
        **design: fields of `UNetDesign`.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, width: int = 64, **design: Any) -> None:
        super().__init__()
        self.design = choices = UNetDesign(**design)
        self.layers = layers = layers_of(choices.dimensions)
        widths = [width * 2**level for level in range(choices.depth + 1)]
        self.encoders = nn.ModuleList(_level(i, o, layers, choices) for i, o in pairwise([in_channels, *widths]))
        self.pool = layers.max_pool(2)
        self.dropout = layers.dropout(choices.dropout)
        pairs = list(pairwise(reversed(widths)))
        self.ups = nn.ModuleList(_upsample(lower, upper, layers, choices) for lower, upper in pairs)
        self.decoders = nn.ModuleList(_level(2 * upper, upper, layers, choices) for _, upper in pairs)
        self.head = layers.convolution(width, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, ...), sizes multiples of 2^depth, to (B, out_channels, ...).

        Raises:
            UsageError: `SIZE` for sizes that do not fit, `DIMENSIONS`.
        """
        factor = 2**self.design.depth
        self.layers.require_dimensions(x, network="unet")
        require_multiple(x, factor, network="unet")
        if self.design.normalisation != "none":
            require_two_voxels(x, factor, network="unet")
        source, skips = x, []
        for level, encoder in enumerate(self.encoders):
            x = encoder(self.pool(x) if level else x)
            skips.append(x)
        x = self.dropout(skips.pop())
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = decoder(torch.cat([skips.pop(), up(x)], dim=1))
        x = _activate(self.head(x), self.design.final_activation)
        return source[:, :1] * x if self.design.ratio else x


def _activate(x: Tensor, kind: str) -> Tensor:
    if kind == "relu":
        return F.relu(x)
    return torch.sigmoid(x) if kind == "sigmoid" else x


def _level(in_channels: int, out_channels: int, layers: Layers, design: UNetDesign) -> nn.Sequential:
    widths = [in_channels] + [out_channels] * design.convolutions
    return nn.Sequential(*[step for i, o in pairwise(widths) for step in _convolve(i, o, layers, design)])


def _convolve(in_channels: int, out_channels: int, layers: Layers, design: UNetDesign) -> list[nn.Module]:
    if not design.factored:
        return [*_step(in_channels, out_channels, (3,) * layers.dimensions, layers, kind=design.normalisation)]
    within = _step(in_channels, out_channels, (3, 3, 1), layers, kind=design.normalisation)
    return [*within, *_step(out_channels, out_channels, (1, 1, 3), layers, kind=design.normalisation)]


def _step(
    in_channels: int, out_channels: int, kernel: tuple[int, ...], layers: Layers, *, kind: Normalisation
) -> list[nn.Module]:
    convolution = layers.convolution(in_channels, out_channels, kernel, padding=tuple(n // 2 for n in kernel))
    return [convolution, layers.normalise(out_channels, kind), nn.ReLU()]


def _upsample(lower: int, upper: int, layers: Layers, design: UNetDesign) -> nn.Module:
    if design.upsampling == "transposed":
        return layers.transposed(lower, upper, 2, stride=2)
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), layers.convolution(lower, upper, 1))
