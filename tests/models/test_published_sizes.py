"""Numbers of parameters of the authors' code, counted on the meta device, without memory for the weights."""

import pytest
import torch

from voxlate.models import build

AS_CODED = {"last_fusion": "as_coded", "final_norm": True, "final_activation": "relu"}


def count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "arguments", "parameters"),
    [
        ("res_unet", {}, 312_250_369),
        ("att_unet", {}, 103_887_981),
        ("bottani_unet", {}, 202_095_489),
        ("trans_unet", {"unreached_parts": True}, 32_789_633),
        ("hr_fcn", {"in_channels": 3, **AS_CODED}, 26_197_570),
        ("pix2pix_unet", {"in_channels": 3, "out_channels": 3, "normalisation": "batch"}, 54_413_955),
        ("resnet_generator", {}, 11_365_633),
        ("resnet_generator", {"in_channels": 3, "out_channels": 3}, 11_378_179),
        ("patch_discriminator", {}, 286_625),
        ("patch_discriminator", {"form": "patchgan_70", "width": 64, "dimensions": 2}, 2_763_713),
        ("patch_discriminator", {"form": "seven_layers", "width": 64, "dimensions": 2}, 11_153_345),
        ("vgg16", {"layers": ["relu5_3"]}, 14_714_688),
        ("vgg19", {"layers": ["relu5_4"]}, 20_024_384),
    ],
)
def test_a_network_has_the_published_number_of_parameters(name, arguments, parameters):
    with torch.device("meta"):
        assert count(build(name, **arguments)) == parameters


@pytest.mark.parametrize(("depth", "parameters"), [(34, 21_284_672), (50, 23_508_032), (101, 42_500_160)])
def test_the_encoder_of_drunet_is_a_resnet_without_its_classifier(depth, parameters):
    with torch.device("meta"):
        assert count(build("drunet", depth=depth, imagenet_input=True).encoder) == parameters


def test_of_hr_fcn_as_coded_so_many_parameters_reach_the_output():
    with torch.device("meta"):
        model = build("hr_fcn", in_channels=3, **AS_CODED)
        model(torch.rand(1, 3, 16, 16, 3)).sum().backward()
    assert sum(p.numel() for p in model.parameters() if p.grad is not None) == 7_917_698


def test_of_trans_unet_with_unreached_parts_these_do_not_reach_the_output():
    with torch.device("meta"):
        model = build("trans_unet", unreached_parts=True)
        model(torch.rand(1, 1, 16, 16, 16)).sum().backward()
    assert sum(p.numel() for p in model.parameters() if p.grad is None) == 66_048 + 1_024
