"""Facts of a model are read from the recipe of its bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxlate.bundle.recipe import parse_recipe
from voxlate.errors import InputRefused
from voxlate.evaluation.schema.model_facts import RECIPE_FILE, read_model_facts

RECIPE = """
name: mine
source: T1ce
target: T1nce
data: {root: data, source: "{case}/a.nii.gz", target: "{case}/b.nii.gz", train: [a, b, c], validation: [d]}
model: {name: unet}
loss: {l1: 2.0}
"""


def write(folder: Path, text: str) -> Path:
    (folder / RECIPE_FILE).write_text(text)
    return folder


def test_facts_are_those_of_the_recipe(tmp_path: Path) -> None:
    text = f"{RECIPE}training: {{steps: 70, batch: 3, accumulate: 4, window: [32, 48, 64], learning_rate: 0.01}}\n"
    parse_recipe(text, name="recipe.yaml")  # the keys are those of a recipe
    facts = read_model_facts(write(tmp_path, text))
    assert facts is not None
    assert (facts.network, facts.loss, facts.steps, facts.batch) == ("unet", {"l1": 2.0}, 70, 12)
    assert (facts.window, facts.learning_rate) == ([32, 48, 64], 0.01)
    assert (facts.training_cases, facts.validation_cases, facts.is_cycle) == (3, 1, False)


def test_the_steps_of_stages_are_added(tmp_path: Path) -> None:
    text = f"{RECIPE}training: {{steps: null}}\nstages: [{{steps: 30}}, {{steps: 12}}]\n"
    parse_recipe(text, name="recipe.yaml")
    facts = read_model_facts(write(tmp_path, text))
    assert facts is not None
    assert facts.steps == 42


def test_without_a_bundle_or_a_recipe_there_are_no_facts(tmp_path: Path) -> None:
    assert read_model_facts(None) is None
    assert read_model_facts(tmp_path) is None


@pytest.mark.parametrize("text", ["[", "model: 3", "name: x", "model: {name: unet}\nloss: {l1: much}"])
def test_a_damaged_recipe_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputRefused, match=r"BUNDLE_FILE.*recipe\.yaml"):
        read_model_facts(write(tmp_path, text))
