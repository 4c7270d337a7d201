"""Gain-offset U-Net, the default network: a residual 3D U-Net that predicts a gain and an offset for each voxel.

    synthetic = source * (1 + gain) + offset

with gain and offset zero at the start, so that the untrained network is the identity. Input (B, in_channels, D, H, W)
in relative units, of any size; output (B, out_channels, D, H, W). A design of this project, without a paper.

Most of the work is done at half resolution, after a space-to-depth stem; a branch of few channels keeps the full
resolution. No layer uses statistics of the window (there is no normalisation layer), so that windows and whole volumes
give the same output away from their borders.

With `reference` the network also takes the contrast that its result shall have, and without one it gives what it gives
without these layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.models.parts.blocks import ScaledResidual, depth_to_space, pad_to_multiple, space_to_depth
from voxlate.models.parts.layers import layers_of, require_at_least
from voxlate.models.parts.modulation import Modulation, modulated
from voxlate.models.parts.paired import paired_convolution


class GainOffsetUNet(nn.Module):
    """A residual 3D U-Net with a space-to-depth stem and a light branch at full resolution.

    Args:
        in_channels: number of source contrasts; gain and offset apply to the first.
        out_channels: number of synthetic contrasts.
        width: channels at half resolution; 2 and 4 times as many at lower resolutions.
        depth: number of times the resolution is halved, at least 1.
        blocks: residual blocks per level of the encoder; the first level and each level of the decoder have one.
        reference: numbers that describe the contrast of a reference scan; 0 for a network without such layers.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 32,
        depth: int = 4,
        blocks: int = 2,
        reference: int = 0,
    ) -> None:
        super().__init__()
        require_at_least("depth", depth, 1)
        self.factor = 2**depth
        self.out_channels = out_channels
        detail = max(4, width // 4)  # few channels at full resolution, where each costs eight times the memory
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
        modulated_channels = [detail, *widths, *widths[-2::-1], detail]
        # Built last, so that a seed gives the other layers the weights that it gives without them.
        self.reference = Modulation(reference, modulated_channels) if reference else None

    def forward(self, x: Tensor, contrasts: Tensor | None = None) -> Tensor:
        """Maps (B, in_channels, D, H, W) in relative units to (B, out_channels, D, H, W).

        Any size: the border is repeated up to a multiple of 2^depth, and the output is cropped again.

        Args:
            x: the sources.
            contrasts: of source and reference, see `Modulation`; only for a network with `reference`.

        Raises:
            UsageError: `DIMENSIONS`.
        """
        layers_of(3).require_dimensions(x, network="translator")
        size = x.shape[2:]
        padded = pad_to_multiple(x, self.factor)
        is_in_rows = self.training and x.device.type == "cpu" and contrasts is None
        maps = self._maps_in_rows(padded) if is_in_rows else self._maps(padded, contrasts)
        gain, offset = maps.chunk(2, dim=1)
        result: Tensor = padded[:, :1] * (1 + gain) + offset
        return result[:, :, : size[0], : size[1], : size[2]]

    def _maps(self, x: Tensor, contrasts: Tensor | None = None) -> Tensor:
        """Returns gain and offset, (B, 2 out_channels, D, H, W), of an image whose sizes are multiples of 2^depth."""
        changes: Sequence[tuple[Tensor, Tensor] | None] = [None] * (2 * len(self.down_blocks) + 1)
        if contrasts is not None and self.reference is not None:
            changes = self.reference(contrasts)
        at_fine, *at_coarse, at_mix = changes
        coarse = self._coarse(space_to_depth(x), at_coarse)
        fine = torch.cat([modulated(self.fine(x), at_fine), depth_to_space(self.to_fine(coarse))], dim=1)
        mixed = modulated(self.mix(F.leaky_relu(fine, 0.1)), at_mix)
        maps: Tensor = self.head(F.leaky_relu(mixed, 0.1))
        return maps

    def _maps_in_rows(self, x: Tensor) -> Tensor:
        """Returns what `_maps` returns, up to rounding, by a way that is faster in training on a processor.

        Channels lie last in memory, so that the rows of a matrix are voxels, and the convolutions of few channels at
        full resolution work on pairs of voxels. Inference keeps to `_maps`, whose last bits do not depend on this.
        """
        coarse = self._coarse(space_to_depth(x).contiguous(memory_format=torch.channels_last_3d), [])
        b, _, d, h, w = coarse.shape
        detail, linear = self.fine.out_channels, self.to_fine
        # All channels of a voxel together, so that the copies are longer.
        order = torch.arange(8 * detail).view(detail, 8).t().flatten()
        bias = None if linear.bias is None else linear.bias[order]
        up = F.linear(coarse.permute(0, 2, 3, 4, 1), linear.weight.flatten(1)[order], bias)
        up = up.view(b, d, h, w, 2, 2, 2, detail).permute(0, 1, 4, 2, 5, 3, 6, 7)
        fine = paired_convolution(x.permute(0, 2, 3, 4, 1), self.fine)
        both = F.leaky_relu_(torch.cat([fine.reshape(up.shape), up], dim=-1), 0.1)
        mixed = paired_convolution(both.reshape(b, 2 * d, 2 * h, 2 * w, 2 * detail), self.mix)
        return paired_convolution(F.leaky_relu(mixed, 0.1), self.head).permute(0, 4, 1, 2, 3)

    def _coarse(self, x: Tensor, changes: Sequence[tuple[Tensor, Tensor] | None]) -> Tensor:
        """Returns the features at half resolution; `changes` are the modulations of each level, down and up."""
        following = iter(changes)
        x = modulated(self.down_blocks[0](self.stem(x)), next(following, None))
        skips = []
        for down, residuals in zip(self.downs, list(self.down_blocks)[1:], strict=True):
            skips.append(x)
            x = modulated(residuals(down(F.leaky_relu(x, 0.1))), next(following, None))
        for up, residuals in zip(self.ups, self.up_blocks, strict=True):
            x = modulated(residuals(skips.pop() + up(F.leaky_relu(x, 0.1))), next(following, None))
        return x


class WithReference(nn.Module):
    """A network with a fixed reference, called as one without.

    Args:
        network: with `reference`.
        contrasts: (2, n), of source and reference, see `Modulation`.

    Attributes:
        factor: number that the network pads sizes to a multiple of.
    """

    def __init__(self, network: GainOffsetUNet, contrasts: Tensor) -> None:
        super().__init__()
        self.network, self.factor = network, network.factor
        self.contrasts: Tensor
        self.register_buffer("contrasts", contrasts[None].float())

    def forward(self, x: Tensor) -> Tensor:
        """Maps as `GainOffsetUNet`."""
        result: Tensor = self.network(x, self.contrasts.expand(len(x), -1, -1))
        return result


def with_reference(network: nn.Module, contrasts: NDArray[np.float32]) -> nn.Module:
    """Returns a network with a fixed reference; the network itself if it takes none.

    Args:
        network: any network.
        contrasts: (2, n), of source and reference, see `Modulation`.
    """
    if not takes_reference(network):
        return network
    device = next(network.parameters()).device
    fixed = WithReference(network, torch.from_numpy(contrasts).to(device))
    return fixed.train(network.training)


def takes_reference(network: object) -> TypeGuard[GainOffsetUNet]:
    """Returns whether an object is a network that has layers for the contrast of a reference."""
    return isinstance(network, GainOffsetUNet) and network.reference is not None


def _residuals(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*[ScaledResidual(channels) for _ in range(count)])


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
        nn.init.kaiming_normal_(module.weight, a=0.1)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
