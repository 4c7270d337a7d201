"""Fixtures that many tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from phantoms import head
from tiny import RECIPE, write_cohort

from voxlate.allocator import keep_freed_memory
from voxlate.bundle.recipe import Recipe, parse_recipe
from voxlate.volume import Volume

settings.register_profile("same examples every time", derandomize=True, database=None)
settings.load_profile("same examples every time")  # a change must not fail by chance; see CONTRIBUTING.md for new ones

keep_freed_memory()  # as the command line does, which makes the tests faster


@pytest.fixture
def scan() -> Volume:
    return head(0)


@pytest.fixture
def oblique() -> Volume:
    """Returns a scan whose axes run left, posterior, superior, tilted by some 20 degrees."""
    tilt = np.deg2rad(20)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.1, -0.9, 1.2])
    affine[:3, 3] = (11, -7, 3)
    return head(1, affine=affine)


@pytest.fixture
def recipe() -> Recipe:
    """Returns the recipe of the tiny cohort."""
    return parse_recipe(RECIPE, name="tiny.yaml")


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Returns the folder of a tiny cohort: two pairs to train on, one for validation, one to test on."""
    folder = tmp_path / "data"
    write_cohort(folder, ["train", "train", "validation", "test"])
    return folder
