"""The default network: a residual U-Net that does most of its work at half resolution.

It answers with a gain and an offset for each voxel of the source, and starts as the identity: before it
has learned anything, the synthetic image is the source. No layer depends on the statistics of the window,
so that windows and whole volumes agree away from their borders.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.models.parts.blocks import ScaledResidual, depth_to_space, pad_to_multiple, space_to_depth


class GainOffsetUNet(nn.Module):
    """A residual 3D U-Net with a space-to-depth stem and a light branch at full resolution.

    Args:
        in_channels: contrasts that go in; the first is the one that the gain and the offset apply to.
        out_channels: contrasts that come out.
        width: channels at half resolution; 2 and 4 times as many at lower resolutions.
        depth: how often the resolution is halved, at least 1.
        blocks: residual blocks per level on the way down; one per level on the way up.
    """

    def __init__(
        self, in_channels: int = 1, out_channels: int = 1, width: int = 32, depth: int = 4, blocks: int = 2
    ) -> None:
        super().__init__()
        self.factor = 2**depth
        self.out_channels = out_channels
        detail = max(4, width // 4)
        widths = [width * min(2**level, 4) for level in range(depth)]
        self.fine = nn.Conv3d(in_channels, detail, 3, padding=1)
        self.stem = nn.Conv3d(8 * in_channels, width, 3, padding=1)
        self.down_blocks = nn.ModuleList(_residuals(w, 1 if level == 0 else blocks) for level, w in enumerate(widths))
        pairs = list(pairwise(widths))
        self.downs = nn.ModuleList(nn.Conv3d(upper, lower, 2, stride=2) for upper, lower in pairs)
        self.ups = nn.ModuleList(nn.ConvTranspose3d(lower, upper, 2, stride=2) for upper, lower in reversed(pairs))
        self.up_blocks = nn.ModuleList(_residuals(upper, 1) for upper, _ in reversed(pairs))
        self.to_fine = nn.Conv3d(width, 8 * detail, 1)
        self.mix = nn.Conv3d(2 * detail, detail, 3, padding=1)
        self.head = nn.Conv3d(detail, 2 * out_channels, 3, padding=1)
        self.apply(_initialise)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, D, H, W) in relative units to (B, out_channels, D, H, W) of any size."""
        size = x.shape[2:]
        padded = pad_to_multiple(x, self.factor)
        coarse = self._coarse(space_to_depth(padded))
        fine = torch.cat([self.fine(padded), depth_to_space(self.to_fine(coarse))], dim=1)
        gain, offset = self.head(F.leaky_relu(self.mix(F.leaky_relu(fine, 0.1)), 0.1)).chunk(2, dim=1)
        answer: Tensor = padded[:, :1] * (1 + gain) + offset
        return answer[:, :, : size[0], : size[1], : size[2]]

    def _coarse(self, x: Tensor) -> Tensor:
        x = self.down_blocks[0](self.stem(x))
        skips = []
        for down, residuals in zip(self.downs, list(self.down_blocks)[1:], strict=True):
            skips.append(x)
            x = residuals(down(F.leaky_relu(x, 0.1)))
        for up, residuals in zip(self.ups, self.up_blocks, strict=True):
            x = residuals(skips.pop() + up(F.leaky_relu(x, 0.1)))
        return x


def _residuals(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*[ScaledResidual(channels) for _ in range(count)])


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
        nn.init.kaiming_normal_(module.weight, a=0.1)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
