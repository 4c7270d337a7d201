"""Layers that scale and shift the channels of a network by the contrast that its result shall have.

Feature-wise linear modulation (FiLM; Perez et al., AAAI 2018): a small network maps a few numbers to a factor and a
constant for each channel.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_HIDDEN = 64
"""Units of each hidden layer, several times the number of inputs. Chosen by hand; not tuned."""

_SPREAD = 0.2
"""Quantiles of T1-weighted brains over their median lie between 0.2 and 1.6; in fifths, they are of the order of 1."""


class Modulation(nn.Module):
    """Maps the contrasts of source and reference to a scale and a shift of each channel, at first 0.

    Args:
        quantiles: numbers that describe one contrast.
        channels: of each place in the network that is modulated.
    """

    def __init__(self, quantiles: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.first = nn.Linear(2 * quantiles, _HIDDEN)
        self.second = nn.Linear(_HIDDEN, _HIDDEN)
        self.last = nn.Linear(_HIDDEN, 2 * sum(self.channels))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, contrasts: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Returns scale and shift of each place, (B, channels, 1, 1, 1) each.

        Args:
            contrasts: (B, 2, quantiles), quantiles of the brains of source and reference over their medians; zeros
                for a sample without a reference, which is not modulated.
        """
        given = contrasts.flatten(1)
        code = F.silu(self.second(F.silu(self.first((given - 1) / _SPREAD))))
        values = self.last(code) * (given != 0).any(dim=1, keepdim=True)
        scales, shifts = values.view(len(given), 2, -1, 1, 1, 1).unbind(1)
        return list(zip(scales.split(self.channels, 1), shifts.split(self.channels, 1), strict=True))


def modulated(x: Tensor, modulation: tuple[Tensor, Tensor] | None) -> Tensor:
    """Returns x (1 + scale) + shift; x itself without a modulation.

    Args:
        x: (B, C, D, H, W).
        modulation: scale and shift, (B, C, 1, 1, 1) each; None for no change.
    """
    if modulation is None:
        return x
    scale, shift = modulation
    return torch.addcmul(x + shift, x, scale)
