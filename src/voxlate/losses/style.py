"""Style and content losses: squared differences of features of a frozen network (MedGAN: Armanious et al. 2020).

    style   = mean over layers of |G(synthetic) − G(target)|^2 / (4 C^2),   G = F F^T / (C N)        from 0
    content = mean over layers of the mean over the mask of |f(synthetic) − f(target)|^2             from 0

with F the features of N positions in C channels, zero outside the mask, and G their Gram matrix (Gatys et al., CVPR
2016). The style loss compares which features occur together and not where. MedGAN takes them from VGG-19 and weights
both by 0.0001. An empty mask gives 0 with a gradient of 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from voxlate.losses.features import SLICE_COUNT, FeatureNetwork, Loss, feature_pairs, zero_loss
from voxlate.losses.mse import mse


def style(network: FeatureNetwork, *, slice_count: int | None = SLICE_COUNT) -> Loss:
    """Returns a loss of (synthetic, target, mask): the squared difference of Gram matrices, the mean over images.

    Args:
        network: a frozen feature network, such as `voxlate.models.features.vgg.VGGFeatures`.
        slice_count: number of slices per volume that are compared; None for a network that takes volumes.
    """

    def loss(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        terms = []
        for pair in feature_pairs(network, synthetic, target, mask, slice_count=slice_count):
            difference = gram(pair.synthetic, pair.mask) - gram(pair.target, pair.mask)
            terms.append(difference.square().sum(dim=(1, 2)).mean() / (4 * pair.target.shape[1] ** 2))
        return torch.stack(terms).mean() if terms else zero_loss(synthetic)

    return loss


def content(network: FeatureNetwork, *, slice_count: int | None = SLICE_COUNT) -> Loss:
    """Returns a loss of (synthetic, target, mask): the mean squared difference of features; arguments as in `style`."""

    def loss(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        pairs = feature_pairs(network, synthetic, target, mask, slice_count=slice_count)
        terms = [mse(pair.synthetic, pair.target, pair.mask) for pair in pairs]
        return torch.stack(terms).mean() if terms else zero_loss(synthetic)

    return loss


def gram(features: Tensor, mask: Tensor) -> Tensor:
    """Returns the Gram matrices of feature maps, (B, C, C), over the positions inside a mask.

    Args:
        features: (B, C, ...).
        mask: (B, 1, ...), 1 inside and 0 outside; an empty one gives zeros.
    """
    inside = (features * mask).flatten(2)
    positions = mask.flatten(1).sum(dim=1).clamp(min=1)
    return inside @ inside.transpose(1, 2) / (features.shape[1] * positions[:, None, None])
