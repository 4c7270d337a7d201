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
from voxlate.losses.features import Loss
from voxlate.losses.gradient import gradient
from voxlate.losses.l1 import charbonnier, l1
from voxlate.losses.mse import mse
from voxlate.losses.perceptual import perceptual, segmentation
from voxlate.losses.ssim import ms_ssim, ms_ssim_slices, negative_log_ssim, ssim, ssim_slices
from voxlate.losses.style import content, style

__all__ = ["ADVERSARIAL", "FEATURE_LOSSES", "LOSSES", "SIMILARITIES", "Loss"]

SIMILARITIES: dict[str, Callable[..., Tensor]] = {
    "ms_ssim": ms_ssim,
    "ms_ssim_slices": ms_ssim_slices,
    "negative_log_ssim": negative_log_ssim,
    "ssim": ssim,
    "ssim_slices": ssim_slices,
}
"""Losses that also take `data_range`, the range of the images."""

LOSSES: dict[str, Loss] = {
    **SIMILARITIES,
    "bce": bce,
    "charbonnier": charbonnier,
    "gradient": gradient,
    "l1": l1,
    "mse": mse,
}

FEATURE_LOSSES: dict[str, Callable[..., Loss]] = {
    "content": content,
    "contextual": contextual,
    "perceptual": perceptual,
    "segmentation": segmentation,
    "style": style,
}
"""Functions of a frozen network and options that return a `Loss`."""

ADVERSARIAL: dict[str, AdversarialLoss] = {"log_gan": log_gan, "lsgan": lsgan}
"""Functions of logits (B, 1, ...) and labels (B,) that return a scalar."""
