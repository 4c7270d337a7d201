"""Training on two processes of one machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import RECIPE

from voxlate.bundle.bundle import read_weights


def train_on(cohort, tmp_path):
    """Trains one.yaml on one process and two.yaml on two."""
    for name, devices in (("one", "1"), ("two", "2")):
        command = [Path(sys.executable).with_name("voxlate"), "train", tmp_path / f"{name}.yaml"]
        options = [tmp_path / name, "--data", cohort, "--device", "cpu", "--devices", devices]
        environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
        done = subprocess.run([*command, *options], capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_processes_with_half_the_windows_each_learn_what_one_process_learns(cohort, tmp_path):
    # Without noise, flips or gain every window of the tiny cohort that covers a whole head has the same weight sum,
    # so that the mean of two means is the mean.
    text = RECIPE.replace("[16, 16, 16]", "[20, 24, 20]").replace("steps: 12", "steps: 4")
    (tmp_path / "one.yaml").write_text(text)
    (tmp_path / "two.yaml").write_text(text.replace("batch: 2", "batch: 1"))
    train_on(cohort, tmp_path)
    one, two = (read_weights(tmp_path / name / "bundle" / "weights.safetensors") for name in ("one", "two"))
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)
    assert json.loads((tmp_path / "two" / "history.json").read_text())["validation"]


ADVERSARIAL = """
adversarial:
  discriminator: {name: patch_discriminator, arguments: {width: 4}}
  weight: 0.1
"""


@pytest.mark.slow
def test_two_processes_teach_generator_and_discriminator_what_one_process_teaches(cohort, tmp_path):
    text = RECIPE.replace("[16, 16, 16]", "[28, 28, 28]").replace("steps: 12", "steps: 4") + ADVERSARIAL
    (tmp_path / "one.yaml").write_text(text)
    (tmp_path / "two.yaml").write_text(text.replace("batch: 2", "batch: 1"))
    train_on(cohort, tmp_path)
    one, two = (read_weights(tmp_path / name / "checkpoint.safetensors") for name in ("one", "two"))
    losses = [json.loads((tmp_path / name / "history.json").read_text())["training"][0] for name in ("one", "two")]
    assert set(losses[0]) == {"step", "loss", "pixel", "adversarial", "discriminator"}
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for network in ("network.generator.", "network.discriminator."):
        names = [name for name in one if name.startswith(network)]
        assert names
        assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in names)


@pytest.mark.slow
def test_two_processes_train_a_network_with_weights_that_reach_no_output(cohort, tmp_path):
    network = "{name: hr_fcn, arguments: {width: 2, last_fusion: as_coded, normalisation: instance}}"
    before = "{name: translator, arguments: {width: 4, depth: 2, blocks: 1}}"
    text = RECIPE.replace(before, network).replace("[16, 16, 16]", "[24, 24, 24]").replace("steps: 12", "steps: 1")
    text += "inference: {window: [24, 24, 24]}\n"
    (tmp_path / "one.yaml").write_text(text)
    (tmp_path / "two.yaml").write_text(text.replace("batch: 2", "batch: 1"))
    train_on(cohort, tmp_path)
    # The gradients of the first step, from Adam: rounding makes later weights differ where a normalisation follows.
    one, two = (read_weights(tmp_path / name / "checkpoint.safetensors") for name in ("one", "two"))
    names = [name for name in one if name.endswith(".exp_avg")]
    assert names == [name for name in two if name.endswith(".exp_avg")]
    first, second = (torch.cat([each[name].flatten() for name in names]) for each in (one, two))
    assert torch.nn.functional.cosine_similarity(first, second, dim=0) > 0.999
