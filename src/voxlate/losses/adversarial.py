"""Adversarial losses (least squares, logarithmic) and label schemes, as functions of the discriminator's logits.

Discriminator loss: 0.5 * (loss(real logits, real labels) + loss(synthetic logits, synthetic labels)). Generator loss:
loss(synthetic logits, real labels). Both are 0 or larger.

Lee et al. 2020 use logarithms. Bottani et al. 2024 print logarithms but their code uses least squares, with labels that
are inverted and soft: uniform in [0, 0.3] for real images and in [0.7, 1] for synthetic ones (`Labels.inverted`). The
default labels are 1 and 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

AdversarialLoss = Callable[[Tensor, Tensor], Tensor]
"""Function of logits (B, 1, ...) and labels (B,) that returns a scalar."""


@dataclass(frozen=True)
class Labels:
    """The labels of real and of synthetic images, one for each item of a batch.

    Attributes:
        real: (B,), labels of real images.
        synthetic: (B,), labels of synthetic images.
    """

    real: Tensor
    synthetic: Tensor

    @classmethod
    def standard(cls, count: int) -> Labels:
        """Returns labels of 1 for real images and 0 for synthetic ones, (count,) each."""
        return cls(torch.ones(count), torch.zeros(count))

    @classmethod
    def inverted(cls, count: int, *, generator: torch.Generator | None = None) -> Labels:
        """Returns real labels uniform in [0, 0.3] and synthetic ones uniform in [0.7, 1], one draw for each item.

        As published, draw once per iteration and use the same labels for discriminator, generator and all patches.

        Args:
            count: number of items.
            generator: source of random numbers; None for torch's default.
        """
        draws = torch.rand(2, count, generator=generator)
        return cls(0.3 * draws[0], 0.7 + 0.3 * draws[1])

    @classmethod
    def one_sided(cls, count: int, *, generator: torch.Generator | None = None) -> Labels:
        """Returns real labels uniform in [0.7, 1], one draw for each item, and synthetic labels of 0.

        One-sided label smoothing (Salimans et al., NeurIPS 2016): smoothing both sides leaves a loss that no output
        removes.

        Args:
            count: number of items.
            generator: source of random numbers; None for torch's default.
        """
        return cls(0.7 + 0.3 * torch.rand(count, generator=generator), torch.zeros(count))

    def for_patches(self, patches: int) -> Labels:
        """Returns the labels of a batch in which each item was cut into `patches` consecutive patches."""
        return Labels(self.real.repeat_interleave(patches), self.synthetic.repeat_interleave(patches))


def lsgan(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the mean of (logit − label)^2, from 0 (least squares GAN: Mao et al., ICCV 2017).

    Args:
        logits: (B, 1, ...).
        labels: (B,).
    """
    return (logits.float() - _expand_labels(labels, logits)).square().mean()


def log_gan(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the mean binary cross-entropy of sigmoid(logit) and label, from 0.

    For a generator with the labels of real images this is the non-saturating loss (Goodfellow et al., NeurIPS 2014).

    Args:
        logits: (B, 1, ...).
        labels: (B,), in [0, 1].
    """
    return F.binary_cross_entropy_with_logits(logits.float(), _expand_labels(labels, logits))


def discriminator_objective(loss: AdversarialLoss, real: Tensor, synthetic: Tensor, labels: Labels) -> Tensor:
    """Returns the discriminator loss: half of the sum over real and synthetic images.

    Args:
        loss: `lsgan` or `log_gan`.
        real: logits of real images, (B, 1, ...).
        synthetic: logits of synthetic images, (B, 1, ...); detach the images first, so that no gradient reaches the
            generator.
        labels: one for each item.
    """
    return 0.5 * (loss(real, labels.real) + loss(synthetic, labels.synthetic))


def generator_objective(loss: AdversarialLoss, synthetic: Tensor, labels: Labels) -> Tensor:
    """Returns the generator loss: `loss` of the logits of synthetic images with the labels of real ones.

    Args:
        loss: `lsgan` or `log_gan`.
        synthetic: logits of synthetic images, (B, 1, ...).
        labels: one for each item.
    """
    return loss(synthetic, labels.real)


def _expand_labels(labels: Tensor, logits: Tensor) -> Tensor:
    shaped = labels.to(logits.device, torch.float32).reshape(-1, *[1] * (logits.dim() - 1))
    return shaped.expand(logits.shape)
