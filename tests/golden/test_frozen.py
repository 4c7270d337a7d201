"""Whatever the code looks like, its outputs for a seed are the frozen ones."""

import json

import pytest
from golden.frozen import FROZEN, described, make


@pytest.mark.slow
def test_simulator_bundle_synthesis_ledger_report_and_dicom_are_as_frozen(tmp_path):
    make(tmp_path)
    found, frozen = described(tmp_path), json.loads(FROZEN.read_text())
    assert sorted(found) == sorted(frozen)
    for name, expected in frozen.items():
        if name.endswith((".nii.gz", ".safetensors", ".dcm")):
            assert found[name]["values"] == pytest.approx(expected["values"], rel=1e-3, abs=1.01), name
