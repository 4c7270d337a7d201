"""`voxlate init`: a table to fill in, and a recipe that fits a table; existing files are kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tiny import write_cohort

from voxlate import cli
from voxlate.bundle import starter
from voxlate.bundle.recipe import read_recipe
from voxlate.bundle.starter import Contrasts, contrast_in_name, contrasts_of, recipe_text_for, start_project
from voxlate.cases import Case, read_cases, write_cases
from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.io.nifti import write_volume
from voxlate.preparation.run import write_prepared
from voxlate.training.loop import train
from voxlate.volume import Volume

HEADER = "case\tsplit\tsource\ttarget"


def row(source, target, **more):
    return Case("a", "a", "train", Path(source), Path(target), more={name: Path(path) for name, path in more.items()})


@pytest.mark.parametrize(
    ("description", "kind"),
    [
        ('{"GeneratedBy": [{"Name": "voxlate simulate", "Version": "1"}]}', "simulated"),
        ('{"GeneratedBy": [{"Name": "voxlate cohort"}]}', "unknown"),
        ('{"GeneratedBy": "voxlate simulate"}', "unknown"),
        ("[]", "unknown"),
        ("no JSON", "unknown"),
    ],
)
def test_a_recipe_for_scans_of_voxlate_simulate_says_that_they_are_simulated(tmp_path, description, kind):
    (tmp_path / "dataset_description.json").write_text(description)
    table = tmp_path / "cases.tsv"
    table.write_text(f"{HEADER}\na\ttrain\ta_t1ce.nii.gz\ta_t1.nii.gz\n")
    start_project(table)
    assert read_recipe(tmp_path / "recipe.yaml").data_kind == kind
    prepared = tmp_path / "prepared"  # has no description of a data set
    write_prepared(read_cases(table), [{"case": "a", "state": "done"}], prepared)
    start_project(prepared / "cases.tsv", source="T1ce", target="T1nce")
    assert read_recipe(prepared / "recipe.yaml").data_kind == kind


@pytest.mark.parametrize(
    ("kinds", "kind"), [(("real", "real"), "real"), (("simulated", "real"), "unknown"), (("", "real"), "unknown")]
)
def test_a_recipe_states_the_kind_that_the_whole_table_has(tmp_path, kinds, kind):
    rows = [f"{name}\ttrain\t{name}_t1ce.nii\t{name}_t1.nii\t{own}" for name, own in zip("ab", kinds, strict=True)]
    (tmp_path / "cases.tsv").write_text("\n".join([f"{HEADER}\tdata_kind", *rows]) + "\n")
    start_project(tmp_path / "cases.tsv")
    assert read_recipe(tmp_path / "recipe.yaml").data_kind == kind


@pytest.mark.parametrize(
    ("name", "contrast"),
    [
        ("BraTS-GLI-00001-000-t1c.nii.gz", "T1ce"),
        ("Brats18_t1ce.nii.gz", "T1ce"),
        ("t1.nii", "T1w"),
        ("sub-01_ce-gadolinium_T1w.nii.gz", "T1ce"),
        ("sub-01_T2w.nii.gz", "T2w"),
        ("x-t2f.nii.gz", "FLAIR"),
        ("ct.nii.gz", "CT"),
        ("contrast.nii.gz", None),
        ("t1_and_t2.nii.gz", None),
    ],
)
def test_the_contrast_is_read_from_a_file_name(name, contrast):
    assert contrast_in_name(Path(name)) == contrast


def test_the_contrasts_of_a_table_are_those_of_its_files_and_columns():
    assert contrasts_of([row("t1ce.nii", "t1.nii")]) == Contrasts("T1ce", "T1nce")
    assert contrasts_of([row("t1.nii", "t2.nii")]) == Contrasts("T1w", "T2w")
    with_more = row("t1.nii", "t1ce.nii", T2w="t2.nii", ADC="adc.nii")
    assert contrasts_of([with_more]) == Contrasts("T1nce", "T1ce", ("ADC", "T2w"))
    assert contrasts_of([row("a.nii", "b.nii")], source="PDw", target="T2w") == Contrasts("PDw", "T2w")


def test_a_source_with_air_of_a_ct_is_a_ct_whatever_its_name(tmp_path):
    data = np.full((6, 6, 6), -1000.0)
    data[2:4, 2:4, 2:4] = 40
    write_volume(tmp_path / "scan.nii.gz", Volume(data, np.eye(4)))
    assert contrasts_of([row(tmp_path / "scan.nii.gz", "t1.nii")]) == Contrasts("CT", "T1w")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("a.nii", "t1.nii")], "CONTRAST the names of the source files do not all state a contrast; pass --source"),
        ([row("t1.nii", "t1ce.nii"), row("t2.nii", "t1ce.nii")], "source files state T1w and T2w; pass --source"),
        ([row("t1.nii", "b.nii")], "the names of the target files .* pass --target"),
        ([row("t1.nii", "ct.nii")], "TARGET_CT no recipe translates to CT"),
    ],
)
def test_a_table_whose_contrasts_are_not_clear_is_answered_with_the_option(rows, message):
    with pytest.raises(UsageError, match=message):
        contrasts_of(rows)


@pytest.mark.parametrize(
    "contrasts",
    [
        Contrasts("T1ce", "T1nce"),
        Contrasts("T1nce", "T1ce", ("ADC", "T2w")),
        Contrasts("CT", "T1w"),
        Contrasts("T1w", "FLAIR"),
        Contrasts("T2*w", "on: 1"),
    ],
    ids=lambda contrasts: contrasts.source + contrasts.target,
)
def test_each_recipe_is_read_back_with_what_the_table_holds(tmp_path, contrasts):
    case = Case("a", "a", "train", tmp_path / "s.nii", tmp_path / "t.nii")
    table = tmp_path / "my table: 1.tsv"
    write_cases(table, [case, replace(case, case="b", patient="b", split="test")])
    (tmp_path / "r.yaml").write_text(recipe_text_for(table, read_cases(table), contrasts, file=tmp_path / "r.yaml"))
    recipe = read_recipe(tmp_path / "r.yaml")
    assert (recipe.source, recipe.target, recipe.more_sources) == (contrasts.source, contrasts.target, contrasts.more)
    assert [each.case for each in recipe.cases()] == ["a", "b"]
    assert (recipe.preparation.range_hu is not None) == (contrasts.source == "CT")
    assert (recipe.augmentation.graft > 0) == (contrasts.source == "T1ce")


@pytest.mark.parametrize("folder", ["no", "On", "null", "a: b", "it's"])
def test_a_folder_whose_name_is_no_text_in_yaml_is_found_again(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    *_, recipe = start_project(Path(folder))
    assert read_recipe(recipe).data.root == folder


def test_a_new_folder_gets_a_table_and_a_recipe_and_nothing_is_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.voxlate, ["init", "project"])
    assert done.exit_code == 0, done.output
    commands = [
        "voxlate prepare project/cases.tsv prepared",
        "voxlate train project/recipe.yaml runs/mine --data prepared",
    ]
    assert done.output.splitlines()[-2:] == [f"next: {command}" for command in commands]
    header = Path("project/recipe.yaml").read_text().split("name:")[0]
    assert all(f"#   {command}\n" in header for command in commands)
    recipe = read_recipe("project/recipe.yaml")
    assert len(recipe.cases()) == len(starter.example_table(Contrasts("T1ce", "T1nce")).splitlines()) - 1
    before = Path("project/recipe.yaml").read_bytes()
    with pytest.raises(UsageError, match=r"FILE_EXISTS recipe\.yaml exists"):
        start_project(Path("project"))
    assert Path("project/recipe.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("where", "recipe", "named"),
    [("my.yaml", "cases.tsv", r"cases\.tsv"), ("my.yml", None, r"my\.yml"), ("project", "cases.tsv", r"cases\.tsv")],
)
def test_a_table_and_a_recipe_in_the_wrong_order_are_refused(tmp_path, where, recipe, named):
    with pytest.raises(UsageError, match=f"INIT_ORDER {named} is in the wrong place; name the table first"):
        start_project(tmp_path / where, None if recipe is None else tmp_path / recipe)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("stated", "files", "contrasts"),
    [
        ({}, ("t1ce", "t1"), ("T1ce", "T1nce")),
        ({"source": "CT", "target": "T2w"}, ("ct", "t2"), ("CT", "T2w")),
        ({"source": "CT"}, ("ct", "t1"), ("CT", "T1w")),
        ({"source": "T1w"}, ("t1", "t1ce"), ("T1nce", "T1ce")),
        ({"target": "T1ce"}, ("t1", "t1ce"), ("T1nce", "T1ce")),
        ({"target": "FLAIR"}, ("t1ce", "flair"), ("T1ce", "FLAIR")),
        ({"source": "T2*w", "target": "PDw"}, ("t2_w", "pdw"), ("T2*w", "PDw")),
        ({"source": "T1w", "target": "T1w"}, ("source", "target"), ("T1w", "T1w")),
    ],
)
def test_the_example_of_a_new_folder_names_files_of_the_stated_contrasts(tmp_path, stated, files, contrasts):
    table, recipe = start_project(tmp_path / "new", **stated)
    cases = read_cases(table)
    assert {(case.source.name, case.target.name) for case in cases} == {tuple(f"{name}.nii.gz" for name in files)}
    read = read_recipe(recipe)
    assert (read.source, read.target) == contrasts


def test_a_prepared_table_is_not_prepared_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepared = replace(row("t1ce.nii", "t1.nii"), target_mask=Path("target_mask.nii"))
    write_cases(tmp_path / "cases.tsv", [prepared])
    done = CliRunner().invoke(cli.voxlate, ["init", "cases.tsv", "my.yaml"])
    assert [line for line in done.output.splitlines() if "next" in line] == ["next: voxlate train my.yaml runs/mine"]


def test_a_target_that_no_recipe_makes_leaves_no_example_behind(tmp_path):
    with pytest.raises(UsageError, match="TARGET_CT"):
        start_project(tmp_path / "new", source="T1w", target="CT")
    assert not (tmp_path / "new").exists()


def test_a_folder_with_a_table_keeps_it_and_gets_a_recipe_that_trains(tmp_path):
    cases = write_cohort(tmp_path, ["train", "validation"])
    before = (tmp_path / "cases.tsv").read_bytes()
    assert start_project(tmp_path, source="T1ce", target="T1nce") == [tmp_path / "recipe.yaml"]
    assert (tmp_path / "cases.tsv").read_bytes() == before
    small = {"training.steps": 1, "training.window": [16, 16, 16], "model.arguments.width": 4}
    recipe = read_recipe(tmp_path / "recipe.yaml", overrides=small)
    assert recipe.cases() == cases
    assert train(recipe, tmp_path / "run").is_dir()


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("case,source,target\na,t1ce.nii,t1.nii\n", InputRefused, "columns must be separated by tabs"),
        (f"{HEADER}\n", NoInput, "NO_INPUT"),
        (None, NoInput, "NO_INPUT"),
    ],
)
def test_a_table_that_cannot_be_read_gives_no_recipe(tmp_path, text, error, message):
    if text is not None:
        (tmp_path / "mine.tsv").write_text(text)
    with pytest.raises(error, match=message):
        start_project(tmp_path / "mine.tsv", tmp_path / "my.yaml")
    assert not (tmp_path / "my.yaml").exists()
