"""The generator of LA-GANs (Wang et al., IEEE TMI 2019;38:1328): contrasts are fused by weights that depend on place.

Input (B, in_channels, D, H, W), exactly one window; output (B, out_channels, D, H, W). The window is divided into
cells. Within a cell the contrasts are joined to one image by a 1 x 1 x 1 kernel, one weight for each contrast, which
differs from cell to cell; a 3D U-Net makes the result from the fused image. So the fusion adds only one number for
each cell and contrast.

Written from the abstract (weights that depend on place, 1 x 1 x 1 kernels, large patches, a 3D conditional GAN) without
the full text at hand. Our choice where it leaves a question: windows of 64 voxels in cells of 8; weights that begin as
the mean of the contrasts; no bias; the U-Net of pix2pix in three dimensions, halved six times. Left out: the
auto-context of the paper, a second network that also gets the result of the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from voxlate.errors import UsageError
from voxlate.models.parts.layers import Normalisation, layers_of
from voxlate.models.pix2pix_unet import Pix2PixUNet


@dataclass(frozen=True)
class LocalityAdaptiveDesign:
    """Options of `LocalityAdaptiveUNet` besides its channels.

    Attributes:
        window: voxels along each axis of the only size that the network takes.
        cell: voxels along each axis of a cell with weights of its own; a divisor of `window`.
        depth: number of times that the U-Net halves the resolution.
        normalisation: kind of normalisation.
        final_activation: activation after the last layer.
    """

    window: int = 64
    cell: int = 8
    depth: int = 6
    normalisation: Normalisation = "instance"
    final_activation: Literal["tanh", "none"] = "tanh"

    def __post_init__(self) -> None:
        if self.cell < 1 or self.window % self.cell or self.window % 2**self.depth:
            raise UsageError(
                "MODEL_ARGUMENT",
                f"a window of {self.window} voxels is no multiple of cells of {self.cell} and of 2^{self.depth}",
            )


class LocalityFusion(nn.Module):
    """Joins contrasts to one image: in each cell of the window, their sum with weights of its own.

    Args:
        in_channels: number of contrasts.
        window: voxels along each axis.
        cell: voxels along each axis of a cell.
    """

    def __init__(self, in_channels: int, window: int, cell: int) -> None:
        super().__init__()
        self.cell = cell
        self.weights = nn.Parameter(torch.full((in_channels, *(window // cell,) * 3), 1 / in_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, D, H, W) to (B, 1, D, H, W)."""
        weights: Tensor = self.weights
        for axis in (1, 2, 3):
            weights = weights.repeat_interleave(self.cell, dim=axis)
        return (weights * x).sum(dim=1, keepdim=True)


class LocalityAdaptiveUNet(nn.Module):
    """A fusion of contrasts with weights for each place, and a 3D U-Net.

    Args:
        in_channels: number of source contrasts.
        out_channels: number of synthetic contrasts.
        width: channels of the first level of the U-Net.
        **design: fields of `LocalityAdaptiveDesign`.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, width: int = 64, **design: Any) -> None:
        super().__init__()
        self.design = choices = LocalityAdaptiveDesign(**design)
        self.fusion = LocalityFusion(in_channels, choices.window, choices.cell)
        self.network = Pix2PixUNet(
            1,
            out_channels,
            width,
            depth=choices.depth,
            dimensions=3,
            normalisation=choices.normalisation,
            final_activation=choices.final_activation,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, window, window, window) to (B, out_channels, window, window, window).

        Raises:
            UsageError: `SIZE` for another size than the window, `DIMENSIONS`.
        """
        layers_of(3).require_dimensions(x, network="locality_adaptive_unet")
        window = (self.design.window,) * 3
        if tuple(x.shape[2:]) != window:
            raise UsageError(
                "SIZE",
                f"locality_adaptive_unet takes windows of {window} voxels alone, not {tuple(x.shape[2:])}; set "
                "training.window and inference.window, or the argument `window`",
            )
        result: Tensor = self.network(self.fusion(x))
        return result
