"""The command as a user runs it."""

import os
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from tiny import RECIPE, write_cohort

from voxlate import cli
from voxlate.errors import VoxlateError


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from voxlate.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


def test_help_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys, voxlate.cli as c\n"
        "try: c.voxlate.main(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'scipy', 'nibabel', 'matplotlib')))"
    )
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - start)
        assert done.returncode == 0, done.stdout
    assert all(verb in done.stdout for verb in cli.VERBS)
    assert min(times) < (0.3 if not os.environ.get("CI") else 1.0)


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_every_verb_explains_itself_with_the_line_that_the_list_shows(verb):
    command = cli.voxlate.get_command(None, verb)
    assert command.help.splitlines()[0] == cli.VERBS[verb]
    assert CliRunner().invoke(command, ["--help"]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["train", "none.yaml", "run"], 66, "NO_INPUT none.yaml"),
        (["translate", "x.nii.gz", "y.nii.gz", "-m", "none"], 78, "MODEL_MISSING"),
        (["translate", "y.nii.gz", "-m", "none"], 2, "Missing argument 'OUTPUT'"),
        (["translate", "-i", "x", "-o", "y", "-m", "z"], 2, "is now: voxlate translate x y -m z"),
        (["translate", "x" * 5000, "y", "-m", "z"], 2, "too long"),
        (["translate", "x", "y", "-m", "z", "--memory-gib", "nan"], 2, "--memory-gib"),
        (["fly"], 2, "unknown verb 'fly'"),
        (["trainn"], 2, "did you mean train?"),
    ],
)
def test_a_mistake_is_one_line_and_its_status(arguments, status, says, tmp_path):
    done = run(*arguments)
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("device", ["abacus", "meta"])
def test_a_device_that_is_none_is_refused_before_the_scan_is_read(device, tmp_path):
    (tmp_path / "scan.nii.gz").touch()
    done = run("translate", tmp_path / "scan.nii.gz", tmp_path / "y.nii.gz", "-m", "t1ce-to-t1", "--device", device)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"voxlate: USAGE:DEVICE the device '{device}' is not available")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("translate absent.nii.gz y.nii.gz -m t1ce-to-t1", "NO_INPUT absent.nii.gz does not exist"),
        ("translate absent y.nii.gz -m t1ce-to-t1", "NO_INPUT absent does not exist"),
        ("translate scan.nii.gz y.nii.gz -m t1ce-to-t1 --mask absent.nii.gz", "NO_INPUT absent.nii.gz does not exist"),
        ("translate scan.nii.gz y.nii.gz -m t1ce-to-t1 --like absent.nii.gz", "NO_INPUT absent.nii.gz does not exist"),
        ("translate scan.nii.gz taken.nii.gz -m t1ce-to-t1", "OUTPUT_EXISTS taken.nii.gz"),
        ("translate scan.nii.gz scan.nii.gz -m t1ce-to-t1", "OUTPUT_IS_INPUT scan.nii.gz"),
        ("translate scan.nii.gz new_folder -m t1ce-to-t1", "OUTPUT_NAME new_folder"),
        ("translate scan.nii.gz y.nii.gz -m none", "MODEL_MISSING none"),
        ("translate scan.nii.gz y.nii.gz -m t1ce-to-t1 --split train", "--split chooses rows of a table"),
        ("batch absent.tsv out -m t1ce-to-t1", "NO_INPUT absent.tsv"),
        ("batch manifest.tsv out -m none", "MODEL_MISSING none"),
        ("batch manifest.tsv run -m t1ce-to-t1", "FOLDER_OCCUPIED run"),
        ("batch manifest.tsv out -m t1ce-to-t1 --shard 3/2", "SHARD '3/2'"),
        ("batch manifest.tsv out -m t1ce-to-t1 -j 0 --seconds 9", "LIMITS"),
        ("train none out", "NO_INPUT none"),
        ("train t1ce_to_t1 out --from none", "MODEL_MISSING none"),
        ("train t1ce_to_t1 out --data .", "NO_INPUT 6 of 6 cases lack a file"),
        ("train t1ce_to_t1 run", "RUN_EXISTS run holds a run"),
        ("train t1ce_to_t1 folds --resume", "RUN_EXISTS folds holds the folds of a cross-validation"),
        ("train t1ce_to_t1 run --folds 2 --resume", "RUN_EXISTS run holds a run without folds"),
    ],
)
def test_a_mistake_in_arguments_or_paths_is_refused_without_loading_torch(arguments, says, tmp_path):
    for name in ("scan.nii.gz", "taken.nii.gz", "run/checkpoint.safetensors", "folds/folds.tsv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "manifest.tsv").write_text("case\tsource\na\tscan.nii.gz\n")
    code = (
        "import sys, voxlate.cli as c\n"
        "status = c.run_with_status(lambda: c.voxlate.main(sys.argv[1:], standalone_mode=False))\n"
        "sys.exit('torch was loaded' if 'torch' in sys.modules else status)"
    )
    command = [sys.executable, "-c", code, *arguments.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert says in done.stderr
    assert "torch was loaded" not in done.stderr
    assert done.returncode in {2, 66, 78}


def raising(error: BaseException):
    def command() -> None:
        raise error

    return command


def test_a_defect_of_ours_shows_no_traceback_unless_asked(monkeypatch, capsys):
    assert cli.run_with_status(raising(ZeroDivisionError())) == 1
    assert "unexpected ZeroDivisionError" in capsys.readouterr().err
    monkeypatch.setenv(cli.DEBUG_VARIABLE, "1")
    with pytest.raises(ZeroDivisionError):
        cli.run_with_status(raising(ZeroDivisionError()))


def test_an_interrupt_ends_with_130():
    assert cli.run_with_status(raising(KeyboardInterrupt())) == 130


def test_an_error_of_ours_keeps_its_status(capsys):
    assert cli.run_with_status(raising(VoxlateError("X", "why"))) == 70
    assert capsys.readouterr().err == "voxlate: FAILED:X why\n"


def test_train_and_translate_work_from_the_command_line(tmp_path):
    write_cohort(tmp_path / "data", ["train", "train", "test", "test"])
    (tmp_path / "tiny.yaml").write_text(RECIPE.replace("steps: 12", "steps: 2"))
    trained = run("train", tmp_path / "tiny.yaml", tmp_path / "run", "--data", tmp_path / "data")
    assert trained.returncode == 0, trained.stderr
    bundle = tmp_path / "run" / "bundle"
    one = run("translate", tmp_path / "data" / "source_0.nii.gz", tmp_path / "x.nii.gz", "-m", bundle)
    assert one.returncode == 0, one.stderr
    table = run("translate", tmp_path / "run" / "cases.tsv", tmp_path / "out", "-m", bundle)
    assert table.returncode == 0, table.stderr
    assert sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz")) == ["case2.nii.gz", "case3.nii.gz"]
    again = run("train", tmp_path / "tiny.yaml", tmp_path / "run", "--data", tmp_path / "data")
    assert again.returncode == 2
    assert "RUN_EXISTS" in again.stderr
    (tmp_path / "data" / "source_2.nii.gz").write_bytes(b"")
    many = ("translate", tmp_path / "run" / "cases.tsv", tmp_path / "out", "-m", bundle)
    twice = run(*many)
    assert (twice.returncode, twice.stderr.count("OUTPUT_EXISTS")) == (65, 2)
    partly = run(*many, "--overwrite")
    assert partly.returncode == 8


@pytest.mark.parametrize(("state", "status"), [("done", 0), ("failed", 8), ("refused", 65)])
def test_a_preparation_that_the_machine_failed_does_not_end_as_one_of_refused_input(
    tmp_path, monkeypatch, state, status
):
    (tmp_path / "cases.tsv").write_text("case\tsource\ttarget\na\ts.nii.gz\tt.nii.gz\n")
    record = {"case": "a", "state": state, "code": "IO", "message": "the disk is full"}
    monkeypatch.setattr("voxlate.preparation.run.prepare_cohort", lambda *_, **__: iter([record]))
    monkeypatch.setattr("voxlate.reporting.preparation_page.write_page", lambda *_: None)
    words = ["prepare", str(tmp_path / "cases.tsv"), str(tmp_path / "out")]
    done = CliRunner().invoke(cli.voxlate, words, standalone_mode=False)
    assert done.return_value == status
    assert f"1 {state}" in done.output
