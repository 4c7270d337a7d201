"""Filters and feature maps of the encoder of a DRUNet, as in Li et al. 2022, Fig. 9, for the report."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxlate.bundle.prepared_case import PreparedCase, all_sources
from voxlate.models.drunet import FACTOR, DRUNet
from voxlate.models.features.imagenet import standardise
from voxlate.models.slicewise import Slicewise

MAPS = 81
"""Channels of the deepest feature map that are kept: as many as Fig. 9 of the paper shows."""


def filter_visualisation(network: nn.Module, case: PreparedCase) -> dict[str, Any] | None:
    """Returns the first filters of a DRUNet and its deepest feature maps; None for other networks.

    Args:
        network: a DRUNet, alone or applied slice by slice, on the CPU; it is set to evaluation mode.
        case: the feature maps are those of its middle slice.

    Returns:
        `filters`, (count, 7, 7), the mean over input channels; `maps`, (up to 81, h, w); `channels`, the number of all
        maps; `case`, the name. The content of `pictures.json`.
    """
    inner = network.network if isinstance(network, Slicewise) else network
    if not isinstance(inner, DRUNet):
        return None
    axis = network.slice_axis if isinstance(network, Slicewise) else 2
    sources = all_sources(case)
    image = sources.movedim(1 + axis, 1)[:, sources.shape[1 + axis] // 2][None]
    image = F.pad(image, (0, -image.shape[-1] % FACTOR, 0, -image.shape[-2] % FACTOR))
    inner.eval()
    with torch.no_grad():
        deepest = inner.encoder(standardise(image) if inner.design.imagenet_input else image)[-1][0, :MAPS]
    return {
        "case": case.name,
        "filters": _rounded(inner.encoder.conv1.weight.detach().mean(dim=1)),
        "maps": _rounded(deepest),
        "channels": int(inner.encoder.widths[-1]),
    }


def _rounded(values: Tensor) -> list[Any]:
    rounded: list[Any] = np.round(values.cpu().numpy().astype(np.float64), 4).tolist()
    return rounded
