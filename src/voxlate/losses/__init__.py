"""Losses, one per file.

`LOSSES` are functions of (synthetic, target, mask) that return a scalar and 0 for an empty mask. Those that need more
have tables, and contracts, of their own: `SOURCE_LOSSES` also look at the source; `FEATURE_LOSSES` make a loss of the
first kind out of a frozen network; `ADVERSARIAL` are functions of logits and labels.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from voxlate.losses.adversarial import AdversarialLoss, log_gan, lsgan
from voxlate.losses.bce import bce
from voxlate.losses.charbonnier import charbonnier
from voxlate.losses.contextual import contextual
from voxlate.losses.gradient import gradient
from voxlate.losses.l1 import l1
from voxlate.losses.local import local_as_published, local_to_enhancement
from voxlate.losses.ms_ssim import ms_ssim, ms_ssim_slices
from voxlate.losses.mse import mse
from voxlate.losses.perceptual import perceptual, segmentation
from voxlate.losses.ssim import negative_log_ssim, ssim, ssim_slices

__all__ = ["ADVERSARIAL", "FEATURE_LOSSES", "LOSSES", "SOURCE_LOSSES", "Loss", "SourceLoss"]

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
SourceLoss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

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

SOURCE_LOSSES: dict[str, SourceLoss] = {"local": local_to_enhancement, "local_as_published": local_as_published}
"""Functions of (synthetic, target, mask, source) that return a scalar and 0 for an empty mask."""

FEATURE_LOSSES: dict[str, Callable[..., Loss]] = {
    "contextual": contextual,
    "perceptual": perceptual,
    "segmentation": segmentation,
}
"""Functions of a frozen network, and of options, that return a loss of (synthetic, target, mask)."""

ADVERSARIAL: dict[str, AdversarialLoss] = {"log_gan": log_gan, "lsgan": lsgan}
"""Functions of logits (B, 1, ...) and labels (B,) that return a scalar."""
