"""Att-U-Net of Bottani et al., BMC Medical Imaging 2024;24:67, after the authors' released code.

A 3D U-Net with additive attention gates on its skip connections (Oktay et al., MIDL 2018), five levels, and a linear
output layer. Input (B, in_channels, D, H, W), sizes multiples of 16; output (B, out_channels, D, H, W).

Deviations:

- The paper does not mention the batch normalisation layers of the code.
- The code never leaves training mode, so that batch normalisation always uses the statistics of the one image in the
  batch. `normalisation="instance"` is that behaviour at batch size 1 in training and inference, with the same
  parameters. `normalisation="batch"` keeps running averages, as the layer was designed to.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.models.parts.blocks import normalised_convolution, require_multiple, two_convolutions
from voxlate.models.parts.layers import Normalisation, layers_of, require_choice, require_two_voxels

FACTOR = 16
"""Sizes must be multiples of it: the resolution is halved four times, as in the released code."""


_normalise = layers_of(3).normalise


class AttUNet(nn.Module):
    """A U-Net with five levels whose skip connections pass through additive attention gates.

    103,887,981 parameters at width 64. The gating signal is the decoder tensor at the same resolution, as in the
    re-implementation that the authors used; Oktay et al. take the next coarser one.

    Args:
        in_channels: number of source contrasts.
        out_channels: number of synthetic contrasts.
        width: channels of the first level, doubled at each lower level; the published network has 64.
        normalisation: see the module's docstring.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 64,
        *,
        normalisation: Literal["instance", "batch"] = "instance",
    ) -> None:
        super().__init__()
        require_choice("normalisation", normalisation, ("instance", "batch"))
        widths = [width * 2**level for level in range(5)]
        self.encoders = nn.ModuleList(
            two_convolutions(i, o, normalisation) for i, o in zip([in_channels, *widths[:-1]], widths, strict=True)
        )
        upward = list(reversed(widths))
        pairs = list(pairwise(upward))
        self.ups = nn.ModuleList(normalised_convolution(i, o, normalisation) for i, o in pairs)
        self.gates = nn.ModuleList(AttentionGate(o, normalisation) for _, o in pairs)
        self.decoders = nn.ModuleList(two_convolutions(2 * o, o, normalisation) for _, o in pairs)
        self.head = nn.Conv3d(width, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, D, H, W), sizes multiples of 16, to (B, out_channels, D, H, W).

        Raises:
            UsageError: `SIZE` for sizes that do not fit, `DIMENSIONS`.
        """
        layers_of(3).require_dimensions(x, network="att_unet")
        require_multiple(x, FACTOR, network="att_unet")
        require_two_voxels(x, FACTOR, network="att_unet")
        skips = []
        for level, encoder in enumerate(self.encoders):
            x = encoder(F.max_pool3d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for up, gate, decoder in zip(self.ups, self.gates, self.decoders, strict=True):
            x = up(F.interpolate(x, scale_factor=2, mode="nearest"))
            x = decoder(torch.cat([gate(x, skips.pop()), x], dim=1))
        result: Tensor = self.head(x)
        return result


class AttentionGate(nn.Module):
    """Additive attention gate: multiplies each voxel of a skip by a weight in [0, 1].

    The weight is sigmoid(conv(ReLU(conv(gate) + conv(skip)))), with convolutions of one voxel, each normalised.
    """

    def __init__(self, channels: int, normalisation: Normalisation) -> None:
        super().__init__()
        inner = channels // 2
        self.of_gate = nn.Sequential(nn.Conv3d(channels, inner, 1), _normalise(inner, normalisation))
        self.of_skip = nn.Sequential(nn.Conv3d(channels, inner, 1), _normalise(inner, normalisation))
        self.weight = nn.Sequential(nn.Conv3d(inner, 1, 1), _normalise(1, normalisation), nn.Sigmoid())

    def forward(self, gate: Tensor, skip: Tensor) -> Tensor:
        """Maps the gating signal and the skip, both (B, channels, D, H, W), to the weighted skip of the same shape."""
        weighted: Tensor = skip * self.weight(F.relu(self.of_gate(gate) + self.of_skip(skip)))
        return weighted
