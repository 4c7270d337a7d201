"""Pretrained models: found by name, small, described, and working on a scan that nobody prepared for them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from phantoms import DATA, head
from safetensors import safe_open

import voxlate
from voxlate.bundle.out_of_distribution import describe
from voxlate.bundle.pretrained import (
    MODELS_VARIABLE,
    find_bundle,
    load_bundle,
    model_card,
    pretrained_models,
    summary_line,
)
from voxlate.cli import voxlate as command
from voxlate.errors import ModelInvalid
from voxlate.evaluation.enhancement import AgentDirection, EnhancementMeasure
from voxlate.io.nifti import read_volume, write_volume
from voxlate.preparation import fit_preparation
from voxlate.preparation.masks.skull_stripped import nonzero_mask

MOST_BYTES = 12 << 20
SHIPPED = ("ct-to-t1", "ct-to-t2", "t1ce-to-t1", "t1ce-to-t1-simulated")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_whole_small_and_says_what_it_is_for(name, monkeypatch):
    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    folder = pretrained_models()[name]
    assert sum(path.stat().st_size for path in folder.iterdir()) < MOST_BYTES
    with safe_open(folder / "weights.safetensors", "pt") as weights:
        assert {str(weights.get_tensor(key).dtype) for key in weights.keys()} == {"torch.float16"}  # noqa: SIM118
    bundle = load_bundle(name)
    assert all(parameter.dtype.is_floating_point for parameter in bundle.network.parameters())
    assert "not for diagnosis" in summary_line(name)
    assert "trained on" in model_card(name)


@pytest.mark.parametrize("name", SHIPPED)
def test_sidecars_name_a_shipped_model_as_users_type_it(name):
    assert load_bundle(name).name == name


def test_a_name_that_does_not_exist_is_answered_with_the_nearest():
    with pytest.raises(ModelInvalid, match=r"MODEL_MISSING .*did you mean t1ce-to-t1\?"):
        find_bundle("t1ce_to_t1")


def test_models_of_the_user_are_found_by_name_and_a_path_comes_first(tmp_path, monkeypatch):
    (tmp_path / "models" / "mine").mkdir(parents=True)
    (tmp_path / "models" / "mine" / "manifest.json").write_text("{}")
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    assert find_bundle("mine") == tmp_path / "models" / "mine"
    assert {*SHIPPED, "mine"} <= set(pretrained_models())
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_bundle("mine").resolve() == tmp_path / "mine"


def test_the_command_line_lists_models_and_prints_a_card():
    listed = CliRunner().invoke(command, ["models"]).output
    assert all(f"{name}: " in listed for name in SHIPPED)
    assert CliRunner().invoke(command, ["models", "show", SHIPPED[0]]).output.startswith(f"# {SHIPPED[0]}")


def test_one_line_translates_a_scan_by_the_name_of_a_model(tmp_path):
    scan = head(3, shape=(40, 44, 38))
    write_volume(tmp_path / "scan.nii.gz", scan, dtype="float32")
    arguments = ["translate", str(tmp_path / "scan.nii.gz"), str(tmp_path / "out.nii.gz")]
    done = CliRunner().invoke(command, [*arguments, "-m", "t1ce-to-t1", "--ood", "off"])
    assert done.exit_code == 0, done.output
    assert read_volume(tmp_path / "out.nii.gz").grid.matches(scan.grid)
    assert json.loads((tmp_path / "out.json").read_text())["Synthetic"]["ModelName"] == "t1ce-to-t1"


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the development data are not there")
@pytest.mark.parametrize("name", ["BraTS2021_01657", "MS_ljubljana_07"])
def test_the_contrast_agent_is_mostly_removed_from_a_real_scan(name):
    source, target = (read_volume(DATA / "pairs" / name / f"{image}.nii.gz") for image in ("t1ce", "t1"))
    made = voxlate.translate(voxlate.load_bundle("t1ce-to-t1"), source).volume
    mask = nonzero_mask(source.data) & nonzero_mask(target.data)
    measure = EnhancementMeasure(
        source.data, target.data, mask, spacing_mm=source.spacing_mm, direction=AgentDirection(1)
    )
    scores = {(score.region, score.metric): score.value for score in measure.scores(made.data)}
    assert scores["enhanced", "residual_enhancement"] < 60  # 100 is the untouched source
    # Source and target of the first differ by the agent and noise alone: a histogram match has 108 % there.
    assert scores["mask", "disturbance"] < 115
    error, untouched = (
        np.abs(image / np.median(image[mask]) - target.data / np.median(target.data[mask]))[mask].mean()
        for image in (made.data, source.data)
    )
    assert error < untouched


@pytest.mark.skipif(not DATA.is_dir(), reason="the development data are not there")
def test_the_model_takes_a_real_scan_after_contrast_agent_and_refuses_t2():
    folder, bundle = DATA / "pairs" / "MS_ljubljana_07", load_bundle("t1ce-to-t1")
    scores = {}
    for contrast in ("t1ce", "t1", "t2"):
        scan = read_volume(folder / f"{contrast}.nii.gz")
        preparation = fit_preparation(scan, None, bundle.recipe.preparation)
        scores[contrast] = bundle.training_statistics.score(describe(preparation.apply(scan).data, preparation.mask))
    assert {contrast: score.verdict for contrast, score in scores.items()} == {
        "t1ce": "known",
        "t1": "unusual",
        "t2": "unknown",
    }
