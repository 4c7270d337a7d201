"""Convolutions of one sample by oneDNN: values, gradients, and which kernels are called."""

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from voxlate.models.parts.single_sample import SingleSampleConvolutions

LAYERS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "bias": False},
    {"kernel_size": 2, "stride": 2},
    {"kernel_size": (1, 3, 3), "padding": (0, 2, 2), "dilation": (1, 2, 2)},
    {"kernel_size": 1},
    {"kernel_size": 3, "groups": 2},
]


def values_and_gradients(layer, x):
    x = x.clone().requires_grad_()
    layer.zero_grad()
    y = layer(x)
    (y * torch.linspace(-1, 1, y.numel()).view(y.shape)).sum().backward()
    return [y, x.grad, *(each.grad.clone() for each in layer.parameters())]


def kernels(layer, x):
    with profile(activities=[ProfilerActivity.CPU]) as found:
        layer(x).sum().backward()
    return {event.key for event in found.key_averages()}


@pytest.mark.parametrize("settings", LAYERS, ids=str)
@pytest.mark.parametrize("size", [12, 40])
def test_values_and_gradients_are_those_of_pytorch(settings, size):
    torch.manual_seed(0)
    layer, x = nn.Conv3d(16, 6, **settings), torch.randn(1, 16, size, size, 5)
    expected = values_and_gradients(layer, x)
    with SingleSampleConvolutions():
        found = values_and_gradients(layer, x)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.detach().abs().max()))


def test_small_maps_are_not_unfolded():
    """PyTorch unfolds them by itself: once it does not, this context is no longer needed."""
    layer, x = nn.Conv3d(16, 16, 3, padding=1), torch.randn(1, 16, 24, 24, 24)
    assert "aten::slow_conv3d_forward" in kernels(layer, x)
    with SingleSampleConvolutions():
        assert not {name for name in kernels(layer, x) if "slow_conv3d" in name}


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Conv3d(2, 3, 3), torch.ones(2, 2, 8, 8, 8)),
        (nn.Conv3d(2, 3, 3).double(), torch.ones(1, 2, 8, 8, 8).double()),
        (nn.Conv3d(2, 3, 3, padding="same"), torch.ones(1, 2, 8, 8, 8)),
        (nn.Conv2d(2, 3, 3), torch.ones(1, 2, 8, 8)),
    ],
    ids=["two samples", "double precision", "padding in words", "2D"],
)
def test_other_convolutions_are_left_alone(layer, x):
    expected = layer(x)
    with SingleSampleConvolutions():
        assert torch.equal(layer(x), expected)


def test_mixed_precision_is_left_to_pytorch():
    layer, x = nn.Conv3d(2, 3, 3), torch.ones(1, 2, 8, 8, 8)
    with SingleSampleConvolutions(), torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
