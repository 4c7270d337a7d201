"""A bundle with a known output."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from voxlate.bundle.bundle import Bundle, read_bundle, write_bundle
from voxlate.bundle.recipe import Recipe
from voxlate.models import build

GAIN = 2.5


@pytest.fixture
def identity(recipe: Recipe, tmp_path: Path) -> Path:
    """Returns a bundle of an untrained default network: in relative units its output is the source."""
    torch.manual_seed(0)
    network = build(recipe.model.name, **recipe.model.arguments)
    mapping = {"gain": GAIN, "log_sd": 0.2, "n": 4, "spacing_mm": [0.9, 1.2]}
    write_bundle(
        tmp_path / "identity", recipe, network.state_dict(), documents={"mapping": mapping}, card="# identity\n"
    )
    return tmp_path / "identity"


@pytest.fixture
def bundle(identity: Path) -> Bundle:
    return read_bundle(identity)
