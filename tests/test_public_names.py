"""The public interface: sorted, complete, lazily loaded, typed."""

import doctest
import subprocess
import sys
from importlib import resources

import pytest

import voxlate


def test_public_names_are_sorted_and_each_can_be_loaded():
    assert voxlate.__all__ == sorted(voxlate.__all__)
    assert set(voxlate.__all__) == {*voxlate._PUBLIC, "__version__"}
    for name in voxlate.__all__:
        assert getattr(voxlate, name) is not None
        assert name == "__version__" or (getattr(voxlate, name).__doc__ or "").strip()


def test_importing_voxlate_loads_nothing_heavy():
    code = "import sys, voxlate; print(sorted({'torch', 'numpy', 'nibabel', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = voxlate.nothing


def test_the_package_is_marked_as_typed():
    assert (resources.files("voxlate") / "py.typed").is_file()


def test_the_examples_of_the_package_run():
    assert doctest.testmod(voxlate).failed == 0
