"""Binary cross-entropy of two images inside a mask, each voxel a probability.

Li et al., QIMS 2022, print the formula without its minus sign and standardise targets to about −2.1 to 2.6, where
cross-entropy means nothing; here both images must lie in [0, 1] inside the mask. They apply a sigmoid first: let the
network end in one (`final_activation="sigmoid"`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from voxlate.errors import UsageError

_SMALLEST = 1e-12


def bce(synthetic: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean cross-entropy over the voxels of `mask` minus that of the target with itself.

    The difference, a Kullback-Leibler divergence, is 0 for equal images and has the gradient of the cross-entropy.
    0 for an empty mask. Shapes as in `voxlate.losses.l1`.

    Raises:
        UsageError: `LOSS_DOMAIN` when a voxel inside the mask is outside [0, 1], with the value.
    """
    inside = (mask > 0).expand_as(target)
    _require_probability(target, inside, "target", "prepare it to [0, 1] or choose another loss")
    _require_probability(synthetic.detach(), inside, "synthetic image", 'let the network end in "sigmoid"')
    with torch.autocast(device_type=synthetic.device.type, enabled=False):
        wanted = torch.where(inside, target, 0.5).float()
        given = torch.where(inside, synthetic, 0.5).float()
        divergence = _cross_entropy(given, wanted) - _cross_entropy(wanted, wanted)
        weight = mask.expand_as(target).float()
        return (divergence * weight).sum() / weight.sum().clamp(min=1)


def _cross_entropy(given: Tensor, wanted: Tensor) -> Tensor:
    """Returns −t log s − (1 − t) log(1 − s), finite at both ends; a NaN stays one, for the training loop to find."""
    log_inside, log_outside = (torch.log(x.clamp(min=_SMALLEST)) for x in (given, 1 - given))
    return -wanted * log_inside - (1 - wanted) * log_outside


def _require_probability(image: Tensor, inside: Tensor, name: str, advice: str) -> None:
    values = image[inside]
    if not values.numel():
        return
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        worst = low if low < 0 else high
        raise UsageError("LOSS_DOMAIN", f"bce needs voxels in [0, 1], the {name} has {worst:.4g}; {advice}")
