"""A run that is told to stop loses nothing."""

import logging
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from tiny import RECIPE

from voxlate.bundle.bundle import read_weights
from voxlate.bundle.recipe import read_recipe
from voxlate.errors import InputRefused
from voxlate.training import checkpoint, validation
from voxlate.training.loop import train


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_ends_the_run_after_its_step_and_the_same_command_goes_on(cohort, tmp_path, caplog, number, status):
    caplog.set_level(logging.INFO, "voxlate")
    steps = 200
    (tmp_path / "r.yaml").write_text(RECIPE.replace("steps: 12", f"steps: {steps}"))
    command = [sys.executable, "-m", "voxlate", "train", tmp_path / "r.yaml", "--data", cohort]
    process = subprocess.Popen([*command, tmp_path / "cut"], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (tmp_path / "cut" / "checkpoint.safetensors").exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in told
    (step,) = map(int, re.findall(rf"stopped after step (\d+) of {steps}; the same command with --resume", told))
    assert 0 < step < steps
    recipe = read_recipe(tmp_path / "r.yaml")
    train(recipe, tmp_path / "cut", root=cohort, resume=True)
    assert f"resumed at step {step} of {steps}" in caplog.text
    train(recipe, tmp_path / "whole", root=cohort)
    whole, cut = (read_weights(tmp_path / name / "bundle" / "weights.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_a_checkpoint_is_written_by_the_clock_too(recipe, cohort, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    def watch(progress, loss):
        if progress.step == 3:
            raise Killed

    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(Killed):
        train(recipe, tmp_path / "run", root=cohort, watch=watch)
    assert (tmp_path / "run" / "checkpoint.safetensors").is_file()


def test_a_run_says_what_it_is_about_and_that_there_is_nothing_to_resume(recipe, cohort, tmp_path, caplog):
    caplog.set_level(logging.INFO, "voxlate")
    train(recipe, tmp_path / "run", root=cohort, resume=True)
    assert "run has no checkpoint to resume; the run begins at step 0" in caplog.text
    assert re.search(
        r"training on 2 cases, validating on 1; translator of [\d,]+ parameters on cpu, \d+ threads?", caplog.text
    )


def test_an_error_on_validation_cases_that_is_not_a_number_ends_the_training(recipe, cohort, tmp_path, monkeypatch):
    def broken(*_):
        return validation.ValidationResult(float("nan"), np.zeros((2, 2), dtype=np.float32))

    monkeypatch.setattr(validation, "validate", broken)
    with pytest.raises(InputRefused, match=r"DIVERGED the error on the validation cases is nan after step 4"):
        train(recipe, tmp_path / "run", root=cohort)
