"""Objectives of a discriminator and of the network that it judges, as functions of logits and labels.

Bottani et al. 2024 print logarithms but train with least squares, on labels that are inverted and soft: real images
are drawn from 0 to 0.3, synthetic ones from 0.7 to 1: `Labels.inverted`. The default labels are 1 and 0.
Lee et al. 2020 train with logarithms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

AdversarialLoss = Callable[[Tensor, Tensor], Tensor]
"""Of logits (B, 1, ...) and labels (B,), a scalar."""


@dataclass(frozen=True)
class Labels:
    """What a discriminator is to answer for each item of a batch.

    Attributes:
        real: (B,), for real images.
        synthetic: (B,), for synthetic ones.
    """

    real: Tensor
    synthetic: Tensor

    @classmethod
    def standard(cls, count: int) -> Labels:
        """Returns 1 for real images and 0 for synthetic ones."""
        return cls(torch.ones(count), torch.zeros(count))

    @classmethod
    def inverted(cls, count: int, *, generator: torch.Generator | None = None) -> Labels:
        """Returns real labels from 0 to 0.3 and synthetic ones from 0.7 to 1, one draw for each item.

        As published, draw once in an iteration and use the same for the discriminator, the generator and all patches.
        """
        draws = torch.rand(2, count, generator=generator)
        return cls(0.3 * draws[0], 0.7 + 0.3 * draws[1])

    @classmethod
    def one_sided(cls, count: int, *, generator: torch.Generator | None = None) -> Labels:
        """Returns real labels from 0.7 to 1, one draw for each item, and 0 for synthetic ones.

        Smoothing both sides would leave a loss that no answer takes away (Salimans et al., NeurIPS 2016).
        """
        return cls(0.7 + 0.3 * torch.rand(count, generator=generator), torch.zeros(count))

    def for_patches(self, patches: int) -> Labels:
        """Returns the labels of a batch in which each item became so many consecutive patches."""
        return Labels(self.real.repeat_interleave(patches), self.synthetic.repeat_interleave(patches))


def lsgan(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the mean squared difference of logits (B, 1, ...) and labels (B,) (Mao et al., ICCV 2017)."""
    return (logits.float() - _expand_labels(labels, logits)).square().mean()


def log_gan(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the mean binary cross-entropy of logits (B, 1, ...) and labels (B,) from 0 to 1.

    For a generator that is given the label of real images this is the objective that does not saturate (Goodfellow
    et al., 2014).
    """
    return F.binary_cross_entropy_with_logits(logits.float(), _expand_labels(labels, logits))


def discriminator_objective(loss: AdversarialLoss, real: Tensor, synthetic: Tensor, labels: Labels) -> Tensor:
    """Returns half of the sum over both kinds of images, which the discriminator makes small.

    Args:
        loss: `lsgan` or `log_gan`.
        real: logits of real images, (B, 1, ...).
        synthetic: logits of synthetic images, of which no gradient should reach the generator: detach them before.
        labels: one for each item.
    """
    return 0.5 * (loss(real, labels.real) + loss(synthetic, labels.synthetic))


def generator_objective(loss: AdversarialLoss, synthetic: Tensor, labels: Labels) -> Tensor:
    """Returns how far the discriminator is from taking synthetic images for real ones."""
    return loss(synthetic, labels.real)


def _expand_labels(labels: Tensor, logits: Tensor) -> Tensor:
    shaped = labels.to(logits.device, torch.float32).reshape(-1, *[1] * (logits.dim() - 1))
    return shaped.expand(logits.shape)
