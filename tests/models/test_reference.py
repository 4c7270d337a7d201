"""Layers of the translator for the contrast of a reference."""

import pytest
import torch

from voxlate.models import build
from voxlate.models.gain_offset_unet import GainOffsetUNet, takes_reference, with_reference

CONTRASTS = torch.tensor([[[0.4, 1.0, 1.3], [0.2, 1.0, 1.8]]])


def network(seed: int = 0, *, is_trained: bool = True, **arguments: int) -> GainOffsetUNet:
    torch.manual_seed(seed)
    made = GainOffsetUNet(width=4, depth=2, reference=3, **arguments)
    if is_trained:
        generator = torch.Generator().manual_seed(1)
        for parameter in made.parameters():
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return made.eval()


@torch.no_grad()
def test_a_seed_gives_the_other_layers_the_weights_that_it_gives_without_a_reference():
    torch.manual_seed(0)
    plain = build("translator", width=4, depth=2)
    made = network(0, is_trained=False)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, made.state_dict()[name])
    added = set(made.state_dict()) - set(plain.state_dict())
    assert added
    assert all(name.startswith("reference.") for name in added)


@torch.no_grad()
def test_new_layers_change_nothing_and_trained_ones_do():
    x = torch.rand(1, 1, 9, 12, 11)
    for is_trained in (False, True):
        made = network(is_trained=is_trained)
        for parameter in made.head.parameters():
            parameter.data += 0.1
        assert torch.equal(made(x, CONTRASTS), made(x)) is not is_trained


@torch.no_grad()
def test_a_sample_without_a_reference_is_not_changed_by_that_of_another():
    made, x = network(), torch.rand(2, 1, 8, 8, 8)
    both = made(x, torch.cat([CONTRASTS, torch.zeros_like(CONTRASTS)]))
    torch.testing.assert_close(both[:1], made(x[:1], CONTRASTS))
    torch.testing.assert_close(both[1:], made(x[1:]))
    assert not torch.allclose(both[:1], made(x[:1]))


@torch.no_grad()
@pytest.mark.parametrize("depth", [1, 3])
def test_a_fixed_reference_gives_what_it_gives_as_an_argument(depth):
    torch.manual_seed(0)
    made = GainOffsetUNet(width=4, depth=depth, reference=3).eval()
    for parameter in made.parameters():
        parameter.data += 0.05
    fixed, x = with_reference(made, CONTRASTS[0].numpy()), torch.rand(2, 1, 8, 10, 9)
    torch.testing.assert_close(fixed(x), made(x, CONTRASTS.expand(2, -1, -1)))
    assert not fixed.training
    assert fixed.factor == made.factor


def test_another_network_takes_no_reference_and_stays_as_it_is():
    for other in (build("translator", width=4), build("unet", width=4)):
        assert not takes_reference(other)
        assert with_reference(other, CONTRASTS[0].numpy()) is other
    assert takes_reference(network())


def test_every_layer_of_a_reference_gets_a_gradient_in_the_form_for_training():
    made = network().train()
    made(torch.rand(2, 1, 8, 8, 8), CONTRASTS.expand(2, -1, -1)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in made.reference.parameters())
