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

LAST_MAPS, LAST_PX = 16, 64
"""Channels before the last layer, and the longest side of these maps and of the output: half a megabyte of JSON."""


def filter_visualisation(network: nn.Module, case: PreparedCase) -> dict[str, Any] | None:
    """Returns the first filters of a DRUNet and its deepest feature maps; None for other networks.

    Args:
        network: a DRUNet, alone or applied slice by slice, on the CPU; it is set to evaluation mode.
        case: the feature maps are those of its middle slice.

    Returns:
        `filters`, (count, 7, 7), the mean over input channels; `maps`, (up to 81, h, w); `channels`, the number of all
        maps; `penultimate`, (up to 16, h, w), what the last layer receives, and `output`, (channels, h, w), both
        averaged to at most 64 pixels; `case`, the name. The content of `pictures.json`.
    """
    inner = network.network if isinstance(network, Slicewise) else network
    if not isinstance(inner, DRUNet):
        return None
    axis = network.slice_axis if isinstance(network, Slicewise) else 2
    sources = all_sources(case)
    image = sources.movedim(1 + axis, 1)[:, sources.shape[1 + axis] // 2][None]
    wide = max(image.shape[-1], 2 * FACTOR)  # the network refuses images with a single voxel at its lowest level
    image = F.pad(image, (0, wide - image.shape[-1] + -wide % FACTOR, 0, -image.shape[-2] % FACTOR))
    inner.eval()
    received: list[Tensor] = []
    with torch.no_grad(), inner.head.register_forward_pre_hook(lambda _, given: received.append(given[0])):
        deepest = inner.encoder(standardise(image) if inner.design.imagenet_input else image)[-1][0, :MAPS]
        output = inner(image)
    return {
        "case": case.name,
        "filters": _rounded(inner.encoder.conv1.weight.detach().mean(dim=1)),
        "maps": _rounded(deepest),
        "channels": int(inner.encoder.widths[-1]),
        "penultimate": _rounded(_small(received[0][0, :LAST_MAPS])),
        "output": _rounded(_small(output[0])),
    }


def _small(maps: Tensor) -> Tensor:
    """Returns maps (channels, h, w) averaged to at most `LAST_PX` along their longer side."""
    factor = -(-max(maps.shape[-2:]) // LAST_PX)
    return F.avg_pool2d(maps, factor, ceil_mode=True, count_include_pad=False) if factor > 1 else maps


def _rounded(values: Tensor) -> list[Any]:
    rounded: list[Any] = np.round(values.cpu().numpy().astype(np.float64), 4).tolist()
    return rounded
