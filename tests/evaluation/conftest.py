"""Fixtures of the evaluation's tests."""

import pytest
from small_study import write_bundle, write_case


@pytest.fixture
def study(tmp_path):
    """Returns the folder and the cases of three patients."""
    return tmp_path, [write_case(tmp_path, f"case_{seed}", seed=seed) for seed in range(3)]


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path)
