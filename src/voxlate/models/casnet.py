"""CasNet, the generator of MedGAN (Armanious et al., Comput Med Imaging Graph 2020;79:101684): U-Nets in series.

Input (B, in_channels, H, W), or (B, in_channels, D, H, W) with `dimensions=3`, sizes multiples of 2^depth; output
(B, out_channels, ...) of the same size. Each of six encoder-decoder pairs ("U-blocks") refines the image that the one
before it made. A U-block is the U-Net of pix2pix: eight convolutions of 4 voxels at stride 2 with 64 to 512 channels,
eight transposed ones, and skip connections (arXiv 1806.06397).

Written from the abstract and from the architecture as other papers summarise it, without the full text at hand. Our
choice where that leaves a question: one image is handed from block to block, without an activation; only the last block
ends in tanh; no dropout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from voxlate.models.parts.blocks import require_multiple
from voxlate.models.parts.layers import Dimensions, Normalisation, layers_of, require_at_least, require_choice
from voxlate.models.pix2pix_unet import Pix2PixUNet


@dataclass(frozen=True)
class CasNetDesign:
    """Options of `CasNet` besides its channels.

    Attributes:
        blocks: number of U-blocks; 6 in the paper.
        depth: number of times that each block halves the resolution; 8 in the paper, for images of 256 pixels.
        dimensions: 2 for slices, 3 for volumes.
        normalisation: kind of normalisation.
        final_activation: activation after the last block.
    """

    blocks: int = 6
    depth: int = 8
    dimensions: Dimensions = 2
    normalisation: Normalisation = "instance"
    final_activation: Literal["tanh", "none"] = "tanh"

    def __post_init__(self) -> None:
        require_choice("final_activation", self.final_activation, ("tanh", "none"))
        require_at_least("blocks", self.blocks, 1)


class CasNet(nn.Module):
    """U-Nets in series, each of which takes the image of the one before it.

    Args:
        in_channels: number of source contrasts.
        out_channels: number of synthetic contrasts.
        width: channels of the first level of each block; 64 in the paper.
        **design: fields of `CasNetDesign`.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, width: int = 64, **design: Any) -> None:
        super().__init__()
        self.design = choices = CasNetDesign(**design)
        self.layers = layers_of(choices.dimensions)
        options = {
            "depth": choices.depth,
            "dimensions": choices.dimensions,
            "normalisation": choices.normalisation,
            "dropout": 0.0,
            "final_activation": "none",
        }
        inputs = [in_channels] + [out_channels] * (choices.blocks - 1)
        self.blocks = nn.ModuleList(Pix2PixUNet(channels, out_channels, width, **options) for channels in inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, ...), sizes multiples of 2^depth, to (B, out_channels, ...).

        Raises:
            UsageError: `SIZE` for sizes that do not fit, `DIMENSIONS`.
        """
        self.layers.require_dimensions(x, network="casnet")
        require_multiple(x, 2**self.design.depth, network="casnet")
        for block in self.blocks:
            x = block(x)
        return torch.tanh(x) if self.design.final_activation == "tanh" else x
