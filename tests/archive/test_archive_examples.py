"""The examples in the docstrings of the archive, the cohort and quality."""

import doctest
from importlib import import_module

import pytest

MODULES = [
    "archive.allowlists", "archive.contrast_agent", "archive.pseudonyms", "archive.series_type", "cohort.splits",
    "quality.fuse_evidence", "quality.measures", "quality.tiers",
]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_give_what_they_show(name):
    outcome = doctest.testmod(import_module(f"voxlate.{name}"))
    assert outcome.attempted > 0
    assert outcome.failed == 0
