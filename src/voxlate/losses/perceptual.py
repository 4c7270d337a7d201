"""Perceptual and segmentation losses: differences of two images in the output of a frozen network.

    perceptual   = mean over layers of the mean over the mask of |f(synthetic) − f(target)|          from 0
    segmentation = mean over the mask and classes of (p(synthetic) − p(target))^2                    0 to 1

with f a feature map and p a class probability. Deviation from Johnson et al., ECCV 2016: absolute differences of
features instead of squared ones, and only inside the mask. An empty mask gives 0 with a gradient of 0.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from voxlate.losses.features import SLICE_COUNT, FeatureNetwork, Loss, as_slices, feature_pairs, zero_loss
from voxlate.losses.l1 import l1
from voxlate.losses.mse import mse


def perceptual(network: FeatureNetwork, *, slice_count: int | None = SLICE_COUNT) -> Loss:
    """Returns a loss of (synthetic, target, mask): the mean absolute difference of features inside the mask.

    Args:
        network: a frozen feature network, such as `voxlate.models.features.vgg.VGGFeatures`, or one trained on medical
            images.
        slice_count: number of slices per volume that are compared; None for a network that takes volumes.
    """

    def loss(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        pairs = feature_pairs(network, synthetic, target, mask, slice_count=slice_count)
        terms = [l1(pair.synthetic, pair.target, pair.mask) for pair in pairs]
        return torch.stack(terms).mean() if terms else zero_loss(synthetic)

    return loss


def segmentation(network: Callable[[Tensor], Tensor], *, slice_count: int | None = None) -> Loss:
    """Returns a loss of (synthetic, target, mask): the mean squared difference of class probabilities.

    It asks that a segmentation of the synthetic image equals that of the real one.

    Args:
        network: a frozen segmentation network; maps (B, C, ...) to logits (B, classes, ...).
        slice_count: number of slices per volume that are segmented; None for a network that takes volumes.
    """

    def loss(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        if slice_count is not None:
            synthetic, target, mask = as_slices(synthetic, target, mask, count=slice_count)
        with torch.autocast(device_type=synthetic.device.type, enabled=False):
            with torch.no_grad():
                target_classes = F.softmax(network(target.float()), dim=1)
            synthetic_classes = F.softmax(network(synthetic.float()), dim=1)
            return mse(synthetic_classes, target_classes, mask.float())

    return loss
