"""One contract for every network."""

import pytest
import torch
from safetensors.torch import load, save

from voxlate.errors import UsageError
from voxlate.models import MODELS, build
from voxlate.models.blocks import depth_to_space, space_to_depth

SMALL = {"att_unet": {"width": 4}, "res_unet": {"width": 4}, "translator": {"width": 8, "depth": 2}}
FACTOR = {"att_unet": 16, "res_unet": 32, "translator": 1}
HAS_NO_EFFECT = {  # normalised away by the layer that follows
    "att_unet": "bias",
    "res_unet": "bias",
}
names = pytest.mark.parametrize("name", sorted(MODELS))


def network(name: str, **more: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(name, **SMALL[name], **more)


def test_every_network_is_under_contract():
    assert set(SMALL) == set(FACTOR) == set(MODELS)


@names
def test_the_answer_has_the_size_of_the_source_and_the_channels_asked_for(name):
    size = (32, 64, 96) if FACTOR[name] > 1 else (9, 14, 11)
    answer = network(name, in_channels=3, out_channels=2)(torch.rand(2, 3, *size))
    assert answer.shape == (2, 2, *size)


@names
def test_a_size_that_does_not_fit_is_refused_with_one_that_does(name):
    x = torch.rand(1, 1, 33, 40, 64)
    if FACTOR[name] == 1:
        assert network(name)(x).shape == x.shape
        return
    fitting = {16: r"\(48, 48, 64\)", 32: r"\(64, 64, 64\)"}[FACTOR[name]]
    with pytest.raises(UsageError, match=fitting):
        network(name)(x)


@names
def test_the_gradient_reaches_every_weight(name):
    model = network(name)
    if name == "translator":  # starts as the identity: its zero layers hide the others until they have moved
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    model(torch.rand(1, 1, 32, 32, 64)).square().mean().backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [n for n in still if not n.endswith(HAS_NO_EFFECT.get(name, "nothing"))] == []


@names
def test_evaluation_is_deterministic(name):
    model = network(name).eval()
    x = torch.rand(1, 1, 32, 32, 64)
    with torch.no_grad():
        assert torch.equal(model(x), model(x))


@names
def test_the_state_survives_safetensors(name):
    model, other = network(name), build(name, **SMALL[name])
    other.load_state_dict(load(save(model.state_dict())))
    x = torch.rand(1, 1, 32, 32, 64)
    with torch.no_grad():
        assert torch.equal(model.eval()(x), other.eval()(x))


@names
def test_one_case_in_a_batch_does_not_depend_on_the_other(name):
    model = network(name).eval()
    x = torch.rand(2, 1, 32, 32, 64)
    with torch.no_grad():
        assert torch.allclose(model(x)[:1], model(x[:1]), atol=1e-3)


@names
def test_a_network_can_be_exported(name):
    model = network(name).eval()
    x = torch.rand(1, 1, 32, 32, 64)
    program = torch.export.export(model, (x,))
    with torch.no_grad():
        assert torch.allclose(program.module()(x), model(x), atol=1e-6)


@pytest.mark.parametrize(("name", "parameters"), [("res_unet", 312_250_369), ("att_unet", 103_887_981)])
def test_the_published_networks_have_the_published_size(name, parameters):
    with torch.device("meta"):
        model = build(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_batch_normalisation_has_the_same_parameters_as_instance_normalisation():
    sizes = [
        sum(p.numel() for p in build("att_unet", width=4, normalisation=n).parameters()) for n in ("instance", "batch")
    ]
    assert sizes[0] == sizes[1]


def test_att_unet_in_training_mode_with_one_image_is_the_same_under_both_normalisations():
    instance, batch = (network("att_unet", normalisation=n) for n in ("instance", "batch"))
    batch.load_state_dict(instance.state_dict(), strict=False)
    x = torch.rand(1, 1, 32, 32, 64)
    assert torch.allclose(instance(x), batch(x), atol=1e-4)


def test_res_unet_shares_its_residuals_unless_told_otherwise():
    shared, apart = (build("res_unet", width=4, share_residuals=s) for s in (True, False))
    residuals = sum(p.numel() for p in shared.residuals.parameters())
    total = sum(p.numel() for p in shared.parameters())
    assert sum(p.numel() for p in apart.parameters()) == total + residuals


def test_res_unet_ends_in_tanh_as_coded_or_in_nothing():
    x = 50 * torch.rand(1, 1, 32, 32, 64)
    bounded, free = (network("res_unet", final_activation=a) for a in ("tanh", "none"))
    assert torch.allclose(bounded(x), torch.tanh(free(x)), atol=1e-6)


def test_the_translator_starts_as_the_identity():
    x = torch.randn(1, 1, 13, 18, 15)
    assert torch.equal(network("translator")(x), x)


def test_the_translator_gives_a_window_what_it_gives_the_whole_away_from_borders():
    model = network("translator")
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    x = torch.rand(1, 1, 96, 32, 32)
    with torch.no_grad():
        whole, part = model(x), model(x[:, :, 16:80])
    assert torch.allclose(whole[:, :, 40:56], part[:, :, 24:40], atol=1e-4)
    assert not torch.allclose(whole, x, atol=1e-3)


def test_res_unet_refuses_the_one_size_it_cannot_normalise():
    with pytest.raises(UsageError, match="32, 32, 64 would fit"):
        network("res_unet")(torch.rand(1, 1, 32, 32, 32))


def test_space_to_depth_moves_each_voxel_and_is_undone():
    x = torch.rand(2, 3, 4, 6, 8)
    deep = space_to_depth(x)
    assert deep.shape == (2, 24, 2, 3, 4)
    assert torch.equal(deep[1, 8 * 2 + 0b101, 1, 2, 3], x[1, 2, 3, 4, 7])
    assert torch.equal(depth_to_space(deep), x)


def test_an_unknown_network_and_an_unknown_argument_are_refused_with_a_name():
    with pytest.raises(UsageError, match=r"MODEL_UNKNOWN .*att_unet, res_unet, translator"):
        build("unet42")
    with pytest.raises(UsageError, match=r"MODEL_ARGUMENT .*depht"):
        build("translator", depht=3)
