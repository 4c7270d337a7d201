"""`voxlate simulate --tissue-maps`, and a recipe that trains on what it wrote."""

import pytest
import yaml
from click.testing import CliRunner

from voxlate import cli
from voxlate.bundle.recipe import recipe_text
from voxlate.errors import UsageError
from voxlate.simulation.files.tissue_maps import read_tissue_maps


def run(*arguments):
    return CliRunner().invoke(cli.voxlate, [str(argument) for argument in arguments], catch_exceptions=False)


def test_maps_of_heads_are_written_and_a_training_draws_its_windows_from_them(recipe, cohort, tmp_path):
    maps = cohort / "maps"
    assert run("simulate", maps, "-n", 1, "--tissue-maps", "--lesions", "glioma").exit_code == 0
    assert read_tissue_maps(maps)[0].spacing_mm == 2
    content = yaml.safe_load(recipe_text(recipe))
    content["simulated"] = {"heads": "maps", "source": "T1ce", "target": "T1w"}
    content["preparation"]["spacing_mm"] = 2
    content["training"] |= {"window": [8, 8, 8], "steps": 2, "validate_every": 2}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    assert run("train", tmp_path / "mine.yaml", tmp_path / "run", "--data", cohort).exit_code == 0
    card = (tmp_path / "run" / "bundle" / "card.md").read_text()
    assert "100 % of the windows from 1 simulated head |" in card


def test_an_option_of_images_is_refused_beside_tissue_maps(tmp_path):
    with pytest.raises(UsageError, match="OPTION_OF_IMAGES --dicom is of images; with --tissue-maps leave it out"):
        run("simulate", tmp_path / "maps", "--tissue-maps", "--dicom")
    assert not (tmp_path / "maps").exists()


def test_heads_of_formulas_are_refused_as_tissue_maps(tmp_path):
    with pytest.raises(UsageError, match="ANATOMY_FORMULA"):
        run("simulate", tmp_path / "maps", "--tissue-maps", "--anatomy", "formula")
