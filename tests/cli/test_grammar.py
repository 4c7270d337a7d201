"""One grammar for all verbs: arguments, names of options, examples, old spellings, what every verb can do."""

import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from voxlate import cli
from voxlate.cli.bids import repeat_options
from voxlate.cli.console import LogFormatter, log_call
from voxlate.cli.spelling import INPUT, OLD, OUTPUT
from voxlate.cli.translate import _pairs
from voxlate.cli.verb import Verb
from voxlate.errors import InputRefused, NoInput, UsageError


def commands() -> dict[str, click.Command]:
    """Returns all verbs and the commands of those that are groups, by what a user types."""
    found = {}
    for verb in cli.VERBS:
        command = cli.voxlate.get_command(None, verb)
        found[f"voxlate {verb}"] = command
        for name, inner in getattr(command, "commands", {}).items():
            found[f"voxlate {verb} {name}"] = inner
    return found


COMMANDS = commands()
OPTIONS = {
    path: {name for param in command.params if isinstance(param, click.Option) for name in param.opts}
    for path, command in COMMANDS.items()
}


def run(*arguments, **options):
    return CliRunner().invoke(cli.voxlate, [str(each) for each in arguments], catch_exceptions=False, **options)


def parse(line: str) -> click.Context:
    """Parses a command line as `voxlate` does, and runs nothing."""
    words = shlex.split(line)
    path, command, rest = "voxlate", cli.voxlate, words[1:]
    while rest and f"{path} {rest[0]}" in COMMANDS:
        path, rest = f"{path} {rest[0]}", rest[1:]
        command = COMMANDS[path]
    return command.make_context(path, rest)


@pytest.mark.parametrize("path", COMMANDS)
def test_the_help_of_every_verb_ends_with_an_example_that_parses(path):
    command = COMMANDS[path]
    assert isinstance(command, Verb)
    assert command.example.startswith(path)
    parse(command.example)
    told = CliRunner().invoke(command, ["--help"], prog_name=path).output
    assert told.rstrip().splitlines()[-2:] == ["Example:", f"  {command.example}"]


@pytest.mark.parametrize("path", COMMANDS)
def test_every_verb_has_the_common_options_and_no_old_spelling(path):
    assert {"-v", "--verbose", "-q", "--quiet", "--log-file", "--config"} <= OPTIONS[path]
    assert not OPTIONS[path] & set(OLD)


@pytest.mark.parametrize(
    ("short", "long"), [("-m", "--model"), ("-j", "--jobs"), ("-v", "--verbose"), ("-q", "--quiet")]
)
def test_a_letter_means_the_same_option_everywhere(short, long):
    assert all((short in names) == (long in names) for names in OPTIONS.values())


def test_the_arguments_come_before_the_options_in_the_line_of_usage():
    for path in ("voxlate translate", "voxlate train", "voxlate evaluate", "voxlate adc", "voxlate readers analyse"):
        usage = CliRunner().invoke(COMMANDS[path], ["--help"], prog_name=path).output.splitlines()[0]
        assert usage.endswith("[OPTIONS]"), usage


def test_every_verb_is_in_one_section_of_the_help_with_one_line():
    listed = [verb for verbs in cli.SECTIONS.values() for verb in verbs]
    assert sorted(listed) == sorted(cli.VERBS)
    told = run("--help").output
    for verb, line in cli.VERBS.items():
        assert f"  {verb:10}  {line}\n" in told
    assert "Start here: voxlate translate" in told


def test_the_first_command_to_try_parses():
    for line in cli.START.splitlines():
        if line.startswith("Start here: "):
            assert parse(line.removeprefix("Start here: ")).params["output"].name == "T1.nii.gz"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("translate -i A -o B -m M", "translate A B -m M"),
        ("translate -o B --device cpu -i A -m M", "translate A B --device cpu -m M"),
        ("translate --cases t.tsv --output=B -m M --tta-flip", "translate t.tsv B -m M --tta-flip"),
        ("translate -oB -iA -m M --mirror", "translate A B -m M --tta-flip"),
        ("translate A B -m M --gate off", "translate A B -m M --ood off"),
        ("translate A B -m M --gib 3", "translate A B -m M --memory-gib 3"),
        ("train -o 'my run' r.yaml --accelerator cuda", "train r.yaml 'my run' --device cuda"),
        ("evaluate c.tsv --synthetic S -o E --bundle=b", "evaluate c.tsv E --synthetic S --model b"),
        ("report E -o r.html", "report E r.html"),
        ("batch m.tsv out -m M --workers 4 --retry", "batch m.tsv out -m M --jobs 4 --retry"),
        ("bids d out participant -m M --n-procs 4", "bids d out participant -m M --jobs 4"),
        ("accelerate b --root d", "accelerate b --data d"),
        ("adc a.nii b.nii -o adc.nii -b 0,1000", "adc a.nii b.nii adc.nii -b 0,1000"),
        ("readers analyse study -o out", "readers analyse study out"),
    ],
)
def test_an_old_spelling_is_answered_with_the_new_command_which_parses(old, new):
    with pytest.raises(UsageError) as raised:
        parse(f"voxlate {old}")
    assert str(raised.value) == f"USAGE:RENAMED voxlate {shlex.join(shlex.split(old))} is now: voxlate {new}"
    assert raised.value.exit_status == 2
    parse(f"voxlate {new}")


def test_every_new_spelling_is_an_option_of_some_verb():
    for new in set(OLD.values()) - {INPUT, OUTPUT}:
        assert any(new in names for names in OPTIONS.values()), new


def test_a_value_that_looks_like_an_old_option_of_another_verb_is_left_alone():
    with pytest.raises(click.UsageError, match="No such option"):
        parse("voxlate status out --workers 3")


def test_an_unknown_option_is_answered_with_the_nearest_one():
    with pytest.raises(click.NoSuchOption) as raised:
        parse("voxlate simulate out --subject 3")
    assert "--subjects" in raised.value.format_message()


def test_several_labels_may_follow_one_option_of_a_bids_app():
    context = parse("voxlate bids d out participant -m M --participant_label 01 sub-02 --session-label a b -j 2")
    assert context.params["subjects"] == ("01", "sub-02")
    assert context.params["sessions"] == ("a", "b")
    assert context.params["jobs"] == 2
    assert repeat_options(["--participant_label", "01", "d", "out", "participant"])[1:3] == ["01", "d"]
    runner = "voxlate bids d out participant -m M --n_procs 3 --skip_bids_validator --participant_label=07"
    assert (parse(runner).params["jobs"], parse(runner).params["subjects"]) == (3, ("07",))


def test_the_work_folder_of_a_bids_app_holds_its_temporary_files(tmp_path):
    import tempfile

    before = tempfile.gettempdir()
    with parse(f"voxlate bids d out group --work_dir {tmp_path / 'work'}"):
        assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(tmp_path / "work")
    assert tempfile.gettempdir() == before


def bash_version() -> tuple[int, ...]:
    """Returns the version of the bash on the path, or an empty tuple without one."""
    bash = shutil.which("bash")
    if bash is None:
        return ()
    script = 'echo "${BASH_VERSINFO[0]} ${BASH_VERSINFO[1]}"'
    done = subprocess.run([bash, "--norc", "-c", script], capture_output=True, text=True, check=True)
    return tuple(map(int, done.stdout.split()))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_completion_is_printed(shell):
    if shell == "bash" and bash_version() < (4, 4):
        pytest.skip("click writes a script for bash 4.4 or later")
    environment = os.environ | {"_VOXLATE_COMPLETE": f"{shell}_source"}
    command = [sys.executable, "-m", "voxlate"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "_VOXLATE_COMPLETE=" in done.stdout


def test_verbs_options_and_models_are_completed():
    def completed(line: str, word: int) -> str:
        environment = os.environ | {"_VOXLATE_COMPLETE": "zsh_complete", "COMP_WORDS": line, "COMP_CWORD": str(word)}
        command = [sys.executable, "-m", "voxlate"]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stdout

    assert "translate" in completed("voxlate tr", 1)
    assert "--model" in completed("voxlate translate --mo", 2)
    assert "t1ce-to-t1" in completed("voxlate translate A B -m t1", 5)


# What every verb can do -------------------------------------------------------------------------------------------


@pytest.fixture
def tool():
    """A verb that says, logs and complains."""
    from voxlate.cli.console import begin, complain, say

    @click.command(cls=Verb, example="voxlate tool scan.nii.gz")
    @click.argument("source")
    @click.option("--jobs", type=int, default=1)
    @click.option("--is-fast", is_flag=True)
    @click.option("--with", "more", multiple=True)
    def tool(source, jobs, is_fast, more, out):
        begin(f"reading {source}", out=out and out / "index.html", jobs=jobs)
        logging.getLogger("voxlate").debug("a detail")
        complain("REFUSED:X case_1: no")
        complain("doubtful case_2: yes", level=logging.WARNING)
        say(f"jobs {jobs}, fast {is_fast}, with {' '.join(more)}")
        if source == "stop":
            raise KeyboardInterrupt
        if source == "fail":
            raise InputRefused("BAD", "it is bad")

    tool.params.insert(0, click.Option(["--out"], type=click.Path(path_type=Path), expose_value=True))
    tool.resumes = "the same command goes on"
    return tool


@pytest.fixture
def call(tool):
    """Runs the verb in a process of its own state, with the console of the command line."""
    root = logging.getLogger()
    handler = cli.ConsoleHandler(logging.INFO)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lambda *words: CliRunner().invoke(tool, [str(word) for word in words], standalone_mode=False)
    root.removeHandler(handler)
    root.setLevel(level)


def test_a_long_job_begins_with_one_line(call):
    assert "reading x, 3 processes\n" in call("x", "--jobs", 3).output


def test_quiet_prints_errors_alone(call):
    assert call("x", "-q").output == "REFUSED:X case_1: no\n"
    assert "jobs 1" in call("x").output


def test_verbose_prints_details_too(call):
    assert "a detail" not in call("x").output
    told = call("x", "-v", "--jobs", 2).output
    assert "a detail" in told
    assert "jobs = 2 (commandline)" in told


def test_verbose_and_quiet_exclude_each_other(call):
    assert isinstance(call("x", "-v", "-q").exception, UsageError)
    assert isinstance(call("x", "-q", "-v").exception, UsageError)


def test_the_log_file_has_everything_with_times_and_without_paths_and_names_of_scans(call, tmp_path):
    scan, file = tmp_path / "Doe_Jane.nii.gz", tmp_path / "logs" / "voxlate.log"
    call(scan, "-q", "--log-file", file, "--out", "a_hospital/results")
    call("fail", "--log-file", file)
    text = file.read_text()
    assert not re.search("Doe|hospital", text)
    assert "reading INPUT into results/index.html, 1 process" in text
    assert str(tmp_path) not in text
    for wanted in (
        "INFO reading INPUT",
        "DEBUG a detail",
        "ERROR REFUSED:X case_1",
        "WARNING doubtful",
        "ERROR REFUSED:BAD",
    ):
        assert wanted in text
    assert all(line[:2] == "20" and line[10] == " " for line in text.splitlines())
    assert not [one for one in logging.getLogger("voxlate").handlers if isinstance(one, logging.FileHandler)]


def test_the_log_file_names_no_scan_of_a_translation_and_no_case_called_after_one(tmp_path):
    from voxlate.io.log import of_case, warn

    file = tmp_path / "log"
    scans = {name: f"{folder}Doe_{name}.nii.gz" for name, folder in (("a", ""), ("b", "Doe/"), ("c", ""))}
    scans["a"] = "Doe_a.NII.gz"
    words = [scans["a"], "out.nii.gz", "-m", "m", "--with", f"T2w={scans['b']}", "--like", scans["c"]]
    context = parse(shlex.join(["voxlate", "translate", *words, "--log-file", str(file)]))
    try:
        log_call(context, "1")
        with of_case("Doe_a"):
            warn("SPACING", f"{scans['a']}, Doe_b.nii.gz and Doe_c.nii.gz differ")
    finally:
        context.close()
    text = file.read_text()
    assert "Doe" not in text
    assert "more = T2w=INPUT" in text
    assert "WARNING SPACING INPUT: INPUT, INPUT and INPUT differ" in text


def test_the_password_of_a_database_is_in_no_log(tmp_path):
    file = tmp_path / "log"
    context = parse(f"voxlate readers link study r1 --database postgresql://u:geheim@host/db --log-file {file}")
    try:
        log_call(context, "1")
    finally:
        context.close()
    assert "reader = r1" in file.read_text()
    assert "geheim" not in file.read_text()


def test_absolute_folders_are_cut_from_a_line_of_the_log_but_addresses_are_not():
    text = "/archive/Doe_Jane/scan.nii.gz: not read; open http://127.0.0.1:8765/study/1 (/archive/x y)"
    record = logging.LogRecord("voxlate", logging.INFO, "", 0, text, None, None)
    told = LogFormatter({}).format(record)
    assert told.endswith("INFO scan.nii.gz: not read; open http://127.0.0.1:8765/study/1 (x y)")


def test_uids_are_cut_from_a_line_of_the_log():
    text = "REFUSED:SEVERAL_SERIES in holds 2 series: 1.2.840.113619.2.5.1 (8 files), 2.25.17 (8 files)"
    told = LogFormatter({}).format(logging.LogRecord("voxlate", logging.INFO, "", 0, text, None, None))
    assert told.endswith("in holds 2 series: [UID] (8 files), [UID] (8 files)")


def test_a_log_file_that_cannot_be_written_is_refused(call, tmp_path):
    (tmp_path / "file").touch()
    assert call("x", "--log-file", tmp_path / "file" / "log").exception.exit_status == 73


def test_the_work_goes_on_when_the_disk_of_the_log_file_is_full(call):
    result = call("x", "--log-file", "/dev/full")
    assert result.exception is None
    assert "jobs 1, fast False" in result.output
    told = "voxlate: full cannot be written (No space left on device); the work goes on without a log file\n"
    assert result.output.count(told) == 1
    assert "Traceback" not in result.output


def test_a_config_gives_options_and_the_command_line_comes_first(call, tmp_path):
    (tmp_path / "c.yaml").write_text("jobs: 4\nis_fast: true\nwith: [a=1, b=2]\n")
    assert "jobs 4, fast True, with a=1 b=2" in call("x", "--config", tmp_path / "c.yaml").output
    assert (
        "jobs 7, fast True, with c=3" in call("x", "--config", tmp_path / "c.yaml", "--jobs", 7, "--with", "c=3").output
    )


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("jbs: 4", UsageError, r"CONFIG c.yaml: tool has no option 'jbs'; did you mean jobs\?"),
        ("source: x", UsageError, "no option 'source'"),
        ("jobs: [1, 2]", UsageError, "jobs takes one value"),
        ("jobs:", UsageError, "jobs takes one value"),
        ("jobs: {a: 1}", UsageError, "jobs takes one value"),
        ("with: [[1]]", UsageError, "with takes a value or a list of them"),
        ("config: other.yaml", UsageError, "no option 'config'"),
        ("- jobs", InputRefused, "no table of options"),
        ("jobs: [", InputRefused, "not YAML"),
        ("jobs: many", click.BadParameter, "'many' is not a valid integer"),
    ],
)
def test_a_config_with_a_mistake_is_refused(call, tmp_path, text, error, told):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(error, match=told):
        raise call("x", "--config", tmp_path / "c.yaml").exception


def test_a_config_that_is_missing_is_refused(call, tmp_path):
    with pytest.raises(NoInput, match=r"none.yaml does not exist"):
        raise call("x", "--config", tmp_path / "none.yaml").exception


def test_values_of_a_config_are_read_as_on_the_command_line(tmp_path):
    (tmp_path / "c.yaml").write_text("series: 4:2\nood: off\nwith: [T2w=01]\noverwrite: yes\nresearch: off\n")
    given = parse(f"voxlate translate scan out.nii.gz -m a --config {tmp_path / 'c.yaml'}").params
    assert [given[name] for name in ("series", "gate", "more", "overwrite", "research")] == [
        *("4:2", "off", ("T2w=01",), True, False),
    ]
    (tmp_path / "c.yaml").write_text("participant_label: [01, 08]\n")
    given = parse(f"voxlate bids data out participant -m a --config {tmp_path / 'c.yaml'}").params
    assert given["subjects"] == ("01", "08")


def test_a_required_option_may_come_from_a_config(tmp_path):
    (tmp_path / "c.yaml").write_text("model: a\nood: 'off'\n")
    context = parse(f"voxlate batch m.tsv out --config {tmp_path / 'c.yaml'}")
    assert [path.name for path in context.params["models"]] == ["a"]
    assert context.params["gate"] == "off"


def test_an_option_of_systems_in_a_config_is_not_ignored_without_systems(tmp_path):
    from tiny import write_cohort

    write_cohort(tmp_path / "data", ["test"])
    (tmp_path / "c.yaml").write_text("correction: bonferroni\n")
    words = ["evaluate", tmp_path / "data" / "cases.tsv", tmp_path / "out", "--synthetic", tmp_path, "--config"]
    with pytest.raises(UsageError, match="--correction is of named systems"):
        run(*words, tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--prepared"], "--prepared is about the cases of --data"),
        (["--data", "mine", "--patients", "5"], "--patients is the number of simulated patients"),
    ],
)
def test_an_option_of_data_is_not_ignored_in_an_experiment_without_them(tmp_path, words, told):
    with pytest.raises(click.UsageError, match=told):
        run("reproduce", "li2022", tmp_path / "out", *words, "--dry-run", standalone_mode=False)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--folds", "--split", "validation"], "--split is not for --folds"),
        (["--margin", "mae=1", "--margin", "mae=2"], "--margin is given twice for mae"),
        (["--alpha", "0.05", "--alpha", "0.01"], "--alpha is given twice for all metrics"),
    ],
)
def test_an_option_of_systems_that_would_not_count_is_refused(tmp_path, words, told):
    from tiny import write_cohort

    write_cohort(tmp_path / "data", ["test"])
    given = ["evaluate", tmp_path / "data" / "cases.tsv", tmp_path / "out", "--synthetic", f"a={tmp_path / 'none'}"]
    with pytest.raises((UsageError, click.UsageError), match=told):
        run(*given, *words, standalone_mode=False)


def test_a_further_source_that_is_given_twice_is_refused():
    with pytest.raises(click.UsageError, match="T2w is given twice"):
        _pairs(("T2w=a.nii.gz", "T2w=b.nii.gz"))


def test_ctrl_c_says_that_the_same_command_goes_on(call):
    done = call("stop")
    assert done.output.endswith("voxlate: interrupted; the same command goes on\n")
    assert done.return_value == 130


def test_sigterm_says_so_too(tool, call):
    def terminated(*_, **__):
        raise SystemExit(143)

    tool.callback = terminated
    done = call("x")
    assert done.exit_code == 143
    assert "voxlate: terminated; the same command goes on" in done.output


def test_an_interrupted_training_says_how_to_go_on_only_if_a_checkpoint_exists(tmp_path):
    context = parse(f"voxlate train r.yaml {tmp_path}")
    resumes = COMMANDS["voxlate train"].resumes
    assert "no step was saved" in resumes(context)
    (tmp_path / "checkpoint.safetensors").touch()
    assert "with --resume goes on" in resumes(context)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("models t1ce-to-t1", "t1ce-to-t1 is a model; its card: voxlate models show t1ce-to-t1"),
        ("models nothing", "there is no command 'nothing'; choose from show"),
        ("readers creat", "there is no command 'creat'; did you mean create?"),
    ],
)
def test_a_command_that_a_verb_lacks_is_answered_with_those_that_it_has(line, told):
    done = CliRunner().invoke(cli.voxlate, line.split())
    assert done.exit_code == 2
    assert told in done.output
