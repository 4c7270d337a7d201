"""The examples in the docstrings of the statistics of reader studies."""

import doctest
from importlib import import_module

import pytest

MODULES = ("agreement", "mrmc")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_run(name):
    done = doctest.testmod(import_module(f"voxlate.readers.analysis.statistics.{name}"))
    assert done.attempted > 0
    assert done.failed == 0
