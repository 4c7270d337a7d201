"""Applies a 2D network to every slice of a volume."""

from __future__ import annotations

from torch import Tensor, nn


class Slicewise(nn.Module):
    """Passes the slices of a volume to a 2D network as a batch, and stacks the results.

    Args:
        network: maps (B, C, H, W) to (B, C', H, W).
        slice_axis: spatial axis (0, 1 or 2) that runs across slices; in a RAS+ array the last one, for axial slices.
    """

    def __init__(self, network: nn.Module, *, slice_axis: int = 2) -> None:
        super().__init__()
        self.network, self.slice_axis = network, slice_axis

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, D, H, W) to (B, C', D, H, W)."""
        moved = x.movedim(2 + self.slice_axis, 1)
        result: Tensor = self.network(moved.flatten(0, 1))
        return result.reshape(*moved.shape[:2], *result.shape[1:]).movedim(1, 2 + self.slice_axis)
