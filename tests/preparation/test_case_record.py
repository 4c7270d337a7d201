"""A case is made once from the same inputs, and what cannot be made has a reason."""

import os

import pytest
from click.testing import CliRunner

from voxlate.cases import Case, write_cases
from voxlate.cli.spine import spine
from voxlate.errors import CannotWrite, InputRefused, UsageError
from voxlate.jobs.results import hash_files
from voxlate.preparation.case_record import recorded
from voxlate.preparation.spine.labels import LABELS
from voxlate.preparation.spine.run import SpineFiles
from voxlate.preparation.spine.sections import SpineSettings

SETTINGS = SpineSettings(labels=LABELS["verse"])


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{role}.nii" for role in ("source", "target", "labels")]
    for path in paths:
        path.write_text(path.name)
    return SpineFiles("a", *paths)


def test_a_case_is_made_again_only_after_an_input_the_settings_or_an_output_changed(files, tmp_path):
    out, made = tmp_path / "out", []

    def make():
        made.append(1)
        out.mkdir(exist_ok=True)
        (out / "made.txt").write_text("result")
        return {"count": 3, "files": hash_files(out, ["made.txt"])}

    first = recorded(files, SETTINGS, out / "record.json", make)
    assert (first["case"], first["state"], first["count"]) == ("a", "done", 3)
    assert recorded(files, SETTINGS, out / "record.json", make) == first
    assert len(made) == 1
    (out / "made.txt").write_text("changed")
    assert recorded(files, SETTINGS, out / "record.json", make) == first
    files.target.write_text("another scan")
    assert recorded(files, SETTINGS, out / "record.json", make)["fingerprint"] != first["fingerprint"]
    recorded(files, SETTINGS.model_copy(update={"size": 64}), out / "record.json", make)
    assert len(made) == 4
    (out / "record.json").write_text((out / "record.json").read_text().replace('"files"', '"other"'))
    recorded(files, SETTINGS.model_copy(update={"size": 64}), out / "record.json", make)
    assert len(made) == 5


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (InputRefused("NO_SPINE", "no bone"), ("refused", "NO_SPINE", "no bone")),
        (PermissionError(13, "Permission denied"), ("failed", "UNREADABLE", "a file: Permission denied")),
    ],
)
def test_an_error_of_a_case_becomes_its_record_and_none_is_left_on_disk(files, tmp_path, error, told):
    (tmp_path / "record.json").write_text("{}")

    def fail():
        raise error

    record = recorded(files, SETTINGS, tmp_path / "record.json", fail)
    assert (record["state"], record["code"], record["message"]) == told
    assert not (tmp_path / "record.json").exists()


@pytest.mark.parametrize("error", [UsageError("MISSING_LIBRARY", "x"), CannotWrite("READ_ONLY", "x")])
def test_an_error_that_is_not_of_the_case_ends_the_run(files, tmp_path, error):
    def fail():
        raise error

    with pytest.raises(type(error)):
        recorded(files, SETTINGS, tmp_path / "record.json", fail)


def test_what_a_killed_run_left_in_the_folder_of_a_spine_is_removed_by_the_next(tmp_path):
    write_cases(tmp_path / "c.tsv", [Case("a", "a", "test", tmp_path / "ct.nii", tmp_path / "t2.nii")])
    arguments = [str(tmp_path / "c.tsv"), str(tmp_path / "out"), "--labels", "none.nii", "--no-progress"]
    CliRunner().invoke(spine, arguments, standalone_mode=False, catch_exceptions=False)
    (tmp_path / "out" / "a").mkdir()
    left = tmp_path / "out" / "a" / ".partial-elsewhere-1-x.nii.gz"
    left.write_text("half")
    os.utime(left, (0, 0))
    CliRunner().invoke(spine, arguments, standalone_mode=False, catch_exceptions=False)
    assert not left.exists()
