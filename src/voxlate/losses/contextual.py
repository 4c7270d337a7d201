"""Contextual loss: which features occur, not where they are (Mechrez et al., ECCV 2018).

For features x_i of the synthetic and y_j of the real image: cosine distances d_ij after taking away the mean of the y,
each divided by the least one of its row, d_ij / (min_k d_ik + 1e-5); weights w_ij = softmax over j of −d_ij / h; the
loss is −log of the mean over j of the greatest w_ij over i.

Li et al., QIMS 2022, use it alone, on `conv5_4` of VGG-19 with h = 0.5. It says nothing about intensity, so voxlate's
recipes add it to an L1.

Half precision makes 1 − cos negative and the loss NaN: everything here is float32, outside of autocast. Background is
left out: with half of the positions equal, two equal images would lose log 2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from voxlate.errors import UsageError
from voxlate.losses.features import SLICE_COUNT, FeatureNetwork, FeaturePair, feature_pairs, nothing_lost, spread_evenly

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

_LEAST_NORM = 1e-6
_CHUNK = 512


def contextual(
    network: FeatureNetwork,
    *,
    bandwidth: float = 0.5,
    positions: int = 4096,
    spatial_weight: float = 0.0,
    slice_count: int | None = SLICE_COUNT,
) -> Loss:
    """Returns a loss of (synthetic, target, mask): the mean over images and layers; 0 for an empty mask.

    Args:
        network: frozen, as `voxlate.models.features.vgg.VGGFeatures`, or one that was trained on medical images.
        bandwidth: h of the formula; 0.5 in Li et al., 0.1 to 0.2 in Mechrez et al.
        positions: at most so many features of each image, evenly spread over the mask.
        spatial_weight: share of the distance that is the squared distance between places, in units of the image's
            size, instead of the cosine distance (CoBi: Zhang et al., CVPR 2019).
        slice_count: slices of each volume to look at; None when the network takes volumes.

    Raises:
        UsageError: `LOSS_ARGUMENT` for a bandwidth that is not positive.
    """
    if not bandwidth > 0:
        raise UsageError("LOSS_ARGUMENT", f"the bandwidth of the contextual loss is positive, not {bandwidth}")

    def loss(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        terms = []
        for pair in feature_pairs(network, synthetic, target, mask, slice_count=slice_count):
            for item in range(len(pair.target)):
                chosen = _foreground(pair, item, positions)
                if len(chosen):
                    ours, theirs = (x[item].flatten(1)[:, chosen] for x in (pair.synthetic, pair.target))
                    places = _places(pair.target.shape[2:], chosen)
                    terms.append(_dissimilarity(ours, theirs, places, bandwidth, spatial_weight=spatial_weight))
        if not terms:
            return nothing_lost(synthetic)
        return torch.stack(terms).mean()

    return loss


def contextual_dissimilarity(synthetic: Tensor, target: Tensor, bandwidth: float, *, chunk: int = _CHUNK) -> Tensor:
    """Returns the loss of two sets of features, (C, N) and (C, M), without places, `chunk` rows of N at a time."""
    places = synthetic.new_zeros(1, 0)
    return _dissimilarity(synthetic, target, places, bandwidth, spatial_weight=0.0, chunk=chunk)


def _foreground(pair: FeaturePair, item: int, count: int) -> Tensor:
    is_inside = pair.mask[item, 0].flatten() > 0
    is_something = pair.target[item].flatten(1).norm(dim=0) > _LEAST_NORM
    found = torch.nonzero(is_inside & is_something).flatten()
    return found[spread_evenly(len(found), count, device=found.device)]


def _places(size: torch.Size, chosen: Tensor) -> Tensor:
    """Returns where the chosen positions are, (N, axes), each axis from 0 to 1."""
    axes = [torch.linspace(0, 1, n, device=chosen.device) for n in size]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    return grid.flatten(0, -2)[chosen]


def _dissimilarity(
    synthetic: Tensor,
    target: Tensor,
    places: Tensor,
    bandwidth: float,
    *,
    spatial_weight: float,
    chunk: int = _CHUNK,
) -> Tensor:
    mean = target.mean(dim=1, keepdim=True)
    ours, theirs = (F.normalize(x - mean, dim=0, eps=_LEAST_NORM).T for x in (synthetic, target))

    def greatest(rows: Tensor, where: Tensor) -> Tensor:
        distance = 0.5 * (1 - rows @ theirs.T).clamp(min=0)
        if spatial_weight:
            apart = (where[:, None] - places[None]).square().sum(dim=2)
            distance = (1 - spatial_weight) * distance + spatial_weight * apart
        relative = distance / (distance.min(dim=1, keepdim=True).values + 1e-5)
        return F.softmax(-relative / bandwidth, dim=1).max(dim=0).values

    starts = range(0, len(ours), chunk)
    placed = places.expand(len(ours), -1)
    best = [
        checkpoint(greatest, ours[start : start + chunk], placed[start : start + chunk], use_reentrant=False)
        for start in starts
    ]
    return -torch.log(torch.stack(best).amax(dim=0).mean())
