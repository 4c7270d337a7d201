"""Contract tests of the adversarial losses, and their closed forms."""

import math

import pytest
import torch

from voxlate.losses import ADVERSARIAL
from voxlate.losses.adversarial import Labels, discriminator_objective, generator_objective, log_gan, lsgan

names = pytest.mark.parametrize("name", sorted(ADVERSARIAL))


@names
def test_a_logit_nearer_to_its_label_loses_less(name):
    labels = torch.tensor([1.0, 0.0])
    losses = [ADVERSARIAL[name](torch.tensor([[s], [1 - s]]), labels).item() for s in (0.9, 0.5, 0.0)]
    assert losses == sorted(losses)


@names
def test_extreme_logits_have_finite_gradients(name):
    logits = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    ADVERSARIAL[name](logits, torch.tensor([0.0, 1.0])).backward()
    assert torch.isfinite(logits.grad).all()


@names
def test_each_item_of_a_map_has_its_own_label(name):
    logits = torch.rand(2, 1, 3, 4)
    labels = torch.tensor([0.2, 0.8])
    apart = [ADVERSARIAL[name](logits[i : i + 1], labels[i : i + 1]).item() for i in range(2)]
    assert ADVERSARIAL[name](logits, labels).item() == pytest.approx(sum(apart) / 2)


def test_least_squares_and_logarithm_have_their_closed_forms():
    assert lsgan(torch.tensor([[3.0]]), torch.tensor([1.0])).item() == 4
    assert log_gan(torch.tensor([[0.0]]), torch.tensor([1.0])).item() == pytest.approx(math.log(2))


def test_published_labels_are_inverted_soft_and_shared_by_the_patches_of_an_item():
    labels = Labels.inverted(500, generator=torch.Generator().manual_seed(0))
    assert 0 <= labels.real.min() < 0.01
    assert 0.29 < labels.real.max() <= 0.3
    assert 0.7 <= labels.synthetic.min() < 0.71
    assert 0.99 < labels.synthetic.max() <= 1
    patches = Labels(torch.tensor([0.1, 0.2]), torch.tensor([0.8, 0.9])).for_patches(3)
    assert patches.real.tolist() == pytest.approx([0.1, 0.1, 0.1, 0.2, 0.2, 0.2])


def test_discriminator_and_generator_want_opposite_things():
    labels = Labels.standard(1)
    real, synthetic = torch.tensor([[1.0]]), torch.tensor([[0.0]])
    assert discriminator_objective(lsgan, real, synthetic, labels).item() == 0
    assert discriminator_objective(lsgan, synthetic, real, labels).item() == 1
    assert generator_objective(lsgan, synthetic, labels).item() == 1
    assert generator_objective(lsgan, real, labels).item() == 0
