"""The worked example of CONTRIBUTING.md runs as printed, and passes the contract tests of losses."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from voxlate import losses

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Writes the two files of the example, registers the loss, and yields the folder of its test."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    module, test = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "log_cosh.py").write_text(module)
    (tmp_path / "test_log_cosh.py").write_text(test)
    monkeypatch.setattr(losses, "__path__", [*losses.__path__, str(tmp_path)])
    yield tmp_path
    losses.LOSSES.pop("log_cosh", None)
    sys.modules.pop("voxlate.losses.log_cosh", None)


def test_the_example_of_a_loss_passes_its_own_test_and_the_contract(example):
    spec = importlib.util.spec_from_file_location("test_log_cosh", example / "test_log_cosh.py")
    own = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(own)
    own.test_log_cosh_has_the_value_of_its_formula_and_does_not_overflow()
    from losses import test_contract as contract
    from voxlate.losses.log_cosh import log_cosh

    losses.LOSSES["log_cosh"] = log_cosh
    contract.test_the_same_image_loses_nothing("log_cosh")
    contract.test_a_worse_image_loses_more("log_cosh")
    contract.test_an_empty_mask_gives_zero_and_a_finite_gradient("log_cosh")
    contract.test_what_lies_far_from_the_mask_does_not_count("log_cosh")
