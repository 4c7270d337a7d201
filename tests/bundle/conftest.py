"""Fixtures around the tiny cohort, as in tests/training."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import RECIPE, write_cohort

from voxlate.bundle.recipe import Recipe, parse_recipe


@pytest.fixture
def recipe() -> Recipe:
    return parse_recipe(RECIPE, name="tiny.yaml")


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    write_cohort(folder, ["train", "train", "validation", "test"])
    return folder
