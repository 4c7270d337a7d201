"""A network for slices, applied to every slice of a volume."""

from __future__ import annotations

from torch import Tensor, nn


class Slicewise(nn.Module):
    """Hands slices to a network of two dimensions as if they were a batch, and stacks what it answers.

    Args:
        network: maps (B, C, H, W) to (B, C', H, W).
        slice_axis: spatial axis that runs across slices; the last one of a RAS+ array runs across axial slices.
    """

    def __init__(self, network: nn.Module, *, slice_axis: int = 2) -> None:
        super().__init__()
        self.network, self.slice_axis = network, slice_axis

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, D, H, W) to (B, C', D, H, W)."""
        moved = x.movedim(2 + self.slice_axis, 1)
        answer: Tensor = self.network(moved.flatten(0, 1))
        return answer.reshape(*moved.shape[:2], *answer.shape[1:]).movedim(1, 2 + self.slice_axis)
