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
from voxlate.training.checkpoint import Progress
from voxlate.training.loop import train
from voxlate.training.outputs.card import card
from voxlate.training.outputs.results import UNKNOWN_MAPPING


def train_in(cohort, tmp_path, name, devices, *more):
    """Trains NAME.yaml on so many processes."""
    command = [Path(sys.executable).with_name("voxlate"), "train", tmp_path / f"{name}.yaml", tmp_path / name, *more]
    options = ["--data", cohort, "--device", "cpu", "--devices", str(devices)]
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, env=environment, check=False, cwd=tmp_path
    )


def train_on(cohort, tmp_path):
    """Trains one.yaml on one process and two.yaml on two."""
    for name, devices in (("one", 1), ("two", 2)):
        done = train_in(cohort, tmp_path, name, devices)
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


LOSSES = """
import os

import torch


def mean(synthetic, target, mask):
    return (synthetic - target).abs().mean()


def diverges(synthetic, target, mask):
    return mean(synthetic, target, mask) * (float("nan") if os.environ["LOCAL_RANK"] == "1" else 1)


def is_full(synthetic, target, mask):
    if os.environ["LOCAL_RANK"] == "1":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return mean(synthetic, target, mask)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "status", "messages"),
    [
        ("diverges", 65, ("LOSS_NOT_FINITE the loss is nan at step 0 on case", "LOSS_NOT_FINITE the loss of another")),
        ("is_full", 75, ("MEMORY the memory is full", "KILLED another process of the training ended; its message")),
    ],
)
def test_when_one_process_fails_all_end_with_its_status(cohort, tmp_path, loss, status, messages):
    (tmp_path / "odd_losses.py").write_text(LOSSES)
    (tmp_path / "two.yaml").write_text(RECIPE.replace("l1: 1.0", f'"odd_losses:{loss}": 1.0'))
    done = train_in(cohort, tmp_path, "two", 2)
    assert done.returncode == status, done.stderr
    assert all(message in done.stderr for message in messages)
    assert "unexpected" not in done.stderr


PROGRAM = """
import os, time
from voxlate.training.launch import launch
print(os.getpid(), flush=True)
launch("cpu", devices=2, nodes=1, precision="32-true", seeks_unreached=False)
os._exit(3) if os.environ["LOCAL_RANK"] == "0" else time.sleep(60)
"""


@pytest.mark.slow
def test_the_processes_of_a_training_end_with_the_one_that_started_them(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, tmp_path / "program.py"]
    # `run` returns when all processes have closed the pipe.
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=50)
    assert done.returncode == 3, done.stderr
    assert len(done.stdout.split()) == 2


def steps_on_the_card(recipe, progress):
    names = {"train": ["a"], "validation": [], "test": []}
    text = card(recipe, {}, names=names, progress=progress, mapping=UNKNOWN_MAPPING)
    return next(line for line in text.splitlines() if line.startswith("| steps |"))


def test_the_card_counts_the_windows_of_all_processes_also_where_their_number_changed(recipe, caplog):
    def counted(progress):
        return steps_on_the_card(recipe, progress).partition(" of ")[2].removesuffix(" of (16, 16, 16) voxels |")

    progress = Progress()
    progress.note_processes(1)
    assert counted(progress) == "2 windows"
    progress = Progress()
    progress.note_processes(4)
    assert counted(progress) == "8 windows (2 in each of 4 processes)"
    progress.step = 6
    progress.note_processes(4)
    assert progress.processes == [{"step": 0, "processes": 4}]
    assert not caplog.records
    progress.note_processes(1)
    assert counted(progress) == "8 windows (2 in each of 4 processes), from step 6 on 2 windows"
    assert (
        "PROCESSES_DIFFER 1 process goes on with a training of 4: from step 6 on a step sees 0.25 times as"
        in caplog.text
    )


def test_a_checkpoint_of_a_version_that_kept_no_processes_goes_on_without_a_warning(recipe, caplog):
    progress = Progress(step=4, best=None, stale=0, training=[], validation=[], stopped=[])
    assert "| 12 of 2 windows in each process of (" in steps_on_the_card(recipe, progress)
    progress.note_processes(2)
    assert not caplog.records
    assert "2 windows in each process, from step 4 on 4 windows (2 in each" in steps_on_the_card(recipe, progress)


class Killed(Exception):
    """Stands for a job that is stopped from outside."""


@pytest.mark.slow
def test_a_run_that_two_processes_go_on_with_says_so(recipe, cohort, tmp_path):
    def kill(progress, loss):
        if progress.step == 7:
            raise Killed

    with pytest.raises(Killed):
        train(recipe, tmp_path / "two", root=cohort, watch=kill)
    (tmp_path / "two.yaml").write_text(RECIPE)
    done = train_in(cohort, tmp_path, "two", 2, "--resume")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("PROCESSES_DIFFER 2 processes go on with a training of 1") == 1
    history = json.loads((tmp_path / "two" / "bundle" / "history.json").read_text())
    assert history["processes"] == [{"step": 0, "processes": 1}, {"step": 4, "processes": 2}]
    text = (tmp_path / "two" / "bundle" / "card.md").read_text()
    assert "12 of 2 windows, from step 4 on 4 windows (2 in each of 2 processes) of (16, 16, 16) voxels" in text
