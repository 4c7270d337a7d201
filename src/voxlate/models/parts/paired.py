"""Cubic convolutions of few channels on a processor, computed for two voxels at once.

A processor computes 16 output channels at a time, so that a convolution to 6 channels leaves 10 of 16 lanes idle. With
the channels last in memory, the two voxels of a pair along the last axis are one voxel of twice the channels, and the
view costs nothing:

    outputs 2q + 1 and 2q + 2  depend on  inputs 2q, ..., 2q + 3, which are the pairs q and q + 1

so that a kernel of 3 x 3 x 3 voxels becomes one of 3 x 3 x 2 pairs. Of its weights three quarters are used, and 12 of
16 lanes. Sums are taken in another order than by `torch.nn.Conv3d`; nothing else differs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def paired_convolution(x: Tensor, convolution: nn.Conv3d) -> Tensor:
    """Returns a convolution of kernel 3 and padding 1.

    Args:
        x: (B, D, H, W, C), W even; copied unless it is contiguous.
        convolution: from C to O channels, with a bias.

    Returns:
        (B, D, H, W, O), part of a tensor that is longer along W.
    """
    b, d, h, w, c = x.shape
    pairs = x.reshape(b, d, h, w // 2, 2 * c).permute(0, 4, 1, 2, 3)
    bias = None if convolution.bias is None else convolution.bias.repeat(2)
    # With a padding of one pair, the outputs begin one voxel before the image and end one voxel after it.
    longer = F.conv3d(pairs, paired_weight(convolution.weight), bias, padding=1)
    return longer.permute(0, 2, 3, 4, 1).reshape(b, d, h, w + 2, convolution.out_channels)[:, :, :, 1:-1]


def paired_weight(weight: Tensor) -> Tensor:
    """Returns the weights between pairs of voxels, (2 O, 2 C, 3, 3, 2), of those between voxels, (O, C, 3, 3, 3).

    The channels of a pair are those of its first voxel, then those of its second.
    """
    o, c, d, h, _ = weight.shape
    # The first output of a pair sees the first three of four inputs, the second output the last three.
    four = torch.stack([F.pad(weight, (0, 1)), F.pad(weight, (1, 0))])
    return four.view(2, o, c, d, h, 2, 2).permute(0, 1, 6, 2, 3, 4, 5).reshape(2 * o, 2 * c, d, h, 2)
