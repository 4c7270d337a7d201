"""The shipped models say whom they were trained on, and the list is that of their training."""

import json
from pathlib import Path

import pytest
from bench_fine_tuning import split_by
from machine import pair_cases
from phantoms import DATA
from simulated_heads import TISSUE_MAPS

from voxlate.bundle.bundle import verify_bundle
from voxlate.bundle.pretrained import find_bundle, load_bundle, model_card
from voxlate.bundle.recipe import read_recipe
from voxlate.cases import write_cases
from voxlate.io.atomic import sha256
from voxlate.training.loop import train

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("ct-to-t1", "ct-to-t2", "t1ce-to-t1", "t1ce-to-t1-simulated")
OPEN_LICENCES = {"CC BY", "CC BY 3.0", "CC BY 4.0", "Apache-2.0"}


def provenance(name: str) -> dict:
    folder = find_bundle(name)
    assert "provenance.json" in verify_bundle(folder)
    return json.loads((folder / "provenance.json").read_text())


@pytest.mark.parametrize("name", SHIPPED)
def test_every_training_subject_has_an_origin_and_a_licence_that_lets_weights_be_shared(name):
    content, bundle = provenance(name), load_bundle(name)
    assert content["weights_sha256"] == bundle.weights_sha256
    assert {each for stage in content["stages"] for each in stage["data"]} == set(content["data"])
    for subjects in content["data"].values():
        assert len({subject["subject"] for subject in subjects}) == len(subjects) > 0
        assert all(subject["origin"] and subject["licence"] in OPEN_LICENCES for subject in subjects)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_last_stage_is_that_of_the_bundle_and_its_recipe_still_says_so(name):
    last, recipe = provenance(name)["stages"][-1], load_bundle(name).recipe
    of_file = read_recipe(
        ROOT / "recipes" / f"{last['recipe']}.yaml", variants=last["variants"], overrides=last["changes"]
    )
    assert (last["steps"], last["seed"]) == (recipe.steps, recipe.training.seed) == (of_file.steps, 0)
    assert of_file.loss == recipe.loss
    assert of_file.reference == recipe.reference
    assert of_file.augmentation == recipe.augmentation
    assert of_file.training == recipe.training


def test_the_fine_tuned_model_names_its_pairs_and_the_model_that_it_started_from():
    content = provenance("t1ce-to-t1")
    pairs = content["data"]["pairs"]
    assert all(pair["subject"] in model_card("t1ce-to-t1") for pair in pairs)
    base = content["stages"][0]["starts_from"]
    assert base["weights_sha256"] == load_bundle(base["model"]).weights_sha256


@pytest.mark.skipif(not DATA.is_dir(), reason="the development data are not there")
def test_the_hashes_are_those_of_the_images_of_the_pairs():
    recorded = {pair["subject"]: pair["sha256"] for pair in provenance("t1ce-to-t1")["data"]["pairs"]}
    images = {case.case: {"T1ce": case.source, "T1w": case.target} for case in pair_cases(DATA / "pairs")}
    for subject, digests in recorded.items():
        assert digests == {contrast: sha256(path) for contrast, path in images[subject].items()}


class _Enough(Exception):
    """Ends a training early."""


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir() or not TISSUE_MAPS.is_dir(), reason="the development data are not there")
def test_the_first_twenty_steps_of_the_fine_tuned_model_are_repeated(tmp_path):
    content = provenance("t1ce-to-t1")
    last = next(stage for stage in content["stages"] if stage["variants"] == ["several_pairs"])
    trained_on = {pair["subject"] for pair in content["data"]["pairs"]}
    write_cases(tmp_path / "cases.tsv", split_by(DATA / "pairs", trained_on))
    recipe = read_recipe(
        ROOT / "recipes" / f"{last['recipe']}.yaml",
        variants=last["variants"],
        overrides={"simulated.heads": str(TISSUE_MAPS)},
    )
    losses: dict[int, float] = {}

    def watch(progress, loss):
        losses[progress.step] = loss
        if progress.step == 20:
            raise _Enough

    with pytest.raises(_Enough):
        train(
            recipe, tmp_path / "run", root=tmp_path, start_from=find_bundle(last["starts_from"]["model"]), watch=watch
        )
    history = json.loads((find_bundle("t1ce-to-t1") / "history.json").read_text())["before"]["training"]
    recorded = {point["step"]: point["loss"] for point in history if point["step"] <= 20}
    assert set(recorded) == {1, 10, 20}
    # Processors round differently; another window, seed or start changes a loss by a fifth and more.
    assert {step: losses[step] for step in recorded} == pytest.approx(recorded, rel=0.02)
