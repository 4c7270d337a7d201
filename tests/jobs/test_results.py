"""An earlier result is used again only when nothing that it depends on has changed."""

import os

from voxlate.jobs.results import are_unchanged, hash_files, hash_inputs, hash_tree, read_result, resume


def test_a_result_is_read_when_it_holds_what_is_expected(tmp_path):
    path = tmp_path / "a.json"
    assert read_result(path, key="1") is None
    path.write_text('{"key": "1", "value": 2}')
    assert read_result(path, key="1") == {"key": "1", "value": 2}
    assert read_result(path, key="2") is None
    assert read_result(path, other=None) is None
    for damaged in ('{"key": "1"', "[1]", "null"):
        path.write_text(damaged)
        assert read_result(path) is None


def test_files_are_unchanged_while_they_exist_with_their_hashes(tmp_path):
    (tmp_path / "a").write_text("a")
    hashes = hash_files(tmp_path, ["a"])
    assert are_unchanged(tmp_path, hashes)
    assert hash_inputs({"source": tmp_path / "a", "mask": tmp_path / "none"}) == {"source": hashes["a"]}
    (tmp_path / "a").write_text("b")
    assert not are_unchanged(tmp_path, hashes)
    (tmp_path / "a").unlink()
    assert not are_unchanged(tmp_path, hashes)


def test_the_hash_of_a_folder_depends_on_names_and_contents_and_a_pipe_is_not_read(tmp_path):
    (tmp_path / "s" / "deep").mkdir(parents=True)
    (tmp_path / "s" / "deep" / "1").write_text("a")
    first = hash_tree(tmp_path / "s")
    (tmp_path / "s" / "deep" / "1").rename(tmp_path / "s" / "deep" / "2")
    second = hash_tree(tmp_path / "s")
    (tmp_path / "s" / "deep" / "2").write_text("b")
    assert len({first, second, hash_tree(tmp_path / "s"), ""}) == 4
    os.mkfifo(tmp_path / "pipe")
    assert hash_tree(tmp_path / "pipe") == hash_tree(tmp_path / "none") == ""


def test_finished_items_come_first_and_are_not_worked_on():
    assert list(resume(str.upper, ["a", "b", "c"], {"b": "kept"}.get, jobs=1)) == ["kept", "A", "C"]
