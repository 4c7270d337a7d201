"""Training of layers that give the result the contrast of a reference."""

import json

import numpy as np
import pytest
import torch

import voxlate
from voxlate.bundle.bundle import read_bundle, read_weights
from voxlate.bundle.contrast_descriptor import SHARES
from voxlate.bundle.prepared_case import all_sources, prepare_case
from voxlate.bundle.recipe import Recipe
from voxlate.errors import ModelInvalid, UsageError
from voxlate.models import build
from voxlate.models.gain_offset_unet import takes_reference, with_reference
from voxlate.training.data.dataset import WindowDataset
from voxlate.training.data.windows import draw_batch, micro_batches
from voxlate.training.loop import train


def changed(recipe: Recipe, **changes: object) -> Recipe:
    content = recipe.model_dump(mode="json")
    for name, value in changes.items():
        content[name] = content[name] | value if isinstance(content[name], dict) else value
    return Recipe.model_validate(content)


@pytest.fixture
def alone(recipe):
    """Returns a recipe that trains the layers of a reference alone."""
    augmentation = {"contrast": 0.0, "gain": 0.0, "bias": 0.0, "target_curve": 1.0}
    return changed(recipe, reference={"share": 1.0, "alone": True}, augmentation=augmentation)


def test_a_window_has_the_quantiles_of_the_whole_brain_of_its_case(recipe, cohort, tmp_path):
    still = changed(recipe, reference={"share": 1.0}, augmentation={"contrast": 0.0, "noise": 0.0})
    case = prepare_case(still.cases(cohort)[0], tmp_path, still.preparation)
    batch = draw_batch([case], still, 0)
    for given, image in zip(batch.contrasts[0].numpy(), (case.source, case.target), strict=True):
        inside = np.asarray(image)[np.asarray(case.mask)]
        assert given == pytest.approx(np.quantile(inside, SHARES) / np.median(inside), rel=0.02)
    assert [len(part.contrasts) for part in micro_batches(batch, 1)] == [1, 1]
    assert draw_batch([case], recipe, 0).contrasts is None


def test_a_share_of_the_windows_has_no_reference(recipe, cohort, tmp_path):
    half = changed(recipe, reference={"share": 0.5})
    case = prepare_case(half.cases(cohort)[0], tmp_path, half.preparation)
    given = [bool(one.any()) for step in range(40) for one in draw_batch([case], half, step).contrasts]
    assert 0.3 < np.mean(given) < 0.7


def test_layers_trained_alone_leave_the_model_as_it_was_and_follow_the_reference(recipe, alone, cohort, tmp_path):
    start = train(recipe, tmp_path / "start", root=cohort)
    longer = changed(alone, training={"steps": 150, "learning_rate": 0.01, "keep": "last"})
    bundle = train(longer, tmp_path / "run", root=cohort, start_from=start)
    before, after = read_weights(start / "weights.safetensors"), read_weights(bundle / "weights.safetensors")
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert {name.split(".")[0] for name in set(after) - set(before)} == {"reference"}

    network = read_bundle(bundle).network
    case = prepare_case(longer.cases(cohort)[0], tmp_path / "prepared", longer.preparation)
    inside, x = np.asarray(case.mask), all_sources(case)[None]
    errors = []
    for power in (0.7, 1.4):  # two contrasts that no training case has
        target, contrasts = np.asarray(case.target) ** power, case.contrasts.copy()
        contrasts[1] **= power
        with torch.no_grad():
            made = [each(x)[0, 0].numpy() for each in (network, with_reference(network, contrasts))]
        errors.append([np.abs(image - target)[inside].mean() for image in made])
    plain, like = np.mean(errors, axis=0)
    assert like < 0.75 * plain


def test_layers_and_network_can_be_trained_together_and_resumed(recipe, cohort, tmp_path):
    both = changed(recipe, reference={"share": 0.5})

    def stop(progress, loss):
        if progress.step == 5:
            raise InterruptedError

    whole = train(both, tmp_path / "whole", root=cohort)
    with pytest.raises(InterruptedError):
        train(both, tmp_path / "cut", root=cohort, watch=stop)
    cut = train(both, tmp_path / "cut", root=cohort, resume=True)
    first, second = (read_weights(folder / "weights.safetensors") for folder in (whole, cut))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert first["reference.last.weight"].any()
    assert json.loads((whole / "history.json").read_text())["validation"]


def test_a_start_of_another_network_is_still_refused(recipe, alone, cohort, tmp_path):
    start = train(
        changed(recipe, model={"arguments": {"width": 8, "depth": 2, "blocks": 1}}), tmp_path / "a", root=cohort
    )
    with pytest.raises(ModelInvalid, match="MODEL_WEIGHTS"):
        train(alone, tmp_path / "b", root=cohort, start_from=start)


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("model.name: translator", {"model": {"name": "unet", "arguments": {}}}),
        ("in units of its median", {"preparation": {"reference": "min_max"}}),
        ("an MR as its source", {"preparation": {"range_hu": [0, 80], "target_reference": "median_in_mask"}}),
        ("supervised training", {"adversarial": {"discriminator": {"name": "patch_discriminator"}}}),
        ("no other network can know the curve", {"reference": None, "augmentation": {"target_curve": 0.5}}),
    ],
)
def test_recipes_that_cannot_have_a_reference_are_refused(alone, message, changes):
    content = alone.model_dump(mode="json")
    for name, value in changes.items():
        content[name] = content[name] | value if isinstance(value, dict) and content[name] else value
    with pytest.raises(ValueError, match=message):
        Recipe.model_validate(content)


def test_windows_of_a_dataset_have_no_contrast_of_a_whole_brain(alone):
    windows = WindowDataset([(np.ones((1, 16, 16, 16), np.float32), np.ones((1, 16, 16, 16), np.float32))])
    with pytest.raises(UsageError, match="DATASET windows do not show the contrast"):
        windows.require_channels(alone)


def test_a_recipe_without_a_reference_goes_on_from_a_bundle_with_one(recipe, cohort, tmp_path):
    start = train(changed(recipe, reference={"share": 0.5}), tmp_path / "start", root=cohort)
    still = changed(recipe, training={"steps": 1, "learning_rate": 1e-12, "weight_decay": 0.0})
    bundle = train(still, tmp_path / "more", root=cohort, start_from=start)
    before, after = read_weights(start / "weights.safetensors"), read_weights(bundle / "weights.safetensors")
    assert not any(name.startswith("reference.") for name in after)
    assert all(torch.allclose(tensor, before[name], atol=1e-6) for name, tensor in after.items())
    again = voxlate.train(recipe, tmp_path / "object", data=cohort, network=read_bundle(start))
    assert not takes_reference(read_bundle(again).network)


def test_a_network_without_the_layers_is_refused_for_a_recipe_that_trains_them(alone, cohort, tmp_path):
    for network in (build("unet", width=4, depth=2), build("translator", width=4, depth=2)):
        with pytest.raises(UsageError, match=r"CUSTOM_CODE the network has no layers for a reference"):
            voxlate.train(alone, tmp_path / "run", data=cohort, network=network)
