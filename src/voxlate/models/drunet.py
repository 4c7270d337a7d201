"""Deep residual U-Net (DRUNet) of Li et al., QIMS 2022, for CT to T1 and T2: a ResNet encoder and its mirror image.

A 2D network. Input (B, in_channels, H, W), sizes multiples of 32; output (B, out_channels, H, W). No code was
released; this follows the text and Table 1 of the paper.

Deviations, and choices where the paper is unclear:

- The text says that an up block has half as many input channels as output channels; Table 1 says the reverse. This
  network follows Table 1.
- Table 1 gives the last up block 64 channels, so the tensor of the first down block, at half resolution, is not
  concatenated with it. The last block is nearest upsampling and a 1 x 1 convolution. The others are mirrored residual
  blocks; the first of each stage starts with nearest upsampling and has a 1 x 1 convolution as its shortcut.
- The published encoder was pretrained on ImageNet, so that one channel is repeated three times and standardised with
  ImageNet's mean and standard deviation: `imagenet_input=True` and `load_encoder`. voxlate comes without these weights;
  by default the network takes the source unchanged.
- The paper trains with a sigmoid and binary cross-entropy, which needs targets in [0, 1]:
  `final_activation="sigmoid"`. It also says that targets are standardised, which contradicts this.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.errors import UsageError
from voxlate.models.features.imagenet import standardise
from voxlate.models.parts.blocks import require_multiple
from voxlate.models.parts.layers import layers_of, require_choice, require_two_voxels
from voxlate.models.parts.resnet_blocks import EXPANSION, mirrored_stage, stage
from voxlate.models.parts.weights import load_weights

COUNTS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Residual blocks of each stage by depth, He et al., Table 1."""
FACTOR = 32
"""Sizes must be multiples of it: the resolution is halved five times."""


@dataclass(frozen=True)
class DRUNetDesign:
    """Options of `DRUNet` besides its channels.

    Attributes:
        depth: layers of the ResNet: 18, 34, 50, 101 or 152; the paper compares 34, 50 and 101.
        imagenet_input: standardise the source as for ImageNet, see the module's docstring; for one contrast with values
            from 0 (black) to 1 (white).
        final_activation: activation after the last layer.
    """

    depth: int = 50
    imagenet_input: bool = False
    final_activation: Literal["none", "sigmoid"] = "none"

    def __post_init__(self) -> None:
        require_choice("depth", self.depth, tuple(COUNTS))
        require_choice("final_activation", self.final_activation, ("none", "sigmoid"))


class Encoder(nn.Module):
    """A ResNet (He et al., CVPR 2016, Table 1) without its classifier; parameters have torchvision's names.

    21,284,672, 23,508,032 and 42,500,160 parameters at depth 34, 50 and 101, width 64 and three input channels.

    Args:
        in_channels: channels of the input.
        width: channels of the first layer.
        depth: a key of `COUNTS`.
    """

    def __init__(self, in_channels: int, width: int, depth: int) -> None:
        super().__init__()
        is_bottleneck = depth >= 50
        self.widths = [width * (EXPANSION if is_bottleneck else 1) * 2**level for level in range(4)]
        first, second, third, fourth = COUNTS[depth]
        a, b, c, d = self.widths
        self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = stage(width, a, first, is_bottleneck=is_bottleneck)
        self.layer2 = stage(a, b, second, is_bottleneck=is_bottleneck, stride=2)
        self.layer3 = stage(b, c, third, is_bottleneck=is_bottleneck, stride=2)
        self.layer4 = stage(c, d, fourth, is_bottleneck=is_bottleneck, stride=2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps (B, in_channels, H, W) to four tensors at 1/4, 1/8, 1/16 and 1/32 of the size."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        tensors = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            tensors.append(x)
        return tensors


class DRUNet(nn.Module):
    """A U-Net of a ResNet encoder and its mirror image, with three skip connections by concatenation.

    Args:
        in_channels: number of source contrasts.
        out_channels: number of synthetic contrasts.
        width: channels of the first layer; the published network has 64.
        **design: fields of `DRUNetDesign`.

    Raises:
        UsageError: `MODEL_ARGUMENT` when `imagenet_input` is combined with more than one contrast.
    """

    def __init__(self, in_channels: int = 1, out_channels: int = 1, width: int = 64, **design: Any) -> None:
        super().__init__()
        self.design = choices = DRUNetDesign(**design)
        if choices.imagenet_input and in_channels != 1:
            raise UsageError(
                "MODEL_ARGUMENT", f"imagenet_input takes one contrast, there are {in_channels}; leave it out"
            )
        self.encoder = Encoder(3 if choices.imagenet_input else in_channels, width, choices.depth)
        a, b, c, d = self.encoder.widths
        first, second, third, fourth = COUNTS[choices.depth]
        is_bottleneck = choices.depth >= 50
        self.center = mirrored_stage(d, c, fourth, is_bottleneck=is_bottleneck)
        self.ups = nn.ModuleList(
            [
                mirrored_stage(2 * c, b, third, is_bottleneck=is_bottleneck),
                mirrored_stage(2 * b, a, second, is_bottleneck=is_bottleneck),
                mirrored_stage(2 * a, width, first, is_bottleneck=is_bottleneck),
            ]
        )
        self.head = nn.Conv2d(width, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, H, W), sizes multiples of 32, to (B, out_channels, H, W).

        Raises:
            UsageError: `SIZE` for sizes that do not fit, `DIMENSIONS`.
        """
        layers_of(2).require_dimensions(x, network="drunet")
        require_multiple(x, FACTOR, network="drunet")
        require_two_voxels(x, FACTOR, network="drunet")
        skips = self.encoder(standardise(x) if self.design.imagenet_input else x)
        x = self.center(skips.pop())
        for up in self.ups:
            x = up(torch.cat([x, skips.pop()], dim=1))
        x = self.head(F.interpolate(x, scale_factor=2, mode="nearest"))
        return torch.sigmoid(x) if self.design.final_activation == "sigmoid" else x

    def load_encoder(self, path: Path, *, sha256: str) -> None:
        """Loads pretrained weights of a ResNet of the same depth; the weights of its classifier are ignored.

        Args:
            path: a safetensors file with torchvision's names.
            sha256: expected SHA-256 of the file, in hexadecimal.

        Raises:
            NoInput, ModelInvalid: see `voxlate.models.parts.weights.load_weights`.
        """
        load_weights(self.encoder, path, sha256=sha256)
