"""A synthetic series goes into a real archive and comes back as it was, in the study of its source."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dicom_series import write_series

from voxlate.io.dicom.derived import Derivation, derived_series
from voxlate.io.scans import read_scan

NAMESPACE = ["unshare", "--map-root-user", "--net"]


def may_have_a_network_of_its_own() -> bool:
    if shutil.which("unshare") is None or shutil.which("Orthanc") is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not may_have_a_network_of_its_own(), reason="needs Orthanc and a network namespace")
def test_an_archive_keeps_a_synthetic_series_beside_its_source(tmp_path):
    """Orthanc 1.10.1 listens on every address whatever it is told, so it gets a network without any other."""
    sources = write_series(tmp_path / "in")
    scan = read_scan(tmp_path / "in")
    derivation = Derivation("T1ce", "T1nce", "small", "a" * 64, "b" * 64, "0.1.0", keeps_acquisition=True)
    made = []
    for k, dataset in enumerate(derived_series(scan.volume, scan.dicom, derivation)):
        made.append(tmp_path / f"{k}.dcm")
        dataset.save_as(made[-1], enforce_file_format=True)
    script = Path(__file__).with_name("orthanc_store.py")
    inside = 'ip link set lo up; exec "$@"'
    command = [*NAMESPACE, "sh", "-c", inside, "sh", sys.executable, script, tmp_path, *sources, *made]
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told == {
        "stored": ["Success"],
        "again": ["AlreadyStored"],
        "same": True,
        "patients": 1,
        "studies": 1,
        "series": 2,
    }
