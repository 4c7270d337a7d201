import pytest
from pydantic import ValidationError

from voxlate.bundle.recipe import parse_recipe, read_recipe, recipe_text
from voxlate.errors import NoInput, UsageError

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
        ("training: {betas: [0.9, 1.0]}", "training.betas.1"),
        ("adversarial: {patches: {size: [8, 8, 0]}}", "adversarial.patches.size.2"),
        ("adversarial: {patches: {stride: [0, 8, 8]}}", "adversarial.patches.stride.0"),
        ("local: {smoothing: 2}", "local: .*smoothing"),
        ("local: {low: 0.3, high: 0.2}", "local: .*high"),
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


def test_a_table_in_the_place_of_a_recipe_is_answered_with_what_a_recipe_is(tmp_path):
    (tmp_path / "cases.tsv").write_text("case\tsource\ttarget\n")
    with pytest.raises(UsageError, match=r"RECIPE cases\.tsv is a table, .*; voxlate init cases\.tsv my\.yaml"):
        read_recipe(tmp_path / "cases.tsv")
    with pytest.raises(UsageError, match=r"RECIPE x has no keys; a recipe is a YAML file with lines"):
        parse_recipe("case source target", name="x")


def test_a_recipe_that_is_not_utf_8_is_refused(tmp_path):
    (tmp_path / "r.yaml").write_bytes(TEXT.encode() + b"# \xff")
    with pytest.raises(UsageError, match=r"RECIPE r\.yaml: not UTF-8 at byte \d+"):
        read_recipe(tmp_path / "r.yaml")
