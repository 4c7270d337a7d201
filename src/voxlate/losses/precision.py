"""Some sums must not be taken in half precision."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(x: Tensor) -> torch.autocast:
    """Returns a context in which operations on the device of `x` keep the precision of their arguments."""
    return torch.autocast(device_type=x.device.type, enabled=False)
