"""Building blocks of networks: checks of sizes, space-to-depth, convolution of pairs, the scaled residual block."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.errors import UsageError


def require_multiple(x: Tensor, factor: int | tuple[int, ...], *, network: str) -> None:
    """Refuses spatial sizes that a network cannot halve often enough.

    Args:
        x: (B, C, ...).
        factor: number that sizes must be multiples of, for all axes or one per axis.
        network: name of the network, for the message.

    Raises:
        UsageError: `SIZE`, with sizes that would fit.
    """
    sizes = tuple(x.shape[2:])
    factors = (factor,) * len(sizes) if isinstance(factor, int) else factor
    if all(n % f == 0 for n, f in zip(sizes, factors, strict=True)):
        return
    fitting = tuple(-(-n // f) * f for n, f in zip(sizes, factors, strict=True))
    raise UsageError("SIZE", f"{network} takes sizes that are multiples of {factor}, not {sizes}; pad to {fitting}")


def pad_to_multiple(x: Tensor, factor: int) -> Tensor:
    """Repeats the border at the far end of each spatial axis until every size is a multiple of `factor`.

    Args:
        x: (B, C, D, H, W).
        factor: at least 1.
    """
    pads = [amount for n in reversed(x.shape[2:]) for amount in (0, -n % factor)]
    return F.pad(x, pads, mode="replicate") if any(pads) else x


def space_to_depth(x: Tensor) -> Tensor:
    """Moves each cube of 2 x 2 x 2 voxels into eight channels: (B, C, 2D, 2H, 2W) to (B, 8C, D, H, W)."""
    b, c, d, h, w = x.shape
    x = x.reshape(b, c, d // 2, 2, h // 2, 2, w // 2, 2)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, 8 * c, d // 2, h // 2, w // 2)


def depth_to_space(x: Tensor) -> Tensor:
    """Inverts `space_to_depth`: (B, 8C, D, H, W) to (B, C, 2D, 2H, 2W)."""
    b, c, d, h, w = x.shape
    x = x.reshape(b, c // 8, 2, 2, 2, d, h, w)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // 8, 2 * d, 2 * h, 2 * w)


def paired_convolution(x: Tensor, convolution: nn.Conv3d) -> Tensor:
    """Returns a convolution of kernel 3 and padding 1, computed for two voxels at once: faster for few channels.

    A processor computes 16 output channels at a time, so that a convolution to 6 channels leaves 10 of 16 lanes idle.
    With the channels last in memory, the two voxels of a pair along the last axis are one voxel of twice the channels,
    and the view costs nothing. Outputs 2q + 1 and 2q + 2 depend on inputs 2q to 2q + 3, which are the pairs q and
    q + 1, so that a kernel of 3 x 3 x 3 voxels becomes one of 3 x 3 x 2 pairs. Three quarters of its weights and 12 of
    16 lanes are used. Sums are taken in another order than by `torch.nn.Conv3d`; nothing else differs.

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


class ScaledResidual(nn.Module):
    """A residual block without normalisation: input plus a learned scale times two convolutions.

    The scale starts at zero, so that the block is the identity before training (SkipInit: De and Smith, "Batch
    normalization biases residual blocks towards the identity function in deep networks", NeurIPS 2020). Without
    normalisation layers a window and the whole volume give the same output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(channels, channels, 3, padding=1)
        self.second = nn.Conv3d(channels, channels, 3, padding=1)
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, channels, D, H, W) to the same shape."""
        inner = F.leaky_relu_(self.first(F.leaky_relu(x, 0.1)), 0.1)  # in place, as no gradient needs what it replaces
        second = self.second
        if self.training and x.numel() > second.weight.numel():
            # Scaled weights give the same, with no pass over the voxels for the scale and none for its gradient.
            bias = None if second.bias is None else self.scale * second.bias
            return x + F.conv3d(inner, self.scale * second.weight, bias, padding=1)
        result: Tensor = x + self.scale * second(inner)
        return result
