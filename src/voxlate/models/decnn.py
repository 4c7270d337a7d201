"""DECNN (Xiang et al., Med Image Anal 2018;47:31): tentative images are embedded back into the features of a network.

Input (B, in_channels, H, W), or (B, in_channels, D, H, W) with `dimensions=3`, of any size; output of the same size,
(B, out_channels, ...). Convolutions make features of the source. Then, several times: a transform block passes the
features on, and an embedding block makes a tentative image of them and joins features of that image to them. A last
convolution makes the image. Nothing is halved, so that no size is refused.

Written from the abstract and the highlights (features, transform and embedding blocks, repeated embedding, whole images
without patches) without the full text at hand. Our choice where they leave a question: 64 channels, convolutions of 3
voxels with batch normalisation and ReLU, two convolutions in the first and in each transform block, three embeddings,
the tentative image joined by concatenation after one convolution, and a loss on the last image alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from voxlate.models.parts.layers import Dimensions, Layers, Normalisation, layers_of, require_at_least


@dataclass(frozen=True)
class DECNNDesign:
    """Options of `DECNN` besides its channels.

    Attributes:
        embeddings: number of transform blocks, each with an embedding block after it.
        convolutions: number of convolutions in the first and in each transform block.
        normalisation: kind of normalisation after each convolution.
        dimensions: 2 for slices, 3 for volumes.
    """

    embeddings: int = 3
    convolutions: int = 2
    normalisation: Normalisation = "batch"
    dimensions: Dimensions = 2

    def __post_init__(self) -> None:
        require_at_least("embeddings", self.embeddings, 1)
        require_at_least("convolutions", self.convolutions, 1)


class DECNN(nn.Module):
    """Convolutions at full resolution with embedded tentative images.

    Args:
        in_channels: number of source contrasts.
        out_channels: number of synthetic contrasts.
        width: channels of the features.
        **design: fields of `DECNNDesign`.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, width: int = 64, **design: Any) -> None:
        super().__init__()
        self.design = choices = DECNNDesign(**design)
        self.layers = layers = layers_of(choices.dimensions)
        self.features = _block(in_channels, width, layers, choices)
        inputs = [width] + [2 * width] * (choices.embeddings - 1)
        self.transforms = nn.ModuleList(_block(channels, width, layers, choices) for channels in inputs)
        self.tentative = nn.ModuleList(layers.convolution(width, out_channels, 3, padding=1) for _ in inputs)
        self.embedded = nn.ModuleList(_step(out_channels, width, layers, choices) for _ in inputs)
        self.head = layers.convolution(2 * width, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, ...) to (B, out_channels, ...).

        Raises:
            UsageError: `DIMENSIONS`.
        """
        self.layers.require_dimensions(x, network="decnn")
        x = self.features(x)
        for transform, tentative, embedded in zip(self.transforms, self.tentative, self.embedded, strict=True):
            x = transform(x)
            x = torch.cat([x, embedded(tentative(x))], dim=1)
        result: Tensor = self.head(x)
        return result


def _block(in_channels: int, width: int, layers: Layers, design: DECNNDesign) -> nn.Sequential:
    widths = [in_channels] + [width] * design.convolutions
    return nn.Sequential(*[_step(i, o, layers, design) for i, o in pairwise(widths)])


def _step(in_channels: int, out_channels: int, layers: Layers, design: DECNNDesign) -> nn.Sequential:
    convolution = layers.convolution(in_channels, out_channels, 3, padding=1, bias=design.normalisation == "none")
    return nn.Sequential(convolution, layers.normalise(out_channels, design.normalisation), nn.ReLU())
