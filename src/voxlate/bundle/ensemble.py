"""Ensembles: several bundles whose mean is the result, such as the folds of a cross-validation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from voxlate.bundle.bundle import Bundle, Mapping
from voxlate.errors import UsageError


class Mean(nn.Module):
    """The mean of the outputs of several networks."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, D, H, W) to the mean of the members' outputs, (B, 1, D, H, W)."""
        return torch.stack([member(x) for member in self.members]).mean(dim=0)


def join_bundles(bundles: Sequence[Bundle]) -> Bundle:
    """Returns an ensemble of bundles; a single bundle is returned unchanged.

    The gain is the geometric mean of the members' gains. The range of voxel spacings holds those of all members.

    Args:
        bundles: at least one. Networks may differ; sources, target, preparation and windows may not.

    Raises:
        UsageError: `ENSEMBLE` when sources, target, preparation or windows differ.
    """
    first = bundles[0]
    if len(bundles) == 1:
        return first
    for other in bundles[1:]:
        for part in ("source", "more_sources", "target", "preparation", "inference"):
            if getattr(other.recipe, part) != getattr(first.recipe, part):
                raise UsageError("ENSEMBLE", f"{first.name} and {other.name} differ in {part} and form no ensemble")
    mappings = [bundle.mapping for bundle in bundles]
    mean = Mapping(
        gain=float(np.exp(np.mean([np.log(mapping.gain) for mapping in mappings]))),
        log_sd=float(np.mean([mapping.log_sd for mapping in mappings])),
        n=max(mapping.n for mapping in mappings),
        offset=float(np.mean([mapping.offset for mapping in mappings])),
        median=float(np.mean([mapping.median for mapping in mappings])),
    )
    hashes = tuple(bundle.weights_sha256 for bundle in bundles)
    low, high = zip(*(bundle.spacing_mm for bundle in bundles), strict=True)
    return replace(
        first,
        mapping=mean,
        network=Mean([bundle.network for bundle in bundles]).eval(),
        weights_sha256=hashlib.sha256("".join(hashes).encode()).hexdigest(),
        spacing_mm=(min(low), max(high)),
        parts=tuple(bundles),
        runtimes={},
        calibration=None,
    )
