"""Losses, one per file.

`LOSSES` are functions of (synthetic, target, mask) that return a scalar and 0 for an empty mask. Those that need more
have tables, and contracts, of their own: `FEATURE_LOSSES` make a loss of the first kind out of a frozen network;
`ADVERSARIAL` are functions of logits and labels. `voxlate.losses.local` needs a region as well.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from voxlate.losses.adversarial import AdversarialLoss, log_gan, lsgan
from voxlate.losses.bce import bce
from voxlate.losses.contextual import contextual
from voxlate.losses.gradient import gradient
from voxlate.losses.l1 import charbonnier, l1
from voxlate.losses.mse import mse
from voxlate.losses.perceptual import perceptual, segmentation
from voxlate.losses.ssim import ms_ssim, ms_ssim_slices, negative_log_ssim, ssim, ssim_slices

__all__ = ["ADVERSARIAL", "FEATURE_LOSSES", "LOSSES", "Loss"]

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

LOSSES: dict[str, Loss] = {
    "bce": bce,
    "charbonnier": charbonnier,
    "gradient": gradient,
    "l1": l1,
    "ms_ssim": ms_ssim,
    "ms_ssim_slices": ms_ssim_slices,
    "mse": mse,
    "negative_log_ssim": negative_log_ssim,
    "ssim": ssim,
    "ssim_slices": ssim_slices,
}

FEATURE_LOSSES: dict[str, Callable[..., Loss]] = {
    "contextual": contextual,
    "perceptual": perceptual,
    "segmentation": segmentation,
}
"""Functions of a frozen network, and of options, that return a loss of (synthetic, target, mask)."""

ADVERSARIAL: dict[str, AdversarialLoss] = {"log_gan": log_gan, "lsgan": lsgan}
"""Functions of logits (B, 1, ...) and labels (B,) that return a scalar."""
