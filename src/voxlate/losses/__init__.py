"""Loss functions.

`LOSSES` are functions of (synthetic, target, mask) that return a scalar, and 0 for an empty mask. Losses that need more
arguments have tables and contract tests of their own: `FEATURE_LOSSES` make a loss of the first kind from a frozen
network; `ADVERSARIAL` are functions of logits and labels. `voxlate.losses.local` also needs a region.

To add a loss, write a function and add a line to a table here; the contract tests in `tests/losses` then run on it.
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
"""Function of synthetic (B, C, D, H, W), target (same shape) and mask (B, 1, D, H, W); returns a scalar."""

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
"""Functions of a frozen network and options that return a `Loss`."""

ADVERSARIAL: dict[str, AdversarialLoss] = {"log_gan": log_gan, "lsgan": lsgan}
"""Functions of logits (B, 1, ...) and labels (B,) that return a scalar."""
