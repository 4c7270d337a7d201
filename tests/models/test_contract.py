"""Contract tests of every network in `MODELS`."""

from dataclasses import dataclass

import pytest
import torch
from safetensors.torch import load, save

from voxlate.errors import UsageError
from voxlate.models import DISCRIMINATORS, FEATURES, GENERATORS, MODELS, build
from voxlate.models.parts.blocks import depth_to_space, space_to_depth


@dataclass(frozen=True)
class Entry:
    """How a network is tested: arguments that make it small, sizes, and parameters without effect."""

    arguments: dict[str, object]
    size: tuple[int, ...]
    unfit: tuple[int, ...]
    fitting: str | None
    has_no_effect: str = "nothing"  # normalised away by the layer that follows
    starts_as_identity: bool = False


ENTRIES = {
    "att_unet": Entry({"width": 4}, (32, 16, 48), (33, 40, 64), r"\(48, 48, 64\)", "bias"),
    "bottani_unet": Entry({"width": 4}, (32, 32, 64), (33, 40, 64), r"\(64, 64, 64\)", "bias"),
    "casnet": Entry({"width": 4, "depth": 3, "blocks": 2}, (16, 24), (17, 24), r"\(24, 24\)", "bias"),
    "decnn": Entry({"width": 4}, (9, 14), (7, 11), None, "bias"),
    "drunet": Entry({"width": 4, "depth": 18}, (32, 96), (33, 40), r"\(64, 64\)"),
    "hr_fcn": Entry({"width": 4, "resolutions": 3}, (8, 12, 3), (9, 12, 5), r"\(12, 12, 5\)", "bias"),
    "hr_fcn_printed": Entry({"width": 4}, (8, 12, 4), (9, 12, 4), r"\(12, 12, 4\)", "bias"),
    "locality_adaptive_unet": Entry(
        {"width": 4, "depth": 3, "window": 16, "cell": 4}, (16, 16, 16), (16, 16, 24), r"\(16, 16, 16\)", "bias"
    ),
    "pix2pix_unet": Entry({"width": 4, "depth": 3}, (16, 24), (17, 24), r"\(24, 24\)", "bias"),
    "res_unet": Entry({"width": 4}, (32, 32, 64), (33, 40, 64), r"\(64, 64, 64\)", "bias"),
    "resnet_generator": Entry({"width": 4, "blocks": 1}, (12, 20), (13, 20), r"\(16, 20\)", "bias"),
    "trans_unet": Entry(
        {"width": 2, "depth": 1, "heads": 2, "token_grid": 2}, (8, 16, 24), (9, 16, 24), r"\(16, 16, 24\)", "bias"
    ),
    "translator": Entry({"width": 8, "depth": 2}, (9, 14, 11), (33, 10, 14), None, starts_as_identity=True),
    "unet": Entry({"width": 4, "depth": 2}, (8, 12, 16), (9, 12, 16), r"\(12, 12, 16\)", "bias"),
    "patch_discriminator": Entry({"width": 4}, (25, 33, 28), (24, 30, 30), "at least 25"),
}
names = pytest.mark.parametrize("name", sorted(ENTRIES))
generators = pytest.mark.parametrize("name", sorted(GENERATORS))


def network(name: str, **more: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(name, **{**ENTRIES[name].arguments, **more})


def image(name: str, batch: int = 1, channels: int | None = None) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.rand(batch, channels or (2 if name in DISCRIMINATORS else 1), *ENTRIES[name].size)


def test_every_network_is_under_contract():
    assert set(ENTRIES) | set(FEATURES) == set(MODELS)
    assert not set(ENTRIES) & set(FEATURES)


@generators
def test_the_answer_has_the_size_of_the_source_and_the_channels_asked_for(name):
    answer = network(name, in_channels=3, out_channels=2)(image(name, 2, 3))
    assert answer.shape == (2, 2, *ENTRIES[name].size)


@names
def test_a_size_that_does_not_fit_is_refused_with_one_that_does(name):
    channels = 2 if name in DISCRIMINATORS else 1
    x = torch.rand(1, channels, *ENTRIES[name].unfit)
    if ENTRIES[name].fitting is None:
        assert network(name)(x).shape == x.shape
        return
    with pytest.raises(UsageError, match=rf"SIZE .*{ENTRIES[name].fitting}"):
        network(name)(x)


@names
def test_the_gradient_reaches_every_weight(name):
    model = network(name)
    if ENTRIES[name].starts_as_identity:  # its zero layers hide the others until they have moved
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    model(image(name, 2)).square().mean().backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [n for n in still if not n.endswith(ENTRIES[name].has_no_effect)] == []


@names
def test_evaluation_is_deterministic(name):
    model, x = network(name).eval(), image(name)
    with torch.no_grad():
        assert torch.equal(model(x), model(x))


@names
def test_the_state_survives_safetensors(name):
    model, other = network(name), build(name, **ENTRIES[name].arguments)
    other.load_state_dict(load(save(model.state_dict())))
    with torch.no_grad():
        assert torch.equal(model.eval()(image(name)), other.eval()(image(name)))


@names
def test_one_case_in_a_batch_does_not_depend_on_the_other(name):
    model, x = network(name).eval(), image(name, 2)
    with torch.no_grad():
        assert torch.allclose(model(x)[:1], model(x[:1]), atol=1e-3)


@pytest.mark.slow
@names
def test_a_network_can_be_exported(name):
    model, x = network(name).eval(), image(name)
    program = torch.export.export(model, (x,))
    with torch.no_grad():
        assert torch.allclose(program.module()(x), model(x), atol=1e-5)


@generators
def test_a_tensor_of_other_dimensions_is_refused(name):
    with pytest.raises(UsageError, match="DIMENSIONS"):
        network(name)(torch.rand(1, 1, 32))


def test_batch_normalisation_has_the_same_parameters_as_instance_normalisation():
    sizes = [
        sum(p.numel() for p in build("att_unet", width=4, normalisation=n).parameters()) for n in ("instance", "batch")
    ]
    assert sizes[0] == sizes[1]


def test_att_unet_in_training_mode_with_one_image_is_the_same_under_both_normalisations():
    instance, batch = (network("att_unet", normalisation=n) for n in ("instance", "batch"))
    batch.load_state_dict(instance.state_dict(), strict=False)
    x = torch.rand(1, 1, 32, 16, 16)
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


@pytest.mark.parametrize(("name", "size", "fitting"), [("att_unet", 16, 32), ("res_unet", 32, 64)])
def test_the_one_size_that_cannot_be_normalised_is_refused(name, size, fitting):
    with pytest.raises(UsageError, match=rf"SIZE .*\({fitting}, {size}, {size}\)"):
        network(name)(torch.rand(1, 1, size, size, size))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("att_unet", {"normalisation": "btach"}),
        ("decnn", {"convolutions": 0}),
        ("res_unet", {"final_activation": "tahn"}),
        ("res_unet", {"skip_from": "pre"}),
        ("translator", {"depth": 0}),
        ("translator", {"width": 0}),
        ("unet", {"convolutions": 0}),
    ],
)
def test_a_value_that_makes_no_network_is_refused_with_its_argument(name, arguments):
    with pytest.raises(UsageError, match=f"MODEL_ARGUMENT .*{next(iter(arguments))}"):
        network(name, **arguments)


def test_space_to_depth_moves_each_voxel_and_is_undone():
    x = torch.rand(2, 3, 4, 6, 8)
    deep = space_to_depth(x)
    assert deep.shape == (2, 24, 2, 3, 4)
    assert torch.equal(deep[1, 8 * 2 + 0b101, 1, 2, 3], x[1, 2, 3, 4, 7])
    assert torch.equal(depth_to_space(deep), x)


def test_an_unknown_network_and_an_unknown_argument_are_refused_with_a_name():
    with pytest.raises(UsageError, match=r"MODEL_UNKNOWN .*att_unet, .*translator"):
        build("unet42")
    with pytest.raises(UsageError, match=r"MODEL_ARGUMENT translator has no argument 'depht'; did you mean depth\?"):
        build("translator", depht=3)
    with pytest.raises(
        UsageError, match=r"MODEL_ARGUMENT translator has no argument 'x'; choose from .*depth, .*width"
    ):
        build("translator", x=3)
