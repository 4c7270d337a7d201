"""The printed network of Chen et al. 2023 and the generators that the paper compares with."""

import pytest
import torch
from torch.nn import functional as F

from voxlate.errors import UsageError
from voxlate.models import build

torch.manual_seed(0)


def count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def convolution(i: int, o: int) -> int:
    """Weights and biases of 3 x 3 x 3 voxels, gain and offset of its normalisation."""
    return 27 * i * o + o + 2 * o


def residual(i: int, o: int) -> int:
    return convolution(i, o) + convolution(o, o) + (i * o + o if i != o else 0)


def phi(i: int, o: int) -> int:
    return residual(i, o) + 3 * residual(o, o)


def strided(i: int, o: int) -> int:
    return 27 * i * o + 2 * o


def test_the_printed_network_has_the_parameters_of_its_equations():
    a, b, c = 64, 128, 256
    d4 = strided(a, a) + strided(a, c)
    first = 3 * phi(1, a) + strided(3 * a, b) + phi(3 * a, a) + phi(b, b) + strided(b, c)
    third = phi(a + b, a) + strided(a, b) + phi(2 * b, b) + d4 + phi(2 * c, c)
    fourth = phi(a + b + c, a) + strided(a, b) + phi(2 * b + c, b) + d4 + strided(b, c) + phi(3 * c, c)
    with torch.device("meta"):
        assert count(build("hr_fcn_printed", in_channels=3)) == first + third + fourth + residual(a + b + c, a) + a + 1


def up(x: torch.Tensor, factor: int) -> torch.Tensor:
    return F.interpolate(x, scale_factor=factor, mode="nearest")


def test_the_printed_network_computes_the_equations_of_the_paper():
    model = build("hr_fcn_printed", in_channels=3, width=2).eval()
    third, fourth = model.third, model.fourth
    x = torch.rand(1, 3, 8, 12, 4)
    with torch.no_grad():
        f11 = torch.cat([model.stems[n](x[:, n : n + 1]) for n in range(3)], dim=1)
        f12 = model.to_half(f11)
        f21, f22 = model.second[0](f11), model.second[1](f12)
        f23 = model.to_quarter(f22)
        f31 = third.blocks["0"](torch.cat([f21, up(f22, 2)], dim=1))
        f32 = third.blocks["1"](torch.cat([f22, third.downs["0_1"](f21)], dim=1))
        f33 = third.blocks["2"](torch.cat([f23, third.downs["0_2"](f21)], dim=1))
        f41 = fourth.blocks["0"](torch.cat([f31, up(f32, 2), up(f33, 4)], dim=1))
        f42 = fourth.blocks["1"](torch.cat([fourth.downs["0_1"](f31), f32, up(f33, 2)], dim=1))
        f43 = fourth.blocks["2"](torch.cat([fourth.downs["0_2"](f31), fourth.downs["1_2"](f32), f33], dim=1))
        f5 = torch.cat([f41, up(f42, 2), up(f43, 4)], dim=1)
        assert torch.allclose(model(x), model.head(f5), atol=1e-5)


@pytest.mark.parametrize("design", [{"stems": "single"}, {"ablation": "B"}, {"ablation": "C"}, {"ablation": "D"}])
def test_each_ablation_of_the_printed_network_is_smaller_and_trained_whole(design):
    with torch.device("meta"):
        assert count(build("hr_fcn_printed", in_channels=3, **design)) < 57_503_617
    model = build("hr_fcn_printed", in_channels=2, width=2, **design)
    model(torch.rand(2, 2, 8, 8, 8)).square().mean().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_the_printed_network_halves_slabs_of_four_and_in_the_plane_slabs_of_three():
    with pytest.raises(UsageError, match=r"SIZE hr_fcn_printed .*pad to \(8, 8, 4\)"):
        build("hr_fcn_printed", width=2)(torch.rand(1, 1, 8, 8, 3))
    flat = build("hr_fcn_printed", width=2, strides="in_plane")
    assert flat(torch.rand(1, 1, 8, 8, 3)).shape == (1, 1, 8, 8, 3)
    assert build("hr_fcn_printed", width=2, dimensions=2)(torch.rand(1, 1, 8, 8)).shape == (1, 1, 8, 8)


def test_casnet_is_a_row_of_u_nets_that_hand_over_one_image():
    options = {"width": 2, "depth": 3}
    model = build("casnet", in_channels=2, blocks=3, **options).eval()
    x = torch.rand(1, 2, 16, 16)
    with torch.no_grad():
        image = x
        for block in model.blocks:
            image = block(image)
            assert image.shape == (1, 1, 16, 16)
        assert torch.equal(model(x), torch.tanh(image))
    with torch.device("meta"):
        six, first, later = build("casnet", in_channels=3), build("pix2pix_unet", in_channels=3), build("pix2pix_unet")
    assert count(six) == count(first) + 5 * count(later)


def test_a_weight_of_the_locality_adaptive_fusion_acts_on_its_own_cell_alone():
    fusion = build("locality_adaptive_unet", in_channels=2, width=2, window=16, cell=4, depth=2).fusion
    x = torch.rand(1, 2, 16, 16, 16)
    with torch.no_grad():
        before = fusion(x)
        assert torch.allclose(before, x.mean(dim=1, keepdim=True))
        fusion.weights[1, 0, 2, 3] += 1
        change = fusion(x) - before
    cell = (slice(0, 4), slice(8, 12), slice(12, 16))
    assert torch.allclose(change[0, 0][cell], x[0, 1][cell], atol=1e-6)
    change[0, 0][cell] = 0
    assert not change.any()


def test_the_locality_adaptive_fusion_adds_one_number_for_each_cell_and_contrast():
    with torch.device("meta"):
        whole = build("locality_adaptive_unet", in_channels=3)
        network = build("pix2pix_unet", dimensions=3, depth=6)
    assert count(whole) == count(network) + 3 * 8**3


def test_decnn_has_the_parameters_of_its_layers_and_sees_31_pixels():
    def normalised(i: int, o: int) -> int:
        return 9 * i * o + 2 * o

    w = 64
    first = normalised(3, w) + normalised(w, w)
    transforms = (normalised(w, w) + normalised(w, w)) + 2 * (normalised(2 * w, w) + normalised(w, w))
    embeddings = 3 * (9 * w + 1 + normalised(1, w))
    with torch.device("meta"):
        assert count(build("decnn", in_channels=3)) == first + transforms + embeddings + 9 * 2 * w + 1
    model = build("decnn", width=2, normalisation="none")
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    x = torch.rand(1, 1, 64, 64, requires_grad=True)
    model(x)[0, 0, 32, 32].backward()
    seen = x.grad[0, 0].abs().sum(dim=1).nonzero().flatten()
    assert seen.max() - seen.min() + 1 == 31


@pytest.mark.parametrize(
    ("name", "argument"), [("decnn", "embeddings"), ("pix2pix_unet", "depth"), ("casnet", "blocks")]
)
def test_a_network_without_any_block_is_refused(name, argument):
    with pytest.raises(UsageError, match="MODEL_ARGUMENT"):
        build(name, **{argument: 0})
