"""Residual blocks of He et al., CVPR 2016 (Figure 5), with torchvision's parameter names, so that its weights load."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

EXPANSION = 4
"""Output channels of a bottleneck per inner channel, as in the paper."""


class ResNetBlock(nn.Module):
    """A residual block: two 3 x 3 convolutions (basic), or 1 x 1, 3 x 3 and 1 x 1 (bottleneck).

    The inner convolutions of a bottleneck have a quarter of its output channels.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        is_bottleneck: bottleneck or basic block.
        stride: 2 halves the size, in the 3 x 3 convolution.
        enlarge: double the size first, by nearest upsampling; the mirror image of stride 2.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, is_bottleneck: bool, stride: int = 1, enlarge: bool = False
    ) -> None:
        super().__init__()
        inner = out_channels // EXPANSION if is_bottleneck else out_channels
        self.is_bottleneck, self.enlarge = is_bottleneck, enlarge
        if is_bottleneck:
            self.conv1, self.conv2 = _conv1x1(in_channels, inner), _conv3x3(inner, inner, stride)
            self.conv3, self.bn3 = _conv1x1(inner, out_channels), nn.BatchNorm2d(out_channels)
        else:
            self.conv1, self.conv2 = _conv3x3(in_channels, inner, stride), _conv3x3(inner, inner, 1)
        self.bn1, self.bn2 = nn.BatchNorm2d(inner), nn.BatchNorm2d(inner)
        self.downsample: nn.Sequential | None = None
        if in_channels != out_channels or stride != 1:
            self.downsample = nn.Sequential(_conv1x1(in_channels, out_channels, stride), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, in_channels, H, W) to (B, out_channels, ...), of half, double or the same size."""
        if self.enlarge:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.is_bottleneck:
            inner = self.bn3(self.conv3(F.relu(inner)))
        return F.relu(inner + (x if self.downsample is None else self.downsample(x)))


def stage(in_channels: int, out_channels: int, count: int, *, is_bottleneck: bool, stride: int = 1) -> nn.Sequential:
    """Returns `count` blocks; the first one applies the stride and changes the number of channels."""
    first = ResNetBlock(in_channels, out_channels, is_bottleneck=is_bottleneck, stride=stride)
    later = [ResNetBlock(out_channels, out_channels, is_bottleneck=is_bottleneck) for _ in range(count - 1)]
    return nn.Sequential(first, *later)


def mirrored_stage(in_channels: int, out_channels: int, count: int, *, is_bottleneck: bool) -> nn.Sequential:
    """Returns `count` blocks; the first one doubles the size and changes the number of channels."""
    first = ResNetBlock(in_channels, out_channels, is_bottleneck=is_bottleneck, enlarge=True)
    later = [ResNetBlock(out_channels, out_channels, is_bottleneck=is_bottleneck) for _ in range(count - 1)]
    return nn.Sequential(first, *later)


def _conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)


def _conv3x3(in_channels: int, out_channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
