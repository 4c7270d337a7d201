"""How images are handed to networks that were trained on photographs."""

from __future__ import annotations

import torch
from torch import Tensor

from voxlate.errors import UsageError

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)


def standardise(x: Tensor) -> Tensor:
    """Returns red, green and blue in units of their deviation over ImageNet, as torchvision's networks take them.

    Args:
        x: (B, 1 or 3, H, W), black 0 and white 1; a single channel is repeated.

    Raises:
        UsageError: `CHANNELS` for any other number of channels.
    """
    mean, deviation = (torch.tensor(v, dtype=x.dtype, device=x.device).view(1, 3, 1, 1) for v in (MEAN, DEVIATION))
    return (_coloured(x) - mean) / deviation


def centre_as_caffe(x: Tensor) -> Tensor:
    """Returns blue, green and red from 0 to 255 minus their mean, as networks from Caffe and Keras take them.

    Arguments and errors as in `standardise`.
    """
    mean = torch.tensor(CAFFE_MEAN, dtype=x.dtype, device=x.device).view(1, 3, 1, 1)
    return 255 * _coloured(x).flip(1) - mean


def _coloured(x: Tensor) -> Tensor:
    if x.dim() != 4 or x.shape[1] not in {1, 3}:
        raise UsageError(
            "CHANNELS", f"a network for photographs takes (B, 1 or 3, H, W), not {tuple(x.shape)}; choose one contrast"
        )
    return x.expand(-1, 3, -1, -1)
