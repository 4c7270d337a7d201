"""Binary cross-entropy of two images inside a mask, each voxel taken as a probability.

    loss = mean over the mask of  −t log s − (1 − t) log(1 − s)  −  (−t log t − (1 − t) log(1 − t))

The entropy of the target is subtracted, so that equal images give 0: a Kullback-Leibler divergence, with the gradient
of the cross-entropy. Range 0 to 27.6 (−log 1e-12).

Deviation from Li et al., QIMS 2022: they print the formula without its minus sign, and standardise targets to about
−2.1 to 2.6, where cross-entropy is not defined. Here both images must lie in [0, 1] inside the mask. Li et al. apply a
sigmoid first; end the network in one with `final_activation="sigmoid"`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from voxlate.errors import UsageError
from voxlate.losses.masked_mean import masked_mean

_MIN_PROBABILITY = 1e-12
"""Lower limit of a probability before its logarithm, so that loss and gradient are finite. Chosen by hand."""


def bce(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean cross-entropy over the voxels of `mask` minus the entropy of the target; 0 for an empty mask.

    Args:
        synthetic: (B, C, D, H, W), in [0, 1] inside the mask.
        target: the same shape and range.
        mask: (B, 1, D, H, W), the weight of each voxel; 0 outside.

    Raises:
        UsageError: `LOSS_DOMAIN` when a voxel inside the mask is outside [0, 1], with its value.
    """
    inside = (mask > 0).expand_as(target)
    _require_probability(target, inside, "target", "scale it to [0, 1] or choose another loss")
    _require_probability(synthetic.detach(), inside, "synthetic image", 'choose final_activation="sigmoid"')
    with torch.autocast(device_type=synthetic.device.type, enabled=False):
        # 0.5 outside the mask keeps the logarithms finite there; the weight of these voxels is zero.
        expected = torch.where(inside, target, 0.5).float()
        predicted = torch.where(inside, synthetic, 0.5).float()
        divergence = _cross_entropy(predicted, expected) - _cross_entropy(expected, expected)
        return masked_mean(divergence, mask.float())


def _cross_entropy(predicted: Tensor, expected: Tensor) -> Tensor:
    """Returns −t log s − (1 − t) log(1 − s), finite at both ends; NaN stays NaN, which the training loop reports."""
    log_probability, log_complement = (torch.log(x.clamp(min=_MIN_PROBABILITY)) for x in (predicted, 1 - predicted))
    return -expected * log_probability - (1 - expected) * log_complement


def _require_probability(image: Tensor, inside: Tensor, name: str, advice: str) -> None:
    values = image[inside]
    if not values.numel():
        return
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        worst = low if low < 0 else high
        raise UsageError("LOSS_DOMAIN", f"bce needs voxels in [0, 1], the {name} has {worst:.4g}; {advice}")
