"""The paragraph for a methods section follows from what was done."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from voxlate.evaluation.schema.results import read_evaluation
from voxlate.models import GENERATORS
from voxlate.preparation.masks.brain_mask import AUTO, BRAIN_MASKS
from voxlate.preparation.preprocessing import PreparationSettings
from voxlate.reporting.page import page
from voxlate.reporting.sections.methods import MASKS, methods_text
from voxlate.reporting.sections.references import NETWORKS, REFERENCES

MODEL: dict[str, Any] = {
    "network": "att_unet",
    "loss": {"l1": 1.0, "gradient": 0.25, "ssim": 0.0},
    "preparation": {"brain_mask": "deepbet", "bias": True, "reference": "median_in_mask"},
    "steps": 1100,
    "batch": 2,
    "window": [64, 64, 64],
    "optimiser": "adamw",
    "learning_rate": 0.001,
    "training_cases": 6,
}


def told(folder, **model: Any) -> tuple[str, list[str]]:
    folder.content["model"] = {**MODEL, **model} if model or model == {} else None
    sentences, references = methods_text(read_evaluation(folder.write()))
    return " ".join(sentences), references


def test_the_text_states_network_preparation_training_cases_metrics_and_version(evaluation) -> None:
    folder = evaluation("a", "b", "c", images=False)
    text, references = told(folder)
    assert "computed from T1ce images with voxlate 0.1.0" in text
    assert "simulated T1 images in 3 scans of 3 patients" in text
    assert "a 3D U-Net with attention gates [1]" in text
    assert "l1 (weight 1), gradient (weight 0.25)." in text  # a loss of weight 0 was not used
    assert "on 6 cases, for 1,100 optimiser steps, with 2 windows of 64 x 64 x 64 voxels per step, by AdamW" in text
    assert "brain masks as given, or else by deepbet [2]; the bias field was corrected with N4 [3]" in text
    assert "MAE, PSNR, SSIM [4]" in text
    assert [reference.split()[0] for reference in references] == ["Bottani", "Fisch", "Tustison", "Wang"]


def test_the_default_method_of_the_brain_mask_is_stated_with_all_that_it_chooses_from(evaluation) -> None:
    assert PreparationSettings().brain_mask == AUTO
    text, references = told(evaluation("a", images=False), preparation={"brain_mask": AUTO})
    assert (
        "brain masks as given, or else as the scan required, the non-zero voxels of skull-stripped scans, found on the "
        "CT or by deepbet [2]."
    ) in text
    assert references[1].startswith("Fisch")


def test_the_brain_masks_are_those_of_the_evaluated_cases_where_all_of_them_state_them(
    evaluation,
) -> None:
    folder = evaluation("a", "b", images=False)
    paths = [folder.path / case["paths"]["synthetic"] for case in folder.content["cases"]]

    def state(*methods: str) -> str:
        for path, method in zip(paths, methods, strict=True):
            sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
            sidecar.parent.mkdir(exist_ok=True, parents=True)
            brain = {"BrainMask": {"method": method}} if method else {}
            sidecar.write_text(json.dumps({"Synthetic": {"QC": brain}}))
        text, references = told(folder, preparation={"brain_mask": AUTO})
        assert ("Fisch" in " ".join(references)) == ("deepbet" in text)
        return text

    assert "brain masks as given." in state("given", "given")
    assert "brain masks the non-zero voxels of skull-stripped scans." in state("nonzero", "nonzero")
    assert "brain masks by deepbet [2] or as given." in state("given", "deepbet")
    assert "brain masks as given, or else as the scan required" in state("given", "")


def test_the_start_of_a_training_is_stated(evaluation) -> None:
    text, _ = told(evaluation("a", images=False), starts=["second (ffff)", "first (eeee)"])
    assert "Its training began with the weights of second (ffff), which began with those of first (eeee)." in text


def test_the_text_turns_with_what_was_done(evaluation) -> None:
    folder = evaluation("a", images=False)
    text, _ = told(folder, network="unet", preparation={"brain_mask": "nonzero", "range_hu": [0, 80]}, training_cases=0)
    assert "The network is a U-Net [1]" in text
    assert "N4" not in text
    assert "CT was windowed from 0 to 80 HU" in text
    assert "in 1 scan of 1 patient." in text
    assert "trained on" not in text


def test_tests_are_stated_only_where_they_were_run(evaluation) -> None:
    folder = evaluation("a", "b", "c", images=False)
    text, references = told(folder)
    assert "no test was run" in text
    assert not any(reference.startswith("Holm") for reference in references)
    folder.compare(interval="Student's t")
    text, references = told(folder)
    assert "paired over patients, adjusted by Holm's method [5] within families of 6 tests" in text
    assert "95 % intervals of the mean difference by Student's t" in text
    assert references[-1].startswith("Holm")


@pytest.mark.parametrize(("interval", "is_told"), [("studentised bootstrap", True), ("Student's t", False)])
def test_the_limit_of_a_bootstrap_interval_is_stated_beside_it(evaluation, interval, is_told) -> None:
    folder = evaluation("a", "b", images=False)
    folder.compare(interval=interval)
    assert ("One patient far from all others makes" in told(folder)[0]) == is_told


@pytest.mark.parametrize(("change", "reference"), [("is_cycle", "Zhu"), ("is_adversarial", "Isola")])
def test_an_adversarial_training_is_cited(evaluation, change, reference) -> None:
    _, references = told(evaluation("a", images=False), **{change: True})
    assert any(one.startswith(reference) for one in references)


def test_without_a_bundle_the_network_is_not_stated_and_the_page_says_so(evaluation) -> None:
    text = page(read_evaluation(evaluation("a", images=False).write()))
    assert "The network is" not in text
    assert "the evaluation was run without a bundle" in text


def test_every_network_and_every_mask_has_its_words_and_every_key_its_reference() -> None:
    assert set(NETWORKS) == set(GENERATORS)
    assert set(MASKS) == set(BRAIN_MASKS)
    keys = {key for _, key in [*NETWORKS.values(), *MASKS.values()] if key}
    assert keys <= set(REFERENCES)


def test_every_number_in_brackets_has_its_reference(evaluation) -> None:
    folder = evaluation("a", "b", "c", images=False)
    folder.compare()
    text, references = told(folder, is_adversarial=True)
    numbers = {int(number) for number in re.findall(r"\[(\d+)\]", text)}
    assert numbers == set(range(1, len(references) + 1))
