"""The U-Net generator of pix2pix (Isola et al., CVPR 2017, section 6.1.1): the baseline Pix2Pix of Chen et al. 2023.

Input (B, in_channels, H, W), or (B, in_channels, D, H, W) with `dimensions=3`, sizes multiples of 2^depth; output
(B, out_channels, ...) of the same size. The encoder is `depth` convolutions of 4 voxels at stride 2, the decoder as
many transposed ones, with a skip connection by concatenation at each level. Channels 64, 128, 256, then 512.

Details that the paper leaves to its released code: no normalisation at the first and the deepest convolution of the
encoder and at the last of the decoder; dropout of 0.5 at the three levels above the deepest. Deviations: dropout is
on in training only, while pix2pix also uses it as its source of noise at inference; instance normalisation with a gain
and an offset, which equals the batch normalisation of the code at its batch size of 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from voxlate.models.parts.blocks import require_multiple
from voxlate.models.parts.layers import Dimensions, Layers, Normalisation, layers_of, require_at_least, require_choice

SLOPE = 0.2
"""Slope of the leaky ReLU of the encoder, as in pix2pix."""
WIDEST = 8
"""Channels of the deep levels, as a multiple of those of the first."""
DROPPED_LEVELS = 3
"""Number of levels above the deepest that have dropout, as in pix2pix."""


@dataclass(frozen=True)
class Pix2PixUNetDesign:
    """Options of `Pix2PixUNet` besides its channels.

    Attributes:
        depth: number of times that the resolution is halved; 8 in the paper, for images of 256 pixels.
        dimensions: 2 for slices, 3 for volumes.
        normalisation: kind of normalisation.
        dropout: share of values that are set to zero in training.
        final_activation: activation after the last layer; pix2pix has `tanh`.
    """

    depth: int = 8
    dimensions: Dimensions = 2
    normalisation: Normalisation = "instance"
    dropout: float = 0.5
    final_activation: Literal["tanh", "none"] = "tanh"

    def __post_init__(self) -> None:
        require_choice("final_activation", self.final_activation, ("tanh", "none"))
        require_at_least("depth", self.depth, 1)

    def widths(self, width: int) -> list[int]:
        """Returns the channels of each level of the encoder."""
        return [width * min(2**level, WIDEST) for level in range(self.depth)]


class Pix2PixUNet(nn.Module):
    """An encoder of strided convolutions and a decoder of transposed ones, with skip connections.

    54,413,955 parameters with three channels in and out and batch normalisation, as the released code.

    Args:
        in_channels: number of source contrasts.
        out_channels: number of synthetic contrasts.
        width: channels of the first level; 64 in the paper.
        **design: fields of `Pix2PixUNetDesign`.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, width: int = 64, **design: Any) -> None:
        super().__init__()
        self.design = choices = Pix2PixUNetDesign(**design)
        self.layers = layers = layers_of(choices.dimensions)
        widths = choices.widths(width)
        deepest = choices.depth - 1
        self.downs = nn.ModuleList(
            _down(in_channels if level == 0 else widths[level - 1], w, layers, choices, is_plain=level in {0, deepest})
            for level, w in enumerate(widths)
        )
        self.ups = nn.ModuleList(_up(level, widths, out_channels, layers, choices) for level in range(deepest, -1, -1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, ...), sizes multiples of 2^depth, to (B, out_channels, ...).

        Raises:
            UsageError: `SIZE` for sizes that do not fit, `DIMENSIONS`.
        """
        self.layers.require_dimensions(x, network="pix2pix_unet")
        require_multiple(x, 2**self.design.depth, network="pix2pix_unet")
        skips = []
        for down in self.downs:
            x = down(x)
            skips.append(x)
        x = skips.pop()
        for up in self.ups:
            x = up(x)
            if skips:
                x = torch.cat([x, skips.pop()], dim=1)
        return torch.tanh(x) if self.design.final_activation == "tanh" else x


def _down(
    in_channels: int, out_channels: int, layers: Layers, design: Pix2PixUNetDesign, *, is_plain: bool
) -> nn.Sequential:
    """Returns one level of the encoder; the first and the deepest are `is_plain`, without normalisation."""
    has_bias = (is_plain and design.normalisation != "batch") or design.normalisation == "none"
    convolution = layers.convolution(in_channels, out_channels, 4, stride=2, padding=1, bias=has_bias)
    norm = nn.Identity() if is_plain else layers.normalise(out_channels, design.normalisation)
    return nn.Sequential(convolution, norm, nn.LeakyReLU(SLOPE))


def _up(level: int, widths: list[int], out_channels: int, layers: Layers, design: Pix2PixUNetDesign) -> nn.Sequential:
    """Returns one level of the decoder, from `level` to the next finer one; level 0 makes the image."""
    is_deepest = level == design.depth - 1
    incoming = widths[level] * (1 if is_deepest else 2)
    outgoing = widths[level - 1] if level else out_channels
    is_normalised = level > 0 and design.normalisation != "none"
    steps: list[nn.Module] = [
        nn.ReLU(),
        layers.transposed(incoming, outgoing, 4, stride=2, padding=1, bias=not is_normalised),
    ]
    if level:
        steps.append(layers.normalise(outgoing, design.normalisation))
    if 0 < design.depth - 1 - level <= DROPPED_LEVELS and level and design.dropout:
        steps.append(nn.Dropout(design.dropout))
    return nn.Sequential(*steps)
