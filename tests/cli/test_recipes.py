import pytest
from click.testing import CliRunner

from voxlate.bundle.recipe import read_recipe
from voxlate.cli.recipes import recipes
from voxlate.errors import NoInput, UsageError


def run(*arguments):
    return CliRunner().invoke(recipes, [str(argument) for argument in arguments], catch_exceptions=False).output


def test_recipes_are_listed_with_what_they_translate_and_their_variants():
    (line,) = [line for line in run().splitlines() if line.startswith("li2022/faithful:")]
    assert "CT -> T1" in line
    assert "depth_34" in line


def test_a_recipe_is_copied_once(tmp_path):
    run("copy", "t1ce_to_t1", tmp_path / "my.yaml")
    assert read_recipe(tmp_path / "my.yaml").name == "t1ce_to_t1"
    with pytest.raises(UsageError, match="FILE_EXISTS"):
        run("copy", "t1ce_to_t1", tmp_path / "my.yaml")


def test_an_unknown_recipe_is_told_with_the_nearest_name():
    with pytest.raises(NoInput, match="t1ce_to_t1"):
        run("show", "t1ce_to_t2")
