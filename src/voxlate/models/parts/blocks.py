"""Building blocks of several networks: checks of sizes, convolutions, space-to-depth, the scaled residual block."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.errors import UsageError
from voxlate.models.parts.layers import Normalisation, layers_of


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


def normalised_convolution(in_channels: int, out_channels: int, normalisation: Normalisation) -> nn.Sequential:
    """Returns a 3D convolution of 3 voxels, its normalisation, and ReLU."""
    convolution = nn.Conv3d(in_channels, out_channels, 3, padding=1)
    return nn.Sequential(convolution, layers_of(3).normalise(out_channels, normalisation), nn.ReLU())


def two_convolutions(in_channels: int, out_channels: int, normalisation: Normalisation) -> nn.Sequential:
    """Returns two convolutions as `normalised_convolution` makes them, as one sequence of layers."""
    widths = ((in_channels, out_channels), (out_channels, out_channels))
    return nn.Sequential(*[layer for i, o in widths for layer in normalised_convolution(i, o, normalisation)])


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
        if self.training and x[0].numel() > second.weight.numel():  # by window: memory grows evenly
            # Scaled weights give the same, with no pass over the voxels for the scale and none for its gradient.
            bias = None if second.bias is None else self.scale * second.bias
            return x + F.conv3d(inner, self.scale * second.weight, bias, padding=1)
        result: Tensor = x + self.scale * second(inner)
        return result
