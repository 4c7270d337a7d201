"""Where sliding windows sit and how their answers blend; training and synthesis share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from voxlate.errors import UsageError
from voxlate.volume import Shape


def window_starts(size: int, window: int, overlap: float) -> list[int]:
    """Returns the starts of windows that cover 0 to `size`, evenly spread, neighbours sharing at least `overlap`.

    Raises:
        UsageError: `OVERLAP` outside [0, 1), `WINDOW` below 1.
    """
    if not 0 <= overlap < 1:
        raise UsageError("OVERLAP", f"windows overlap by a share from 0 up to 1, not {overlap}")
    if window < 1:
        raise UsageError("WINDOW", f"a window has at least one voxel, not {window}")
    if size <= window:
        return [0]
    step = max(1, int(window * (1 - overlap)))
    count = -(-(size - window) // step) + 1
    return [round(index * (size - window) / (count - 1)) for index in range(count)]


def blend_weights(window: Shape) -> Tensor:
    """Returns positive weights of shape `window` that fall from the centre to the border (a raised cosine)."""
    axes = []
    for size in window:
        position = (torch.arange(size, dtype=torch.float32) + 0.5) / size
        axes.append(torch.sin(torch.pi * position).square() + 1e-3)
    return axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None, :]


def translate_windows(
    network: Callable[[Tensor], Tensor], x: Tensor, *, window: Shape | None, overlap: float = 0.5
) -> Tensor:
    """Returns the network's answer for a whole volume, blended from windows.

    Each voxel is the weighted mean of the windows that hold it: the sum of weighted answers divided by the sum
    of the weights that were really added, so that a constant answer stays constant to the last corner.

    Args:
        network: maps (1, C, d, h, w) to (1, C', d, h, w).
        x: (1, C, D, H, W).
        window: size of a window; None for the whole volume at once.
        overlap: least share of a window that its neighbour covers too.
    """
    if window is None:
        return network(x)
    size = x.shape[2:]
    x = F.pad(x, [amount for n, w in zip(size[::-1], window[::-1], strict=True) for amount in (0, max(0, w - n))])
    weights = blend_weights(window).to(x.device)
    total = torch.zeros(x.shape[2:], device=x.device)
    answer: Tensor | None = None
    for box in _boxes(x, window, overlap):
        part = network(x[(..., *box)]).float()
        if answer is None:
            answer = torch.zeros((1, part.shape[1], *x.shape[2:]), device=x.device)
        answer[(..., *box)] += part * weights
        total[box] += weights
    if answer is None:
        raise UsageError("WINDOW", "the volume has no voxel")
    answer /= total
    return answer[:, :, : size[0], : size[1], : size[2]]


def _boxes(x: Tensor, window: Shape, overlap: float) -> Iterator[tuple[slice, slice, slice]]:
    starts = [window_starts(n, w, overlap) for n, w in zip(x.shape[2:], window, strict=True)]
    for i, j, k in product(*starts):
        yield slice(i, i + window[0]), slice(j, j + window[1]), slice(k, k + window[2])
