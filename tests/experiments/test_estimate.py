"""What a plan needs is told also for a network whose operations cannot be counted; a wrong argument is refused."""

from pathlib import Path

import pytest
import torch

from voxlate.errors import UsageError
from voxlate.experiments import estimate
from voxlate.experiments.estimate import describe, least_training_seconds
from voxlate.experiments.plan import Step


class ReadsValues(torch.nn.Module):
    """A network that turns a tensor into an array while it is built."""

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()
        self.rates = torch.linspace(0, 0.1, 3).numpy()
        self.layer = torch.nn.Conv3d(in_channels, 1, 1)

    def forward(self, x):
        return self.layer(x)


class OneLayer(torch.nn.Module):
    """A network of one convolution of 27 weights."""

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()
        self.layer = torch.nn.Conv3d(in_channels, 1, 3, padding=1, bias=False)

    def forward(self, x):
        return self.layer(x)


def training_of(recipe, name, **arguments):
    model = recipe.model.model_copy(update={"name": name, "arguments": arguments})
    return Step("train-one", ("train",), (), Path("run"), recipe=recipe.model_copy(update={"model": model}))


def test_a_network_that_reads_values_has_no_time_and_no_memory(recipe, tmp_path):
    line, _ = describe([training_of(recipe, f"{__name__}:ReadsValues")], tmp_path)
    assert "2 parameters, unknown memory, unknown time" in line


@pytest.mark.parametrize("name", [f"{__name__}:ReadsValues", "drunet"])
def test_a_wrong_argument_of_a_network_is_refused(recipe, tmp_path, name):
    with pytest.raises(UsageError, match="MODEL_ARGUMENT"):
        list(describe([training_of(recipe, name, widht=4)], tmp_path))


def test_the_least_time_of_a_training_is_its_operations_over_the_speed_of_the_processor(recipe, monkeypatch):
    monkeypatch.setattr(estimate, "_flops_per_second", lambda: 1e6)
    layer = f"{__name__}:OneLayer"
    one = training_of(recipe, layer).recipe
    voxels = one.training.batch * one.training.window[0] * one.training.window[1] * one.training.window[2]
    assert least_training_seconds(one) == pytest.approx(3 * 2 * 27 * voxels * one.steps / 1e6)
    assert least_training_seconds(training_of(recipe, f"{__name__}:ReadsValues").recipe) is None
