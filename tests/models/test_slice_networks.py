"""Properties of the plain U-Net, the ResNet generator and DRUNet besides the contract."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from voxlate.errors import ModelInvalid, NoInput, UsageError
from voxlate.models import build
from voxlate.models.slicewise import Slicewise


def ripple(model: torch.nn.Module, x: torch.Tensor) -> float:
    with torch.no_grad():
        inner = model(x)[0, 0, 16:-16, 16:-16]
    return float(inner.std() / inner.abs().mean())


def test_nearest_upsampling_leaves_no_checkerboard_on_a_constant_image_and_transposed_does():
    torch.manual_seed(0)
    flat = torch.ones(1, 1, 48, 48)
    plain = {"width": 8, "depth": 1, "dimensions": 2, "normalisation": "none"}
    models = [build("unet", **plain, upsampling=u) for u in ("nearest", "transposed")]
    assert ripple(models[0], flat) < 1e-5
    assert ripple(models[1], flat) > 1e-3


def test_a_u_net_that_predicts_a_ratio_gives_zero_where_its_source_is_zero():
    x = torch.rand(1, 2, 8, 8, 8)
    x[:, :1, :4] = 0
    answer = build("unet", in_channels=2, width=2, depth=1, ratio=True)(x)
    assert (answer[:, :, :4] == 0).all()
    assert answer[:, :, 4:].abs().sum() > 0


def test_factored_convolutions_have_twelve_weights_where_cubes_have_27():
    cube, factored = (build("unet", width=2, depth=1, normalisation="none", factored=f) for f in (False, True))
    first, second = (m.encoders[1] for m in (cube, factored))
    weights = [sum(p.numel() for n, p in m.named_parameters() if n.endswith("weight")) for m in (first, second)]
    assert weights == [27 * (2 * 4 + 4 * 4), 9 * (2 * 4 + 4 * 4) + 3 * (4 * 4 + 4 * 4)]
    with pytest.raises(UsageError, match="MODEL_ARGUMENT"):
        build("unet", dimensions=2, factored=True)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_residual_generator_ends_in_tanh_as_coded(dimensions):
    models = []
    for activation in ("tanh", "none"):
        torch.manual_seed(0)
        models.append(build("resnet_generator", width=2, blocks=1, dimensions=dimensions, final_activation=activation))
    x = torch.rand(1, 1, *(8, 12, 8)[:dimensions])
    assert torch.allclose(models[0](x), torch.tanh(models[1](x)), atol=1e-6)


def test_drunet_has_the_sizes_of_the_table_of_the_paper():
    shapes = []
    with torch.device("meta"):
        model = build("drunet", depth=101, imagenet_input=True)
        for part in (model.encoder.layer1, model.encoder.layer4, model.center, *model.ups):
            part.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
        model(torch.rand(1, 1, 448, 448))
    sizes = [(256, 112), (2048, 14), (1024, 28), (512, 56), (256, 112), (64, 224)]
    assert shapes == [(channels, side, side) for channels, side in sizes]
    assert [len(up) for up in (model.center, *model.ups)] == [3, 23, 4, 3]


def test_the_encoder_of_drunet_loads_a_resnet_of_its_hash_and_no_other(tmp_path):
    torch.manual_seed(0)
    model, other = (build("drunet", width=2, depth=18, imagenet_input=True) for _ in range(2))
    path = tmp_path / "resnet18.safetensors"
    save_file({**other.encoder.state_dict(), "fc.weight": torch.rand(3, 3)}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    model.load_encoder(path, sha256=sha256)
    assert torch.equal(model.encoder.layer3[1].conv2.weight, other.encoder.layer3[1].conv2.weight)
    with pytest.raises(ModelInvalid, match=r"WEIGHTS_CHANGED resnet18.safetensors"):
        model.load_encoder(path, sha256="0" * 64)
    with pytest.raises(NoInput, match="WEIGHTS_MISSING"):
        model.load_encoder(tmp_path / "none.safetensors", sha256=sha256)
    with pytest.raises(ModelInvalid, match="WEIGHTS_UNFIT"):
        build("drunet", width=4, depth=18, imagenet_input=True).load_encoder(path, sha256=sha256)


def test_imagenet_input_repeats_one_contrast_only():
    with pytest.raises(UsageError, match=r"MODEL_ARGUMENT .*there are 2"):
        build("drunet", in_channels=2, imagenet_input=True)


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_a_network_for_slices_answers_for_each_slice_of_a_volume(slice_axis):
    model = Slicewise(torch.nn.Conv2d(1, 2, 3, padding=1), slice_axis=slice_axis)
    x = torch.rand(2, 1, 3, 4, 5)
    answer = model(x)
    assert answer.shape == (2, 2, 3, 4, 5)
    axis = 2 + slice_axis
    assert torch.allclose(answer.select(axis, 1), model.network(x.select(axis, 1)), atol=1e-6)
