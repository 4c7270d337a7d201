"""Difference of what a frozen network sees in two images (Johnson et al., ECCV 2016)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from voxlate.losses.features import SLICE_COUNT, FeatureNetwork, as_slices, feature_pairs, nothing_lost
from voxlate.losses.l1 import l1

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def perceptual(network: FeatureNetwork, *, slice_count: int | None = SLICE_COUNT) -> Loss:
    """Returns a loss: the mean absolute difference of features inside the mask, the mean over layers.

    Args:
        network: frozen, as `voxlate.models.features.vgg.VGGFeatures`, or one that was trained on medical images.
        slice_count: slices of each volume to look at; None when the network takes volumes.
    """

    def loss(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        pairs = feature_pairs(network, synthetic, target, mask, slice_count=slice_count)
        terms = [l1(pair.synthetic, pair.target, pair.mask) for pair in pairs]
        return torch.stack(terms).mean() if terms else nothing_lost(synthetic)

    return loss


def segmentation(network: Callable[[Tensor], Tensor], *, slice_count: int | None = None) -> Loss:
    """Returns a loss: the mean squared difference of the class probabilities that a frozen segmentation gives.

    The synthetic image is to be segmented as the real one is. The mean is over the voxels of the mask and over
    classes; 0 for an empty mask.

    Args:
        network: frozen; maps (B, C, ...) to logits (B, classes, ...).
        slice_count: slices of each volume to segment; None when the network takes volumes.
    """

    def loss(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        if slice_count is not None:
            synthetic, target, mask = as_slices(synthetic, target, mask, count=slice_count)
        with torch.autocast(device_type=synthetic.device.type, enabled=False):
            with torch.no_grad():
                wanted = F.softmax(network(target.float()), dim=1)
            found = F.softmax(network(synthetic.float()), dim=1)
            weight = mask.float().expand_as(wanted)
            return ((found - wanted).square() * weight).sum() / weight.sum().clamp(min=1)

    return loss
