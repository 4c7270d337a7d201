"""Contextual loss: compares which features occur in two images, not where (Mechrez et al., ECCV 2018).

For features x_i of the synthetic and y_j of the real image, after subtraction of the mean of the y:

    d_ij = (1 − cos(x_i, y_j)) / 2                                cosine distance
    r_ij = d_ij / (min_k d_ik + 1e-5)                             relative distance
    w_ij = softmax over j of (−r_ij / h)                          h is the bandwidth
    loss = −log(mean over j of max over i of w_ij)                from 0

Only positions inside the mask count, and of those only where the target has features; otherwise, on images that are
half background, two equal images would have a loss of log 2. An empty mask gives 0 with a gradient of 0.

Li et al., QIMS 2022, use this loss alone, on `conv5_4` of VGG-19 with h = 0.5. It does not constrain intensity, so the
recipes of voxlate add it to an L1 loss. Everything is computed in float32 outside of autocast, because in half
precision 1 − cos can be negative and the loss NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from voxlate.errors import UsageError
from voxlate.losses.features import (
    SLICE_COUNT,
    FeatureNetwork,
    FeaturePair,
    Loss,
    feature_pairs,
    spread_evenly,
    zero_loss,
)

_MIN_NORM = 1e-6
"""Features with a smaller norm count as background. Chosen by hand; not tuned."""
_CHUNK = 512
"""Rows of the distance matrix held at a time: 512 x 4096 float32 take 8 MiB instead of 64 MiB for all rows."""


@dataclass(frozen=True)
class Matching:
    """How N features of a synthetic image are matched to M features of the target.

    Attributes:
        distance: d of the formula, cosine distances, (N, M), 0 to 1.
        relative: r, the distances of each synthetic feature over its least distance, (N, M).
        weight: w, (N, M); each row sums to 1.
    """

    distance: Tensor
    relative: Tensor
    weight: Tensor

    @property
    def loss(self) -> Tensor:
        """Returns the loss, a scalar."""
        return _loss_of(self.weight.amax(dim=0))


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
        network: a frozen feature network, such as `voxlate.models.features.vgg.VGGFeatures`, or one trained on medical
            images.
        bandwidth: h of the formula; 0.5 in Li et al., 0.1 to 0.2 in Mechrez et al.
        positions: largest number of features per image, evenly spread over the mask; 4096 are 64 x 64 positions.
        spatial_weight: weight of the squared distance between positions, in units of the image's size, against the
            cosine distance (CoBi: Zhang et al., CVPR 2019); 0 to 1.
        slice_count: number of slices per volume that are compared; None for a network that takes volumes.

    Raises:
        UsageError: `LOSS_ARGUMENT` for a bandwidth that is not positive.
    """
    if not bandwidth > 0:
        raise UsageError("LOSS_ARGUMENT", f"the bandwidth of the contextual loss must be positive, not {bandwidth}")

    def loss(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        terms = []
        for pair in feature_pairs(network, synthetic, target, mask, slice_count=slice_count):
            for item in range(len(pair.target)):
                chosen = _foreground(pair, item, positions)
                if len(chosen):
                    first, second = (x[item].flatten(1)[:, chosen] for x in (pair.synthetic, pair.target))
                    where = _positions(pair.target.shape[2:], chosen)
                    terms.append(_dissimilarity(first, second, where, bandwidth, spatial_weight=spatial_weight))
        if not terms:
            return zero_loss(synthetic)
        return torch.stack(terms).mean()

    return loss


def contextual_dissimilarity(synthetic: Tensor, target: Tensor, bandwidth: float, *, chunk: int = _CHUNK) -> Tensor:
    """Returns the loss between two sets of features, without positions; `tests/losses` checks the formula with it.

    Args:
        synthetic: (C, N).
        target: (C, M).
        bandwidth: h of the formula.
        chunk: rows of N that are computed at a time.
    """
    no_positions = synthetic.new_zeros(1, 0)
    return _dissimilarity(synthetic, target, no_positions, bandwidth, spatial_weight=0.0, chunk=chunk)


def match_features(synthetic: Tensor, target: Tensor, bandwidth: float) -> Matching:
    """Returns each step of the loss between two sets of features, without positions.

    Args:
        synthetic: (C, N).
        target: (C, M).
        bandwidth: h of the formula.
    """
    x, y = _directions(synthetic, target)
    distance = _cosine_distances(x, y)
    relative = _relative_distances(distance)
    return Matching(distance, relative, _weights(relative, bandwidth))


def _foreground(pair: FeaturePair, item: int, count: int) -> Tensor:
    is_inside = pair.mask[item, 0].flatten() > 0
    has_features = pair.target[item].flatten(1).norm(dim=0) > _MIN_NORM
    indices = torch.nonzero(is_inside & has_features).flatten()
    return indices[spread_evenly(len(indices), count, device=indices.device)]


def _positions(size: torch.Size, chosen: Tensor) -> Tensor:
    """Returns the chosen positions, (N, axes), each coordinate from 0 to 1."""
    axes = [torch.linspace(0, 1, n, device=chosen.device) for n in size]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    return grid.flatten(0, -2)[chosen]


def _dissimilarity(
    synthetic: Tensor,
    target: Tensor,
    positions: Tensor,
    bandwidth: float,
    *,
    spatial_weight: float,
    chunk: int = _CHUNK,
) -> Tensor:
    x, y = _directions(synthetic, target)

    def largest_weights(rows: Tensor, where: Tensor) -> Tensor:
        distance = _cosine_distances(rows, y)
        if spatial_weight:
            squared = (where[:, None] - positions[None]).square().sum(dim=2)
            distance = (1 - spatial_weight) * distance + spatial_weight * squared
        return _weights(_relative_distances(distance), bandwidth).max(dim=0).values

    # Checkpointing recomputes each chunk in the backward pass instead of keeping its distance matrix.
    starts = range(0, len(x), chunk)
    where_all = positions.expand(len(x), -1)
    best = [
        checkpoint(largest_weights, x[start : start + chunk], where_all[start : start + chunk], use_reentrant=False)
        for start in starts
    ]
    return _loss_of(torch.stack(best).amax(dim=0))


def _directions(synthetic: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Returns both sets of features, (N, C) and (M, C), less the mean of the target's, each of length 1."""
    mean = target.mean(dim=1, keepdim=True)
    x, y = (F.normalize(features - mean, dim=0, eps=_MIN_NORM).T for features in (synthetic, target))
    return x, y


def _cosine_distances(x: Tensor, y: Tensor) -> Tensor:
    return 0.5 * (1 - x @ y.T).clamp(min=0)


def _relative_distances(distance: Tensor) -> Tensor:
    return distance / (distance.min(dim=1, keepdim=True).values + 1e-5)


def _weights(relative: Tensor, bandwidth: float) -> Tensor:
    return F.softmax(-relative / bandwidth, dim=1)


def _loss_of(best: Tensor) -> Tensor:
    """Returns the loss from the largest weight of each target feature, (M,)."""
    return -torch.log(best.mean())
