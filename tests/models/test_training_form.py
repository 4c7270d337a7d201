"""The translator computes its training on a processor in another way than its inference, with the same results."""

import pytest
import torch
from torch import nn

from voxlate.models import build
from voxlate.models.parts.blocks import ScaledResidual
from voxlate.models.parts.paired import paired_convolution, paired_weight

FORMS = [
    ({"width": 8, "depth": 2}, (2, 1, 8, 12, 16)),
    ({"width": 4, "depth": 1, "in_channels": 3, "out_channels": 2}, (1, 3, 6, 4, 10)),
    ({"width": 24, "depth": 3, "blocks": 1}, (1, 1, 9, 17, 13)),
]


def translator(arguments: dict[str, int]) -> nn.Module:
    torch.manual_seed(0)
    network = build("translator", **arguments)
    for weight in network.parameters():  # scales and head are zero at first, and would hide the rest
        weight.data += 0.1 * torch.randn_like(weight)
    return network


def learned(network: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the output, and the gradients of all weights in one vector."""
    network.zero_grad()
    output = network(x)
    (output * torch.sin(torch.arange(output.numel()).reshape(output.shape))).sum().backward()
    return output.detach(), torch.cat([weight.grad.flatten() for weight in network.parameters()])


@pytest.mark.parametrize(("arguments", "shape"), FORMS)
def test_training_and_inference_give_the_same_output_and_gradients(arguments, shape):
    network, x = translator(arguments).double(), torch.rand(shape, dtype=torch.float64)
    output, gradients = learned(network.eval(), x)
    in_training, in_training_gradients = learned(network.train(), x)
    assert torch.allclose(in_training, output, rtol=0, atol=1e-12)
    assert torch.allclose(in_training_gradients, gradients, rtol=1e-10, atol=1e-12 * gradients.abs().max())


@pytest.mark.parametrize(("arguments", "shape"), FORMS)
def test_single_precision_differs_from_double_precision_by_rounding_alone(arguments, shape):
    network, x = translator(arguments), torch.rand(shape)
    output, gradients = learned(network, x)
    true, true_gradients = learned(network.double(), x.double())
    assert torch.allclose(output.double(), true, rtol=0, atol=1e-5 * true.abs().max())
    assert float((gradients.double() - true_gradients).norm() / true_gradients.norm()) < 1e-4


def test_mixed_precision_costs_training_no_more_digits_than_inference():
    network, x = translator({"width": 8, "depth": 1}), torch.rand(2, 1, 16, 16, 16)
    true, true_gradients = learned(network, x)
    errors = []
    for mode in (True, False):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed, gradients = learned(network.train(mode), x)
        assert torch.allclose(mixed, true, rtol=0, atol=0.02 * true.abs().max())
        errors.append(float((gradients - true_gradients).norm()))
    assert errors[0] < 1.3 * errors[1] < 0.2 * true_gradients.norm()


def test_a_paired_convolution_is_a_convolution():
    torch.manual_seed(0)
    convolution, x = nn.Conv3d(3, 5, 3, padding=1).double(), torch.rand(2, 3, 4, 5, 6, dtype=torch.float64)
    paired = paired_convolution(x.permute(0, 2, 3, 4, 1), convolution).permute(0, 4, 1, 2, 3)
    assert torch.allclose(paired, convolution(x), rtol=0, atol=1e-12)


def test_a_quarter_of_the_weights_between_pairs_is_zero():
    weight = paired_weight(torch.ones(2, 3, 3, 3, 3))
    assert weight.shape == (4, 6, 3, 3, 2)
    assert weight.mean() == 0.75


def test_a_scaled_residual_learns_its_scale_though_the_scale_is_folded_into_weights():
    block, x = ScaledResidual(4).double(), torch.rand(1, 4, 6, 6, 6, dtype=torch.float64)
    assert x[0].numel() > block.second.weight.numel()  # as at the upper levels, where folding is worth it
    gradients = []
    for mode in (True, False):
        block.train(mode).zero_grad()
        block(x).square().sum().backward()
        gradients.append(block.scale.grad.item())
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-10)
    assert gradients[0] != 0
