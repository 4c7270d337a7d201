"""The examples in the docstrings of the simulator."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import voxlate.simulation

FOLDER = Path(voxlate.simulation.__file__).parent
MODULES = [
    path.relative_to(FOLDER).with_suffix("") for path in sorted(FOLDER.rglob("*.py")) if "files" not in path.parts
]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_the_examples_give_what_they_show(module):
    name = ".".join(("voxlate.simulation", *module.parts)).removesuffix(".__init__")
    assert doctest.testmod(import_module(name)).failed == 0
