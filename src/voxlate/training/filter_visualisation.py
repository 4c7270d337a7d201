"""What the encoder of a DRUNet looks for and sees, as Li et al. 2022 show it (their Fig. 9), for the report."""

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
"""As many of the deepest tensor's channels as the paper shows."""


def filter_visualisation(network: nn.Module, case: PreparedCase) -> dict[str, Any] | None:
    """Returns the first filters of a DRUNet and what its deepest layer sees in a slice; None for other networks.

    `filters` are (count, 7, 7), the mean over channels; `maps` are (up to 81, h, w), of a case's middle axial slice.
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
        seen = inner.encoder(standardise(image) if inner.design.imagenet_input else image)[-1][0, :MAPS]
    return {
        "case": case.name,
        "filters": _rounded(inner.encoder.conv1.weight.detach().mean(dim=1)),
        "maps": _rounded(seen),
        "channels": int(inner.encoder.widths[-1]),
    }


def _rounded(values: Tensor) -> list[Any]:
    rounded: list[Any] = np.round(values.cpu().numpy().astype(np.float64), 4).tolist()
    return rounded
