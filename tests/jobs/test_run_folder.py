"""A folder belongs to one run with one set of settings, and refuses everything else before it is written to."""

import pytest

from voxlate.errors import UsageError
from voxlate.io import atomic
from voxlate.jobs.run_folder import RunFolder

SETTINGS = {"size": 3, "names": ("a", "b"), "limit": None}


def test_a_new_an_empty_and_an_own_folder_are_claimed(tmp_path):
    for name in ("new", "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        folder = RunFolder(tmp_path / name, "settings.json")
        assert not folder.is_claimed
        folder.claim(SETTINGS)
        folder.claim(SETTINGS)
        assert folder.is_claimed
        assert folder.settings() == {"size": 3, "names": ["a", "b"], "limit": None}


def test_a_folder_of_something_else_and_a_file_are_refused(tmp_path):
    (tmp_path / "thesis.docx").touch()
    for root in (tmp_path, tmp_path / "thesis.docx"):
        with pytest.raises(UsageError, match="FOLDER_OCCUPIED"):
            RunFolder(root, "settings.json").claim(SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_what_a_killed_run_left_half_written_does_not_occupy_a_folder(tmp_path):
    (tmp_path / f"{atomic._prefix()}x.json").touch()
    RunFolder(tmp_path, "settings.json").claim(SETTINGS)


def test_other_settings_are_refused_by_their_names_and_damaged_ones_too(tmp_path):
    folder = RunFolder(tmp_path / "out", "settings.json")
    folder.claim(SETTINGS)
    with pytest.raises(UsageError, match=r"SETTINGS_DIFFER out .*\(size\)"):
        folder.claim(SETTINGS | {"size": 4})
    with pytest.raises(UsageError, match=r"SETTINGS_DIFFER out .*\(names, more\)"):
        folder.claim({"size": 3, "names": [], "more": True})
    with pytest.raises(UsageError, match=r"BATCH_DIFFERS .*size"):
        RunFolder(tmp_path / "out", "settings.json", differ_code="BATCH_DIFFERS").claim({})
    (tmp_path / "out" / "settings.json").write_text("{")
    with pytest.raises(UsageError, match=r"SETTINGS_DIFFER .*size"):
        folder.claim(SETTINGS)
