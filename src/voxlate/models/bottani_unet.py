"""3D U-Net baseline in the released code of Bottani et al., BMC Medical Imaging 2024;24:67.

The network of `voxlate.models.res_unet` without its residual modules. Input (B, in_channels, D, H, W), sizes multiples
of 32; output (B, out_channels, D, H, W).

Deviations: the paper does not mention this network. The code ends in tanh although its targets lie in [0, 1];
`final_activation="none"` leaves the tanh out.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.models.parts.blocks import require_multiple
from voxlate.models.parts.layers import layers_of, require_choice, require_two_voxels
from voxlate.models.res_unet import FACTOR, Down, Up


class BottaniUNet(nn.Module):
    """A U-Net of five strided blocks, four transposed ones, and nearest upsampling with one convolution at the end.

    202,095,489 parameters at width 128.

    Args:
        in_channels: number of source contrasts.
        out_channels: number of synthetic contrasts.
        width: channels of the first level; the published network has 128.
        final_activation: `tanh` (as in the code) or `none`.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 128,
        *,
        final_activation: Literal["tanh", "none"] = "tanh",
    ) -> None:
        super().__init__()
        require_choice("final_activation", final_activation, ("tanh", "none"))
        self.final_activation = final_activation
        widths = [in_channels, width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.downs = nn.ModuleList(Down(i, o) for i, o in pairwise(widths))
        self.bottom_up = Up(8 * width, 8 * width)
        up_widths = [(16 * width, 4 * width), (8 * width, 2 * width), (4 * width, width)]
        self.ups = nn.ModuleList(Up(i, o) for i, o in up_widths)
        self.final = nn.Conv3d(2 * width, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, D, H, W), sizes multiples of 32, to (B, out_channels, D, H, W).

        Raises:
            UsageError: `SIZE` for sizes that do not fit, `DIMENSIONS`.
        """
        layers_of(3).require_dimensions(x, network="bottani_unet")
        require_multiple(x, FACTOR, network="bottani_unet")
        require_two_voxels(x, FACTOR, network="bottani_unet")
        skips = []
        for down in self.downs:
            x = down(x)
            skips.append(x)
        x = self.bottom_up(skips.pop())
        for up in self.ups:
            x = up(torch.cat([x, skips.pop()], dim=1))
        x = self.final(F.interpolate(torch.cat([x, skips.pop()], dim=1), scale_factor=2, mode="nearest"))
        return torch.tanh(x) if self.final_activation == "tanh" else x
