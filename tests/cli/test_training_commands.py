"""Training and translating from the command line, with all that a recipe can ask for."""

import json
import re

import pytest
from click.testing import CliRunner
from tiny import RECIPE, write_cohort

from voxlate import cli
from voxlate.cases import read_cases
from voxlate.errors import UsageError
from voxlate.io.nifti import read_volume, write_volume

VARIANT = "variants: {short: {training: {steps: 1}}}\n"


@pytest.fixture
def place(tmp_path):
    write_cohort(tmp_path / "data", ["train", "train", "validation", "test"])
    (tmp_path / "tiny.yaml").write_text(RECIPE + VARIANT)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli.voxlate, [str(argument) for argument in arguments], catch_exceptions=False)


def trained(place, name, *options):
    recipe = place / "tiny.yaml"
    done = run("train", recipe, place / name, "--data", place / "data", "--variant", "short", *options)
    assert done.exit_code == 0, done.output
    return done


def test_a_training_names_its_device_and_the_command_that_comes_next(place, caplog):
    caplog.set_level("INFO")
    done = trained(place, "run", "--device", "cpu")
    run_folder = place / "run"
    assert f"into {run_folder}, cpu" in caplog.text
    assert "on 1 validation case\n" in caplog.text.replace("on 1 validation cases", "wrong")
    next_line = done.output.splitlines()[-1]
    assert next_line == f"next: voxlate translate {run_folder / 'cases.tsv'} synthetic -m {run_folder / 'bundle'}"


def test_an_evaluation_of_data_of_unknown_kind_names_the_option_that_states_it(place):
    data, synthetic = place / "data", place / "synthetic"
    synthetic.mkdir()
    case = next(case for case in read_cases(data / "cases.tsv") if case.split == "test")
    write_volume(synthetic / f"{case.case}.nii.gz", read_volume(case.source))
    sidecar = {"Synthetic": {"IsSynthetic": True, "Task": "T1ce to T1nce", "ReferenceLevel": 500.0}}
    (synthetic / f"{case.case}.json").write_text(json.dumps(sidecar))
    words = ("evaluate", data / "cases.tsv", place / "evaluation", "--synthetic", synthetic)
    hint = "--data-kind real or simulated states it"
    assert hint in run(*words).output
    assert hint not in run(*words, "--data-kind", "simulated").output


def test_a_variant_is_trained_under_its_own_name(place):
    trained(place, "run")
    assert "# tiny-short" in (place / "run" / "bundle" / "card.md").read_text()
    with pytest.raises(UsageError, match=r"VARIANT .*short"):
        run("train", place / "tiny.yaml", place / "other", "--data", place / "data", "--variant", "long")


def test_folds_are_trained_translated_and_joined(place):
    done = trained(place, "run", "--folds", 2)
    assert [line.split(",")[0] for line in done.output.splitlines() if line.startswith("fold")] == [
        f"fold {n}: {place / 'run' / f'fold-{n}' / 'bundle'}" for n in (0, 1)
    ]
    for fold in (0, 1):
        folder = place / "run" / f"fold-{fold}"
        run("translate", folder / "cases.tsv", "-m", folder / "bundle", place / "out")
    assert {path.name for path in (place / "out").glob("*.nii.gz")} == {"case0.nii.gz", "case1.nii.gz"}
    both = [option for n in (0, 1) for option in ("-m", place / "run" / f"fold-{n}" / "bundle")]
    run("translate", read_cases(place / "data" / "cases.tsv")[3].source, place / "mean.nii.gz", *both)
    assert len(json.loads((place / "mean.json").read_text())["Synthetic"]["Members"]) == 2


def test_what_would_be_ambiguous_or_unfair_is_refused(place):
    trained(place, "run")
    bundle = place / "run" / "bundle"
    scan = read_cases(place / "data" / "cases.tsv")[0].source
    recipe, data = place / "tiny.yaml", place / "data"
    folds = run("train", recipe, place / "f", "--data", data, "--folds", 2, "--from", bundle)
    assert (folds.exit_code, "weights trained on its test cases" in folds.output) == (2, True)
    wrong = run("translate", scan, place / "x.nii.gz", "-m", bundle, "--with", "T2w")
    assert (wrong.exit_code, "not CONTRAST=PATH" in wrong.output) == (2, True)
    many = run("translate", data, place / "out", "-m", bundle, "--with", f"T2w={scan}")
    assert (many.exit_code, "are for a single scan" in many.output) == (2, True)


def test_an_estimate_tells_steps_parameters_and_memory_and_trains_nothing(place):
    done = run("train", place / "tiny.yaml", "--estimate", "--variant", "short", "--set", "training.steps=7")
    lines = done.output.splitlines()
    assert lines[0] == "tiny-short: 7 steps in 1 stage"
    assert lines[1].startswith("parameters: generator ")
    assert re.fullmatch(r"memory: 0\.\d GiB; \d+\.\d GiB may be used on the \w+", lines[2])
    assert "name the folder of the run" in run("train", place / "tiny.yaml").output


def test_a_table_with_unpaired_training_rows_is_translated(place):
    trained(place, "run")
    table = place / "data" / "cases.tsv"
    rows = [line.split("\t") for line in table.read_text().splitlines()]
    rows[1][4], rows[2][3] = "", ""
    table.write_text("\n".join("\t".join(row) for row in rows) + "\n")
    bundle = place / "run" / "bundle"
    options = ("--keep-spacing", "--ood", "off", "--tta-flip", "--uncertainty", place / "spread")
    done = run("translate", table, "-m", bundle, place / "out", *options)
    assert done.exit_code == 0, done.output
    for folder in ("out", "spread"):
        assert {path.name for path in (place / folder).glob("*.nii.gz")} == {"case3.nii.gz"}
