"""Intensity normalisation for networks that were trained on ImageNet."""

from __future__ import annotations

import torch
from torch import Tensor

from voxlate.errors import UsageError

MEAN = (0.485, 0.456, 0.406)
"""Mean of red, green and blue over ImageNet, as in torchvision."""
DEVIATION = (0.229, 0.224, 0.225)
"""Standard deviation of red, green and blue over ImageNet, as in torchvision."""
CAFFE_MEAN = (103.939, 116.779, 123.68)
"""Mean of blue, green and red over ImageNet on the scale from 0 to 255, as in Keras."""


def standardise(x: Tensor) -> Tensor:
    """Returns RGB channels minus ImageNet's mean, divided by its standard deviation, as torchvision does.

    Args:
        x: (B, 1 or 3, H, W), black 0 and white 1; a single channel is repeated.

    Returns:
        (B, 3, H, W).

    Raises:
        UsageError: `CHANNELS` for any other number of channels.
    """
    mean, deviation = (torch.tensor(v, dtype=x.dtype, device=x.device).view(1, 3, 1, 1) for v in (MEAN, DEVIATION))
    return (_to_three_channels(x) - mean) / deviation


def centre_as_caffe(x: Tensor) -> Tensor:
    """Returns BGR channels from 0 to 255 minus their mean, (B, 3, H, W), as Caffe and Keras do.

    Arguments and errors as in `standardise`.
    """
    mean = torch.tensor(CAFFE_MEAN, dtype=x.dtype, device=x.device).view(1, 3, 1, 1)
    return 255 * _to_three_channels(x).flip(1) - mean


def _to_three_channels(x: Tensor) -> Tensor:
    if x.dim() != 4 or x.shape[1] not in {1, 3}:
        raise UsageError(
            "CHANNELS",
            f"an ImageNet network takes (B, 1 or 3, H, W), not {tuple(x.shape)}; choose one contrast",
        )
    return x.expand(-1, 3, -1, -1)
