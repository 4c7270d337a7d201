"""The demo deletes nothing that it did not make."""

import pytest
from click.testing import CliRunner

from voxlate.demo.__main__ import MADE, MARKER, claim, demo
from voxlate.errors import UsageError


def test_a_folder_of_somebody_else_is_refused_and_stays_as_it_is(tmp_path):
    kept = tmp_path / "data" / "scan.nii.gz"
    kept.parent.mkdir()
    kept.write_text("mine")
    with pytest.raises(UsageError, match="FOLDER"):
        claim(tmp_path)
    assert kept.read_text() == "mine"


def test_a_folder_of_the_demo_loses_its_results_and_keeps_the_files_of_others(tmp_path):
    claim(tmp_path / "demo")
    assert (tmp_path / "demo" / MARKER).is_file()
    made = tmp_path / "demo" / MADE[0]
    made.mkdir()
    (tmp_path / "demo" / "notes.txt").write_text("mine")
    claim(tmp_path / "demo")
    assert not made.exists()
    assert (tmp_path / "demo" / "notes.txt").read_text() == "mine"


def test_help_starts_no_demo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(demo, ["--help"])
    assert shown.exit_code == 0
    assert not list(tmp_path.iterdir())
