import errno
import os

import pytest

from voxlate.errors import CannotWrite, TemporaryFailure
from voxlate.io.atomic import replacing, replacing_folder, sha256, write_json, write_text


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fill_the_disk() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(TemporaryFailure):
        fill_the_disk()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_not_there_until_the_block_ends(tmp_path):
    path = tmp_path / "deep" / "a.nii.gz"
    with replacing(path) as partial:
        partial.write_bytes(b"x")
        assert not path.exists()
        assert partial.name.endswith(".nii.gz")
        assert partial.parent == path.parent
    assert path.read_bytes() == b"x"


def test_a_folder_that_is_a_file_cannot_be_written_to(tmp_path):
    write_text(tmp_path / "a", "file")
    with pytest.raises(CannotWrite):
        write_text(tmp_path / "a" / "b", "text")


def test_a_written_file_is_readable_as_the_umask_allows(tmp_path):
    write_text(tmp_path / "a", "x")
    old = os.umask(0)
    os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~old


def test_the_umask_that_all_threads_share_is_not_changed_for_a_moment(tmp_path, monkeypatch):
    old = os.umask(0)
    os.umask(old)
    monkeypatch.setattr(os, "umask", None)  # two threads that set it and set it back may leave it at 0
    write_text(tmp_path / "a", "x")
    with replacing_folder(tmp_path / "b") as partial:
        (partial / "c").touch()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~old
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o777 & ~old


def test_json_refuses_what_is_not_a_number(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"value": float("nan")})
    assert not list(tmp_path.iterdir())


def test_the_hash_is_that_of_the_standard(tmp_path):
    write_text(tmp_path / "a", "abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
