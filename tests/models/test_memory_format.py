"""Gradients in torch 2.13 on the CPU with channels_last, instance normalisation and a batch of one, which are wrong.

The forward pass is exact, and so is a batch of two; only the gradient is wrong. Networks for slices are therefore
trained in the contiguous format, and this test shows when the library is fixed.
"""

import pytest
import torch

from voxlate.models import build

SLICE_NETWORKS = {
    "resnet_generator": {"width": 8, "blocks": 1},
    "unet": {"width": 4, "depth": 1, "dimensions": 2},
    "patch_discriminator": {"width": 4, "form": "patchgan_70", "dimensions": 2, "in_channels": 1},
}


def gradient(name: str, dtype: torch.dtype, memory_format: torch.memory_format) -> torch.Tensor:
    torch.manual_seed(0)
    model = build(name, **SLICE_NETWORKS[name])
    x = torch.rand(1, 1, 32, 32).to(dtype).contiguous(memory_format=memory_format)
    model = model.to(dtype).to(memory_format=memory_format)
    model(x).square().mean().backward()
    return torch.cat([p.grad.double().flatten() for n, p in model.named_parameters() if n.endswith("weight")])


def relative_error(found: torch.Tensor, true: torch.Tensor) -> float:
    return float((found - true).norm() / true.norm())


@pytest.mark.parametrize("name", sorted(SLICE_NETWORKS))
def test_contiguous_gradients_of_one_slice_are_those_of_double_precision(name):
    true = gradient(name, torch.float64, torch.contiguous_format)
    assert relative_error(gradient(name, torch.float32, torch.contiguous_format), true) < 1e-4


@pytest.mark.skipif(not torch.__version__.startswith("2.13"), reason="seen in torch 2.13")
def test_channels_last_gradients_of_one_slice_are_wrong():
    true = gradient("resnet_generator", torch.float32, torch.contiguous_format)
    assert relative_error(gradient("resnet_generator", torch.float32, torch.channels_last), true) > 0.1
