"""A synthetic series goes into a real archive and comes back as it was, in the study of its source."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dicom_series import SPACING_MM, voxels, write_series
from flow.orthanc_server import PLUGIN

from voxlate.archive import index, read_table
from voxlate.io.dicom.derived import Derivation, derived_series
from voxlate.io.scans import read_scan

NAMESPACE = ["unshare", "--map-root-user", "--net"]


def may_have_a_network_of_its_own() -> bool:
    if shutil.which("unshare") is None or shutil.which("Orthanc") is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def ran_alone(script, *arguments):
    """Returns what a script prints that runs in a network without any other computer."""
    inside = 'ip link set lo up; exec "$@"'
    command = [*NAMESPACE, "sh", "-c", inside, "sh", sys.executable, Path(__file__).with_name(script), *arguments]
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


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
    assert ran_alone("orthanc_store.py", tmp_path, *sources, *made) == {
        "stored": ["Success"],
        "again": ["AlreadyStored"],
        "same": True,
        "patients": 1,
        "studies": 1,
        "series": 2,
    }


@pytest.mark.skipif(
    not may_have_a_network_of_its_own() or not PLUGIN.is_file(), reason="needs Orthanc with DICOMweb and a namespace"
)
def test_an_archive_is_indexed_as_the_folder_it_was_filled_from_and_its_series_are_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("VOXLATE_UID_SALT", "a secret of the site")
    shift = {"a": 0, "b": 1000}
    paths, sums = [], set()
    for name, offset in shift.items():

        def change(dataset, k, name=name):
            dataset.SeriesInstanceUID = f"1.2.3.{ord(name)}"
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{ord(name)}.{k}"

        paths += write_series(tmp_path / "in" / name, change, data=voxels() + offset)
        sums.add(float((voxels() + offset).sum(dtype="float64")))
    told = ran_alone("orthanc_archive.py", tmp_path, *paths)
    for _ in index(str(tmp_path / "in"), tmp_path / "folder"):
        pass
    assert told["rows"] == read_table(tmp_path / "folder")
    found = dict(told["sums"].values())
    assert set(found) == sums
    assert all(spacing == pytest.approx(SPACING_MM) for spacing in found.values())
