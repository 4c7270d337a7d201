"""Documents are read within bounds, or it is said why not."""

import os

import pytest

from voxlate.bundle.recipe import read_recipe
from voxlate.errors import UsageError
from voxlate.io.documents import MAX_TEXT_BYTES, InvalidDocument, parse_yaml, read_bounded, read_json, read_text


def test_a_pipe_and_a_device_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", "."):
        with pytest.raises((InvalidDocument, IsADirectoryError)):
            read_bounded(tmp_path / name)


def test_no_more_is_read_than_is_stated(tmp_path):
    with (tmp_path / "large.json").open("wb") as stream:
        stream.truncate(MAX_TEXT_BYTES + 1)
    with pytest.raises(InvalidDocument, match="more than 8 MiB"):
        read_json(tmp_path / "large.json")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 100_000, "nested too deeply"),
        ("{}".encode("utf-16"), "not UTF-8 at byte 0"),
        (b'{"a": 1,}', "not JSON at line 1, column 9"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(tmp_path, content, reason):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InvalidDocument, match=reason):
        read_json(tmp_path / "x.json")


def test_a_byte_order_mark_is_no_matter(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"\xef\xbb\xbfa")
    assert read_text(tmp_path / "x.txt") == "a"


@pytest.mark.parametrize(
    "text", ["[" * 20_000, "a: 2020-13-45", "!!timestamp x", "!!python/object:os.system {}", "a: [", "&a [*a"]
)
def test_what_is_no_plain_yaml_is_one_fault_and_never_another(text):
    with pytest.raises(InvalidDocument):
        parse_yaml(text)


@pytest.mark.parametrize("text", ["[" * 20_000, "name: 2020-13-45", "name: !!timestamp x", "\xff"])
def test_a_recipe_that_is_none_is_refused_by_its_code(tmp_path, text):
    (tmp_path / "r.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="RECIPE"):
        read_recipe(tmp_path / "r.yaml")


def test_why_a_file_cannot_be_read_is_told_without_its_path(tmp_path):
    loop = tmp_path / "loop.json"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="symbolic links") as told:
        read_json(loop)
    assert str(tmp_path) not in str(told.value)
