"""The examples in the docstrings of preparation run."""

import doctest

import pytest

from voxlate.preparation import adc
from voxlate.preparation.steps import intensity


@pytest.mark.parametrize("module", [adc, intensity])
def test_the_examples_in_the_docstrings_run(module):
    result = doctest.testmod(module)
    assert (result.failed, result.attempted > 0) == (0, True)
