"""What a plan needs is told also for a network whose operations cannot be counted; a wrong argument is refused."""

from pathlib import Path

import pytest
import torch

from voxlate.errors import UsageError
from voxlate.experiments.estimate import describe
from voxlate.experiments.plan import Step


class ReadsValues(torch.nn.Module):
    """A network that turns a tensor into an array while it is built."""

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()
        self.rates = torch.linspace(0, 0.1, 3).numpy()
        self.layer = torch.nn.Conv3d(in_channels, 1, 1)

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
