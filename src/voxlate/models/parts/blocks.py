"""Pieces that several networks are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.errors import UsageError


def require_multiple(x: Tensor, factor: int | tuple[int, ...], *, network: str) -> None:
    """Refuses spatial sizes that a network cannot halve often enough.

    Args:
        x: (B, C, ...).
        factor: what sizes must be multiples of, along every axis or along each.
        network: its name, for the message.

    Raises:
        UsageError: `SIZE`, with the sizes that would work.
    """
    sizes = tuple(x.shape[2:])
    factors = (factor,) * len(sizes) if isinstance(factor, int) else factor
    if all(n % f == 0 for n, f in zip(sizes, factors, strict=True)):
        return
    fitting = tuple(-(-n // f) * f for n, f in zip(sizes, factors, strict=True))
    raise UsageError("SIZE", f"{network} takes sizes that are multiples of {factor}; {sizes} would fit as {fitting}")


def pad_to_multiple(x: Tensor, factor: int) -> Tensor:
    """Repeats the border at the far end of each spatial axis until the size is a multiple of `factor`."""
    pads = [amount for n in reversed(x.shape[2:]) for amount in (0, -n % factor)]
    return F.pad(x, pads, mode="replicate") if any(pads) else x


def space_to_depth(x: Tensor) -> Tensor:
    """Turns each 2 x 2 x 2 cube of voxels into eight channels: (B, C, 2D, 2H, 2W) to (B, 8C, D, H, W)."""
    b, c, d, h, w = x.shape
    x = x.reshape(b, c, d // 2, 2, h // 2, 2, w // 2, 2)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, 8 * c, d // 2, h // 2, w // 2)


def depth_to_space(x: Tensor) -> Tensor:
    """Undoes `space_to_depth`: (B, 8C, D, H, W) to (B, C, 2D, 2H, 2W)."""
    b, c, d, h, w = x.shape
    x = x.reshape(b, c // 8, 2, 2, 2, d, h, w)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // 8, 2 * d, 2 * h, 2 * w)


class ScaledResidual(nn.Module):
    """Adds to its input two convolutions whose sum is scaled by a learned number that starts at zero.

    Without normalisation layers a window and the whole volume give the same answer, and at the start the
    block is the identity (De and Smith, "Batch normalization biases residual blocks towards the identity
    function in deep networks", 2020).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(channels, channels, 3, padding=1)
        self.second = nn.Conv3d(channels, channels, 3, padding=1)
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, channels, D, H, W) to the same shape."""
        inner = F.leaky_relu(self.first(F.leaky_relu(x, 0.1)), 0.1)
        result: Tensor = x + self.scale * self.second(inner)
        return result
