"""Trans-U-Net of Bottani et al., BMC Medical Imaging 2024;24:67: TransBTS (Wang et al., MICCAI 2021), linear output.

A 3D convolutional encoder and decoder with a transformer at an eighth of the resolution. Follows the released code.
Input (B, in_channels, D, H, W), sizes multiples of 8; output (B, out_channels, D, H, W).

Where paper and code differ, and the argument that chooses:

- The code has a linear token projection and a last layer normalisation that never influence the output.
  `unreached_parts=True` builds them, so that the number of parameters is the published 32,789,633.
- The position embedding has one vector for each of 16 x 16 x 16 tokens, so that only 128 x 128 x 128 voxels fit.
  `position="fixed"` is that; `"interpolated"` resizes the embedding to the number of tokens.
- The dropout after the first convolution stays on after training. `stem_dropout="always"` is that; `"training"`
  follows the mode of the network.
- In training the code drops activations twice after each attention: 19 % of them with `dropout=0.1`.
  `attention_dropouts=2` is that.
- The code never enters evaluation mode, so that batch normalisation equals instance normalisation at batch size 1:
  `normalisation`, as in `voxlate.models.att_unet`.

As published: `unreached_parts=True, position="fixed", stem_dropout="always", attention_dropouts=2`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.errors import UsageError
from voxlate.models.parts.blocks import require_multiple, two_convolutions
from voxlate.models.parts.layers import Normalisation, layers_of, require_choice, require_two_voxels
from voxlate.models.parts.transformer import TransformerLayer

FACTOR = 8
"""Sizes must be multiples of it: the resolution is halved three times."""
ENCODER_BLOCKS = (1, 2, 2, 4)
"""Number of residual blocks at each level of the encoder, as in the code."""


@dataclass(frozen=True)
class TransUNetDesign:
    """Options of `TransUNet` besides its channels.

    Attributes:
        depth: number of transformer layers.
        heads: number of attention heads; 32 x width must be a multiple of it.
        token_grid: number of tokens along each axis that the position embedding is stored for.
        dropout: share of activations dropped in the transformer during training.
        normalisation, position, stem_dropout, attention_dropouts, unreached_parts: see the module's docstring.
    """

    depth: int = 4
    heads: int = 8
    token_grid: int = 16
    dropout: float = 0.1
    normalisation: Normalisation = "instance"
    position: Literal["interpolated", "fixed"] = "interpolated"
    stem_dropout: Literal["training", "always"] = "training"
    attention_dropouts: Literal[1, 2] = 1
    unreached_parts: bool = False

    def __post_init__(self) -> None:
        require_choice("position", self.position, ("interpolated", "fixed"))
        require_choice("stem_dropout", self.stem_dropout, ("training", "always"))
        require_choice("attention_dropouts", self.attention_dropouts, (1, 2))


class TransUNet(nn.Module):
    """A convolutional encoder and decoder with a dense transformer over the tokens at an eighth of the resolution.

    Args:
        in_channels: number of source contrasts.
        out_channels: number of synthetic contrasts.
        width: channels at full resolution; tokens have 32 times as many. The published network has 16.
        **design: fields of `TransUNetDesign`.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, width: int = 16, **design: Any) -> None:
        super().__init__()
        self.design = choices = TransUNetDesign(**design)
        widths = [width * 2**level for level in range(4)]
        tokens = 32 * width
        self.stem = nn.Conv3d(in_channels, width, 3, padding=1)
        self.downs = nn.ModuleList(nn.Conv3d(w, 2 * w, 3, stride=2, padding=1) for w in widths[:3])
        self.encoders = nn.ModuleList(
            nn.Sequential(*[PreActivated(w) for _ in range(count)])
            for w, count in zip(widths, ENCODER_BLOCKS, strict=True)
        )
        normalise = layers_of(3).normalise
        self.to_tokens = nn.Sequential(
            normalise(widths[3], choices.normalisation), nn.ReLU(), nn.Conv3d(widths[3], tokens, 3, padding=1)
        )
        self.position = nn.Parameter(torch.zeros(1, choices.token_grid**3, tokens))
        self.transformer = nn.Sequential(
            *[
                TransformerLayer(
                    tokens, choices.heads, dropout=choices.dropout, attention_dropouts=choices.attention_dropouts
                )
                for _ in range(choices.depth)
            ]
        )
        self.from_tokens = two_convolutions(tokens, widths[3], choices.normalisation)
        self.bottom = Residual(widths[3], choices.normalisation)
        self.ups = nn.ModuleList(UpBlock(w, choices.normalisation) for w in reversed(widths[:3]))
        self.head = nn.Conv3d(width, out_channels, 1)
        if choices.unreached_parts:
            self.linear_encoding = nn.Linear(widths[3], tokens)
            self.last_norm = nn.LayerNorm(tokens)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, D, H, W), sizes multiples of 8, to (B, out_channels, D, H, W).

        Raises:
            UsageError: `SIZE` for sizes that do not fit.
        """
        layers_of(3).require_dimensions(x, network="trans_unet")
        require_multiple(x, FACTOR, network="trans_unet")
        require_two_voxels(x, FACTOR, network="trans_unet")
        self._require_grid(x)
        always = self.design.stem_dropout == "always"
        x = self.encoders[0](F.dropout3d(self.stem(x), 0.2, training=self.training or always))
        skips = []
        for down, encoder in zip(self.downs, list(self.encoders)[1:], strict=True):
            skips.append(x)
            x = encoder(down(x))
        x = self.bottom(self.from_tokens(self._transform(self.to_tokens(x))))
        for up in self.ups:
            x = up(x, skips.pop())
        result: Tensor = self.head(x)
        return result

    def _transform(self, x: Tensor) -> Tensor:
        grid = x.shape[2:]
        embedded = x.flatten(2).transpose(1, 2) + self._position(grid)
        tokens: Tensor = self.transformer(F.dropout(embedded, self.design.dropout, self.training))
        return tokens.transpose(1, 2).reshape(x.shape)

    def _position(self, grid: torch.Size) -> Tensor:
        stored = self.design.token_grid
        if tuple(grid) == (stored,) * 3:
            return self.position
        cube = self.position.transpose(1, 2).reshape(1, -1, stored, stored, stored)
        resized = F.interpolate(cube, size=tuple(grid), mode="trilinear", align_corners=False)
        return resized.flatten(2).transpose(1, 2)

    def _require_grid(self, x: Tensor) -> None:
        side = FACTOR * self.design.token_grid
        if self.design.position == "fixed" and tuple(x.shape[2:]) != (side,) * 3:
            raise UsageError(
                "SIZE",
                f"trans_unet with fixed positions takes {side} voxels along each axis, not {tuple(x.shape[2:])}; "
                'position="interpolated" takes any multiple of 8',
            )


class PreActivated(nn.Module):
    """A residual block: group normalisation, ReLU and convolution, twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        groups = math.gcd(8, channels)
        self.inner = nn.Sequential(
            nn.GroupNorm(groups, channels),
            nn.ReLU(),
            nn.Conv3d(channels, channels, 3, padding=1),
            nn.GroupNorm(groups, channels),
            nn.ReLU(),
            nn.Conv3d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, channels, D, H, W) to the same shape."""
        result: Tensor = x + self.inner(x)
        return result


class Residual(nn.Module):
    """A residual block: two convolutions, each with normalisation and ReLU."""

    def __init__(self, channels: int, normalisation: Normalisation) -> None:
        super().__init__()
        self.inner = two_convolutions(channels, channels, normalisation)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, channels, D, H, W) to the same shape."""
        result: Tensor = x + self.inner(x)
        return result


class UpBlock(nn.Module):
    """Halves the channels, doubles the size, concatenates the skip and refines by a residual block."""

    def __init__(self, channels: int, normalisation: Normalisation) -> None:
        super().__init__()
        self.narrow = nn.Conv3d(2 * channels, channels, 1)
        self.enlarge = nn.ConvTranspose3d(channels, channels, 2, stride=2)
        self.join = nn.Conv3d(2 * channels, channels, 1)
        self.refine = Residual(channels, normalisation)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Maps (B, 2 channels, D, H, W) and a skip (B, channels, 2D, 2H, 2W) to the shape of the skip."""
        joined = self.join(torch.cat([skip, self.enlarge(self.narrow(x))], dim=1))
        refined: Tensor = self.refine(joined)
        return refined
