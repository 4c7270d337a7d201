"""The scorer of the comparison with peers, which shares no code with `voxlate evaluate`, gives the same numbers."""

import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from voxlate.bundle.recipe import read_recipe
from voxlate.evaluation.enhancement import AgentDirection, EnhancementMeasure
from voxlate.shipped import find_shipped
from voxlate.simulation.subject import simulate_subject

sys.path += [str(Path(__file__).resolve().parents[2] / "benchmarks" / name) for name in ("", "peers")]

import score
from common import target_units
from compare import SYSTEMS, complete_systems, fits, keep_recorded
from tasks import TASKS, folds_of
from voxlate_default import changed


@pytest.fixture(scope="module")
def pair():
    subject = simulate_subject("t1ce_t1", seed=5)
    mask = subject.truth.brain_mask.data > 0.5
    images = [subject.images[name].data.astype(float) for name in ("T1ce", "T1w")]
    return *(np.where(mask, image / np.median(image[mask]), 0) for image in images), mask


def test_the_residual_enhancement_is_that_of_voxlate_evaluate(pair):
    source, target, mask = pair
    image = 0.4 * source + 0.6 * target
    ours = score.enhancement(image, source, target, mask, 1)
    measure = EnhancementMeasure(source, target, mask, spacing_mm=(1.0, 1.0, 1.0), direction=AgentDirection(1))
    theirs = {each.metric: each.value for each in measure.scores(image)}
    assert ours["residual enhancement"] == pytest.approx(theirs["residual_enhancement"], abs=1)
    assert ours["less than half removed"] == pytest.approx(theirs["less_than_half_removed"], abs=1)
    assert ours["disturbance"] == pytest.approx(theirs["disturbance"], abs=1)


def test_the_source_keeps_all_enhancement_and_the_target_none(pair):
    source, target, mask = pair
    assert score.enhancement(source, source, target, mask, 1)["residual enhancement"] == pytest.approx(100)
    assert score.enhancement(target, source, target, mask, 1)["residual enhancement"] == pytest.approx(0, abs=1e-9)


def test_a_model_that_adds_the_agent_is_scored_in_reverse(pair):
    enhanced, plain, mask = pair
    found = score.enhancement(plain, plain, enhanced, mask, -1)
    assert found["residual enhancement"] == pytest.approx(100)


def test_the_best_line_removes_a_gain_and_an_offset(pair):
    _, target, mask = pair
    scored = score.scores(np.where(mask, 3 * target + 1, 0), target, target, mask, None, agent=0)
    assert scored["mae after the line"] == pytest.approx(0, abs=1e-6)
    assert scored["mae"] > 10


def test_the_blurred_target_keeps_a_constant_up_to_the_border_of_the_mask(pair):
    mask = pair[2]
    assert np.allclose(score.blurred(np.where(mask, 2.0, 0.0), mask, 1.5)[mask], 2.0)


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_the_recipe_of_each_task_takes_its_sources(task):
    recipe = changed(read_recipe(find_shipped("recipes", Path(task.recipe), what="recipe")), task.change)
    assert 1 + len(recipe.more_sources) == len(task.sources)
    assert recipe.more_sources == task.more
    fitting = [name for name, system in SYSTEMS.items() if fits(system, task)]
    assert {"voxlate", "MONAI U-Net", "nnU-Net residual encoder", "pix2pix"} <= set(fitting)
    assert ("KonfAI U-Net" in fitting) == (len(task.sources) == 1)


@pytest.mark.parametrize("is_of_mask", [True, False])
def test_an_answer_in_z_scores_becomes_the_image_again(is_of_mask, tmp_path):
    random = np.random.default_rng(0)
    image, mask = random.uniform(1, 9, (8, 8, 8)), np.zeros((8, 8, 8))
    image[:, :, 5:], mask[2:6, 2:6, :4] = 20, 1
    for name, data in (("target", image), ("mask", mask)):
        nibabel.save(nibabel.Nifti1Image(data.astype(np.float32), np.eye(4)), tmp_path / f"{name}.nii.gz")
    scored = image[mask > 0] if is_of_mask else image
    answer = (image - scored.mean()) / scored.std()
    case = {name: str(tmp_path / f"{name}.nii.gz") for name in ("target", "mask")}
    mean, deviation = target_units([case], is_of_mask=is_of_mask)
    assert answer * deviation + mean == pytest.approx(image / np.median(image[mask > 0]), abs=1e-5)


def test_a_call_for_one_system_keeps_the_rows_of_the_others(tmp_path):
    task = TASKS["t1ce-to-t1"]
    for name, folds in (("voxlate", 3), ("MONAI U-Net", 3), ("pix2pix", 2)):
        for fold in range(folds):
            (tmp_path / name / f"fold-{fold}").mkdir(parents=True)
            (tmp_path / name / f"fold-{fold}" / "record.json").write_text("{}")
    assert complete_systems(task, tmp_path, 3) == ["voxlate", "MONAI U-Net"]


def test_every_subject_is_tested_once():
    cases = [{"name": f"sub-{index}"} for index in range(9)]
    tested = [name for fold in folds_of(TASKS["ct-to-t1"], cases) for name in fold]
    assert sorted(tested) == [case["name"] for case in cases]


def test_systems_whose_images_are_gone_keep_their_rows_and_scored_ones_are_new():
    found, records = {"a": {"x": {"mae": 1.0}}}, {"a": [1]}
    rows = {"a": {"x": {"mae": 9.0}}, "b": {"x": {"mae": 2.0, "mae in lesions": None}}}
    keep_recorded(found, records, {"records": {"a": [0], "b": [2]}, "cases": rows})
    assert records == {"a": [1], "b": [2]}
    assert found["a"] == {"x": {"mae": 1.0}}
    assert found["b"]["x"]["mae"] == 2
    assert np.isnan(found["b"]["x"]["mae in lesions"])
    keep_recorded(found, records, {})
    assert list(records) == ["a", "b"]
