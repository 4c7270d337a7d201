"""Stages and residual blocks of networks, found without computing a value, and the example of the contextual loss."""

import math

import pytest

from voxlate.bundle.recipe import read_recipe
from voxlate.errors import UsageError
from voxlate.experiments.blocks import residual_block_of
from voxlate.experiments.matching import example_of
from voxlate.experiments.networks import discriminator_stages_of, stages_of
from voxlate.shipped import shipped_files


def recipe(name, *variants):
    return read_recipe(shipped_files("recipes")[name], variants=variants)


def test_the_stages_of_trans_unet_are_those_of_the_paper():
    stages, parameters = stages_of(recipe("bottani2024/faithful", "trans_unet"))
    assert parameters == 32_789_633
    shown = [(stage.channels, stage.size) for stage in stages]
    assert shown[0] == (1, (128, 128, 128))
    assert shown[-1] == (1, (128, 128, 128))
    assert (512, (4096,)) in shown  # the tokens of the transformer
    assert {(16, (128,) * 3), (32, (64,) * 3), (64, (32,) * 3), (128, (16,) * 3)} <= set(shown)


@pytest.mark.parametrize("variant", [(), ("unet",)])
def test_a_network_of_slices_shows_a_slice(variant):
    stages, _ = stages_of(recipe("li2022/faithful", *variant))
    assert {len(stage.size) for stage in stages} == {2}
    assert (stages[0].name, stages[0].size, stages[-1].size) == ("input", (448, 448), (448, 448))


def test_the_discriminator_of_lee_has_seven_layers_and_sees_the_ct():
    stages, parameters = discriminator_stages_of(recipe("lee2020/faithful"))
    assert parameters == 11_153_345
    assert (stages[0].channels, stages[0].size) == (2, (256, 256))
    assert list(dict.fromkeys(stage.channels for stage in stages[1:])) == [64, 128, 256, 512, 1]
    sizes = list(dict.fromkeys(stage.size[0] for stage in stages[1:]))
    assert sizes == [255, 127, 63, 31, 15, 7, 6]  # k = 4, p = 1: n - 1 at stride 1, n // 2 at stride 2


def test_a_discriminator_of_patches_is_shown_at_the_size_of_a_patch():
    stages, parameters = discriminator_stages_of(recipe("bottani2024/faithful", "cgan_att_unet"))
    assert (stages[0].channels, stages[0].size, parameters) == (2, (64, 64, 64), 286_625)


def test_each_branch_of_a_network_with_several_is_a_stage():
    stages, _ = stages_of(recipe("chen2022/faithful"))
    assert {stage.channels for stage in stages if stage.name.startswith("transitions.2")} == {32, 64, 128, 256}


def texts(operations):
    return [operation.text for operation in operations]


def test_a_bottleneck_of_drunet_is_drawn_as_it_computes():
    block = residual_block_of(recipe("li2022/faithful"), "encoder.layer2.0")
    unit = ["batch norm", "ReLU"]
    assert texts(block.path) == ["1 × 1 conv", *unit, "3 × 3 conv, stride 2", *unit, "1 × 1 conv", "batch norm"]
    assert texts(block.shortcut) == ["1 × 1 conv, stride 2", "batch norm"]
    assert (block.before, texts(block.after)) == ((), ["ReLU"])
    convolutions = [each.channels for each in block.path if each.kind == "convolution"]
    assert (block.in_channels, convolutions) == (256, [128, 128, 512])  # He et al. 2016, Table 1, conv3_1


def test_a_mirrored_block_enlarges_before_both_paths_and_a_later_one_has_the_identity():
    first, later = (residual_block_of(recipe("li2022/faithful", "depth_34"), part) for part in ("ups.0.0", "ups.0.1"))
    assert texts(first.before) == ["upsampling × 2\n(nearest)"]
    assert texts(first.shortcut) == ["1 × 1 conv", "batch norm"]
    assert (later.before, later.shortcut) == ((), ())
    assert texts(later.path).count("3 × 3 conv") == 2


@pytest.mark.parametrize("part", ["encoder.layer9", "encoder.conv1", "encoder.layer1", ""])
def test_a_part_that_is_no_residual_block_is_refused(part):
    with pytest.raises(UsageError, match="EXPERIMENT"):
        residual_block_of(recipe("li2022/faithful"), part)


def test_the_example_of_the_contextual_loss_has_the_bandwidth_of_the_recipe():
    example = example_of(recipe("li2022/faithful"))
    assert example.bandwidth == 0.5
    assert example.loss == pytest.approx(-math.log(example.weight.max(axis=0).mean()), rel=1e-5)
    with pytest.raises(UsageError, match="EXPERIMENT"):
        example_of(recipe("li2022/faithful", "mse"))
