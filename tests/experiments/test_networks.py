"""Stages of networks, found without computing a value."""

import pytest

from voxlate.bundle.recipe import read_recipe
from voxlate.experiments.networks import stages_of
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


def test_each_branch_of_a_network_with_several_is_a_stage():
    stages, _ = stages_of(recipe("chen2022/faithful"))
    assert {stage.channels for stage in stages if stage.name.startswith("transitions.2")} == {32, 64, 128, 256}
