"""Sliding-window inference: window positions, blending weights, and the blended prediction of a whole volume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from voxlate.errors import UsageError
from voxlate.volume import Shape


def window_starts(size: int, window: int, overlap: float) -> list[int]:
    """Returns the start indices of evenly spaced windows that cover an axis.

    Args:
        size: length of the axis, in voxels.
        window: length of a window, in voxels.
        overlap: smallest fraction of a window that its neighbour covers too, in [0, 1).

    Raises:
        UsageError: `OVERLAP` outside [0, 1), `WINDOW` below 1.
    """
    if not 0 <= overlap < 1:
        raise UsageError("OVERLAP", f"the overlap of windows is {overlap}; give a fraction from 0 to below 1")
    if window < 1:
        raise UsageError("WINDOW", f"the window has {window} voxels; give at least 1")
    if size <= window:
        return [0]
    step = max(1, int(window * (1 - overlap)))
    count = -(-(size - window) // step) + 1
    return [round(index * (size - window) / (count - 1)) for index in range(count)]


def blend_weights(window: Shape) -> Tensor:
    """Returns blending weights, shape `window`: a squared sine along each axis, highest at the centre.

    The weights are positive everywhere (1e-3 is added along each axis), so that a voxel covered by a single window is
    never divided by zero.
    """
    axes = []
    for size in window:
        position = (torch.arange(size, dtype=torch.float32) + 0.5) / size
        axes.append(torch.sin(torch.pi * position).square() + 1e-3)
    return axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None, :]


def translate_windows(
    network: Callable[[Tensor], Tensor], x: Tensor, *, window: Shape | None, overlap: float = 0.5
) -> Tensor:
    """Applies a network to a volume in overlapping windows and blends the predictions.

    Each voxel is the weighted mean of the windows that contain it: the sum of weighted predictions divided by the sum
    of the weights that were added. A constant prediction therefore stays constant up to the corners. A volume smaller
    than the window is padded with zeros, and the padding is cropped again.

    Args:
        network: maps (1, C, d, h, w) to (1, C', d, h, w).
        x: (1, C, D, H, W).
        window: (d, h, w) of a window; None applies the network to the whole volume at once.
        overlap: smallest fraction of a window that its neighbour covers too.

    Returns:
        (1, C', D, H, W), float32.

    Raises:
        UsageError: `OVERLAP`, `WINDOW`.
    """
    if window is None:
        return network(x)
    size = x.shape[2:]
    x = F.pad(x, [amount for n, w in zip(size[::-1], window[::-1], strict=True) for amount in (0, max(0, w - n))])
    weights = blend_weights(window).to(x.device)
    total = torch.zeros(x.shape[2:], device=x.device)
    blended: Tensor | None = None
    for box in _boxes(x, window, overlap):
        part = network(x[(..., *box)]).float()
        if blended is None:
            blended = torch.zeros((1, part.shape[1], *x.shape[2:]), device=x.device)
        blended[(..., *box)] += part * weights
        total[box] += weights
    if blended is None:
        raise UsageError("WINDOW", "the volume has no voxel")
    blended /= total
    return blended[:, :, : size[0], : size[1], : size[2]]


def _boxes(x: Tensor, window: Shape, overlap: float) -> Iterator[tuple[slice, slice, slice]]:
    starts = [window_starts(n, w, overlap) for n, w in zip(x.shape[2:], window, strict=True)]
    for i, j, k in product(*starts):
        yield slice(i, i + window[0]), slice(j, j + window[1]), slice(k, k + window[2])
