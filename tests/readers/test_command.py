import pytest
from click.testing import CliRunner

from voxlate.cli.readers import readers
from voxlate.errors import NoInput, UsageError
from voxlate.web.server.answer_log import verify_chain


def run(*arguments):
    return CliRunner().invoke(readers, [str(argument) for argument in arguments], catch_exceptions=False)


def test_a_study_is_made_by_one_command_that_prints_its_hash(sources, tmp_path):
    done = run("create", sources / "study.yaml", tmp_path / "out", "--no-progress")
    assert done.exit_code == 0
    assert "3 readers, 68 trials each" in done.output


def test_a_new_link_is_given_for_a_reader_of_the_study_only(folder, store):
    done = run("link", folder, "ben")
    assert done.output.startswith("ben\thttp://127.0.0.1:8765/#")
    with pytest.raises(UsageError, match="no reader dora; it has anna, ben, cleo"):
        run("link", folder, "dora")
    assert verify_chain(store.log()) is None


def test_other_addresses_are_refused_before_anything_is_opened(folder):
    with pytest.raises(UsageError, match="NOT_LOOPBACK"):
        run("serve", folder, "--host", "192.168.0.7")


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(NoInput, match="holds no finished study"):
        run("analyse", tmp_path, tmp_path / "out")
