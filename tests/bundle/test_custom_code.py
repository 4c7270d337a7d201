"""Networks and losses outside voxlate: they train from the command line, and a bundle never imports them silently."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from tiny import RECIPE

from voxlate import cli
from voxlate.bundle.bundle import read_bundle
from voxlate.bundle.networks import discriminator_of, generator_of
from voxlate.bundle.recipe import parse_recipe
from voxlate.bundle.settings import AdversarialSettings, ModelSettings
from voxlate.cases import read_cases
from voxlate.errors import ModelInvalid, UsageError
from voxlate.training.loop import train

MODULE = """
from pathlib import Path

import torch
from torch import nn

Path(__file__).with_suffix(".imported").touch()


class MyNet(nn.Module):
    def __init__(self, in_channels, width=2):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv3d(in_channels, width, 3, padding=1), nn.ReLU(), nn.Conv3d(width, 1, 1))

    def forward(self, x):
        return self.layers(x)


class Half(MyNet):
    def forward(self, x):
        return self.layers(x)[..., ::2]


class Broken(MyNet):
    def forward(self, x):
        raise RuntimeError("no such layer")


def not_a_network(in_channels):
    return "text"


def my_loss(synthetic, target, mask):
    return ((synthetic - target).square() * mask).sum() / mask.sum().clamp(min=1)


def per_voxel(synthetic, target, mask):
    return (synthetic - target).abs()


NUMBER = 3
"""


@pytest.fixture
def folder(tmp_path, cohort, monkeypatch, request):
    """A working directory with a module of the user, whose name no other test has, and a recipe that names it."""
    name = f"mine_{abs(hash(request.node.nodeid)):x}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / "recipe.yaml").write_text(recipe_with(name, width=3))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path, name


def recipe_with(module, network="MyNet", loss="my_loss", **arguments):
    content = yaml.safe_load(RECIPE)
    content["model"] = {"name": f"{module}:{network}", "arguments": arguments}
    content["loss"] = {f"{module}:{loss}": 1.0, "l1": 0.5}
    content["training"] |= {"steps": 2, "validate_every": 2}
    return yaml.safe_dump(content)


def command(folder, *arguments):
    program = Path(sys.executable).with_name("voxlate")
    return subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_a_network_and_a_loss_of_the_user_train_from_the_command_line_and_translate_when_trusted(folder):
    place, name = folder
    done = command(place, "train", "recipe.yaml", "run", "--data", "data", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert f"{name}:MyNet" in (place / "run" / "bundle" / "card.md").read_text()
    losses = [point["loss"] for point in json.loads((place / "run" / "history.json").read_text())["training"]]
    assert losses[0] > 0
    (place / f"{name}.imported").unlink()

    with pytest.raises(ModelInvalid, match=rf"MODEL_CODE bundle: .*MyNet of the Python module {name}, .*--trust-code"):
        read_bundle(place / "run" / "bundle")
    scan = read_cases(place / "data" / "cases.tsv")[3].source
    translate = ("translate", scan, "out.nii.gz", "-m", "run/bundle", "--device", "cpu")
    refused = command(place, *translate)
    assert (refused.returncode, "MODEL_CODE" in refused.stderr) == (78, True)
    assert not (place / f"{name}.imported").exists()

    done = command(place, *translate, "--trust-code")
    assert done.returncode == 0, done.stderr
    assert (place / "out.nii.gz").is_file()
    assert read_bundle(place / "run" / "bundle", trust_code=True).network.layers[0].weight.shape[0] == 3


def test_trust_ends_with_its_command(folder):
    place, _ = folder
    CliRunner().invoke(cli.voxlate, ["export", str(place / "none"), str(place / "x.onnx"), "--trust-code"])
    assert "VOXLATE_TRUST_CODE" not in os.environ


def test_networks_of_a_recipe_are_not_imported_unless_its_code_is_trusted(folder):
    place, name = folder
    recipe = parse_recipe((place / "recipe.yaml").read_text(), name="x")
    settings = AdversarialSettings(discriminator=ModelSettings(name=f"{name}:MyNet"))
    for build in (generator_of, discriminator_of):
        with pytest.raises(ModelInvalid, match="MODEL_CODE"):
            build(recipe.model_copy(update={"adversarial": settings}))
    assert not (place / f"{name}.imported").exists()
    assert generator_of(recipe, trust_code=True).layers[0].in_channels == 1


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("Missing", "CUSTOM_CODE .* has no Missing"),
        ("NUMBER", "CUSTOM_CODE .*NUMBER is of type int, not a class or a function"),
        ("not_a_network", r"CUSTOM_CODE .*gives a str, not a torch\.nn\.Module"),
        ("Half", r"CUSTOM_CODE .*maps \(1, 1, 16, 16, 16\) to \(1, 1, 16, 16, 8\), not to"),
        ("Broken", "CUSTOM_CODE .*RuntimeError: no such layer"),
        ("My-Net", "CUSTOM_CODE .*is not MODULE:NAME"),
    ],
)
def test_a_network_that_cannot_be_used_is_refused_before_training(folder, cohort, network, message):
    place, name = folder
    recipe = parse_recipe(recipe_with(name, network=network), name="x")
    with pytest.raises(UsageError, match=message):
        train(recipe, place / "run", root=cohort)


def test_an_argument_that_a_network_does_not_take_is_refused(folder, cohort):
    place, name = folder
    with pytest.raises(UsageError, match=r"MODEL_ARGUMENT .*depth"):
        train(parse_recipe(recipe_with(name, depth=3), name="x"), place / "run", root=cohort)


@pytest.mark.parametrize(
    ("loss", "message"),
    [("missing", "has no missing"), ("per_voxel", r"returns \(2, 1, 16, 16, 16\), not a tensor of")],
)
def test_a_loss_that_cannot_be_used_is_refused(folder, cohort, loss, message):
    place, name = folder
    with pytest.raises(UsageError, match=f"CUSTOM_CODE .*{message}"):
        train(parse_recipe(recipe_with(name, loss=loss), name="x"), place / "run", root=cohort)


def test_a_module_that_is_missing_or_fails_is_refused_without_a_traceback(folder, cohort):
    place, _ = folder
    with pytest.raises(UsageError, match=r"CUSTOM_CODE the module nowhere\.at_all cannot be imported: ModuleNotFound"):
        train(parse_recipe(recipe_with("nowhere.at_all"), name="x"), place / "run", root=cohort)
    (place / "broken_module_of_mine.py").write_text("def (")
    (place / "recipe.yaml").write_text(recipe_with("broken_module_of_mine"))
    done = command(place, "train", "recipe.yaml", "run", "--data", "data")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "CUSTOM_CODE the module broken_module_of_mine cannot be imported: SyntaxError" in done.stderr


def test_the_working_directory_comes_after_installed_packages(folder):
    place, _ = folder
    (place / "yaml.py").write_text("raise RuntimeError('shadowed')")
    generator_of(parse_recipe((place / "recipe.yaml").read_text(), name="x"), trust_code=True)
    assert sys.path.index(str(Path.cwd())) == len(sys.path) - 1
