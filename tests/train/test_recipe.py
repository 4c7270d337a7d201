from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from voxlate.errors import NoInput, UsageError
from voxlate.train.network import generator_of
from voxlate.train.objective import objectives_of
from voxlate.train.recipe import parse_recipe, read_recipe, recipe_text

ROOT = Path(__file__).resolve().parents[2]

TEXT = """
name: one
source: T1ce
target: T1nce
data: {source: "{case}/s.nii", target: "{case}/t.nii", train: [a]}
"""


def test_a_resolved_recipe_reads_back_as_itself():
    recipe = parse_recipe(TEXT, name="one.yaml")
    assert parse_recipe(recipe_text(recipe), name="again") == recipe


@pytest.mark.parametrize(
    ("addition", "place"),
    [
        ("modle: {}", "modle"),
        ("training: {step: 3}", "training.step"),
        ("training: {steps: 0}", "training.steps"),
        ("training: {window: [1, 2]}", "training.window"),
        ("augmentation: {flip: 2}", "augmentation.flip"),
        ("preparation: {reference: mean}", "preparation.reference"),
        ("training: {precision: 8-bit}", "training.precision"),
    ],
)
def test_what_a_recipe_does_not_know_is_named_with_its_place(addition, place):
    with pytest.raises(UsageError, match=rf"RECIPE one\.yaml: .*{place}"):
        parse_recipe(TEXT + addition, name="one.yaml")


@pytest.mark.parametrize("text", ["a: [", "just words", "", "!!python/object/apply:os.system ['true']"])
def test_what_is_not_a_recipe_is_refused_in_one_line(text):
    with pytest.raises(UsageError, match=r"RECIPE") as caught:
        parse_recipe(text, name="one.yaml")
    assert "\n" not in str(caught.value)


def test_data_come_by_table_or_by_pattern_and_not_by_both():
    with pytest.raises(UsageError, match="either `cases`"):
        parse_recipe(TEXT.replace("train: [a]", "cases: cases.tsv"), name="x")


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValidationError):
        parse_recipe(TEXT, name="x").name = "two"


def test_a_missing_recipe_is_no_input(tmp_path):
    with pytest.raises(NoInput):
        read_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_names_a_network_and_losses_that_there_are(path):
    recipe = read_recipe(path)
    with torch.device("meta"):
        generator_of(recipe)
    objectives_of(recipe, path.parent)
    header = path.read_text().split("name:")[0]
    assert f"voxlate train recipes/{path.name}" in header
    assert "benchmarks/results/" in header
