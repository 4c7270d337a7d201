"""Res-U-Net of Bottani et al., BMC Medical Imaging 2024;24:67, after the authors' released code.

A 3D U-Net with stacks of linear convolutions as residual modules. Input (B, in_channels, D, H, W), sizes multiples of
32; output (B, out_channels, D, H, W).

Where paper and code differ, and the argument that chooses:

- The code shares the residual modules between encoder and decoder; the paper does not say so: `share_residuals`.
- In the code, the skips of the three lower levels are taken before the residual module and the upper one after it; the
  paper does not say so: `skip_from`.
- The code ends in tanh although its targets lie in [0, 1]: `final_activation`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.models.parts.blocks import require_multiple
from voxlate.models.parts.layers import layers_of, require_choice, require_two_voxels

FACTOR = 32
"""Sizes must be multiples of it: the resolution is halved five times."""


class ResUNet(nn.Module):
    """A U-Net of five strided blocks and four transposed ones, with stacks of 1, 2, 3 and 3 convolutions as residuals.

    312,250,369 parameters at width 128 with shared residuals.

    Args:
        in_channels: number of source contrasts.
        out_channels: number of synthetic contrasts.
        width: channels of the first level; the published network has 128.
        share_residuals: use the same residual modules in encoder and decoder (as in the code), or separate ones.
        skip_from: `coded` (lower skips before the residual module, the upper one after) or `post` (all after).
        final_activation: `tanh` (as in the code) or `none`.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 128,
        *,
        share_residuals: bool = True,
        skip_from: Literal["coded", "post"] = "coded",
        final_activation: Literal["tanh", "none"] = "tanh",
    ) -> None:
        super().__init__()
        require_choice("skip_from", skip_from, ("coded", "post"))
        require_choice("final_activation", final_activation, ("tanh", "none"))
        self.skip_from, self.final_activation = skip_from, final_activation
        widths = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.downs = nn.ModuleList(Down(i, o) for i, o in zip([in_channels, *widths[:-1]], widths, strict=True))
        self.residuals = _residual_modules(widths)
        self.up_residuals = None if share_residuals else _residual_modules(widths)
        up_widths = [(8 * width, 8 * width), (16 * width, 4 * width), (8 * width, 2 * width), (4 * width, width)]
        self.ups = nn.ModuleList(Up(i, o) for i, o in up_widths)
        self.final = nn.Conv3d(2 * width, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, D, H, W), sizes multiples of 32, to (B, out_channels, D, H, W).

        Raises:
            UsageError: `SIZE` for sizes that do not fit, `DIMENSIONS`.
        """
        layers_of(3).require_dimensions(x, network="res_unet")
        require_multiple(x, FACTOR, network="res_unet")
        require_two_voxels(x, FACTOR, network="res_unet")
        skips = []
        for level, down in enumerate(self.downs):
            before = down(x)
            x = self.residuals[min(level, 3)](before)
            skips.append(x if self.skip_from == "post" or level == 0 else before)
        up_residuals = self.residuals if self.up_residuals is None else self.up_residuals
        x = up_residuals[3](self.ups[0](x))
        for up, level in zip(list(self.ups)[1:], (3, 2, 1), strict=True):
            x = up_residuals[level - 1](up(torch.cat([x, skips[level]], dim=1)))
        x = self.final(F.interpolate(torch.cat([x, skips[0]], dim=1), scale_factor=2, mode="nearest"))
        return torch.tanh(x) if self.final_activation == "tanh" else x


class Down(nn.Sequential):
    """A strided convolution that halves the size, instance normalisation, and leaky ReLU of slope 0.2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv3d(in_channels, out_channels, 3, stride=2, padding=1),
            nn.InstanceNorm3d(out_channels),
            nn.LeakyReLU(0.2),
        )


class Up(nn.Sequential):
    """A transposed convolution that doubles the size, instance normalisation, and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.ConvTranspose3d(in_channels, out_channels, 4, stride=2, padding=1),
            nn.InstanceNorm3d(out_channels),
            nn.ReLU(),
        )


class LinearStack(nn.Module):
    """A residual module: input plus leaky ReLU of `count` convolutions in sequence.

    There is no activation between the convolutions, as in the code.
    """

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*[nn.Conv3d(channels, channels, 3, padding=1) for _ in range(count)])

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, channels, D, H, W) to the same shape."""
        return x + F.leaky_relu(self.convolutions(x), 0.2)


def _residual_modules(widths: list[int]) -> nn.ModuleList:
    return nn.ModuleList(LinearStack(w, n) for w, n in zip(widths[:4], (1, 2, 3, 3), strict=True))
