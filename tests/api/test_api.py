"""The public functions: their examples run in the order of a project, and they take paths, texts and objects alike."""

import doctest
import inspect
import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny import RECIPE, write_cohort
from torch import nn

import voxlate
from voxlate import pairs
from voxlate.api import networks, results, scans
from voxlate.bundle import custom_code, pretrained
from voxlate.bundle.bundle import read_weights
from voxlate.cases import ABSENT
from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.io.nifti import read_volume, write_volume
from voxlate.preparation import run
from voxlate.preparation.register_pair import PairSettings
from voxlate.reporting import preparation_page

ORDER = ("read", "write", "simulate", "prepare", "train", "translate", "translate_cases", "evaluate", "report")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A working directory with a table of tiny cases, a scan and a recipe."""
    folder = tmp_path_factory.mktemp("project")
    write_cohort(folder, ["train", "train", "validation", "test"])
    write_volume(folder / "T1ce.nii.gz", read_volume(folder / "source_3.nii.gz"))
    rows = voxlate.write_pairs(folder / "raw", [simulated_pair()])
    voxlate.write_cases(folder / "raw.tsv", rows)
    recipe = yaml.safe_load(RECIPE)
    recipe["training"] |= {"steps": 2, "validate_every": 2}
    (folder / "my.yaml").write_text(yaml.safe_dump(recipe))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def simulated_pair():
    patient = voxlate.simulate(seed=1)
    brain = patient.truth.brain_mask.data
    stripped = {name: image.with_data(image.data * brain) for name, image in patient.images.items()}
    return voxlate.Pair(patient.name, stripped["T1ce"], stripped["T1w"])


@pytest.fixture
def recipe(project):
    return voxlate.read_recipe("my.yaml")


def pairs_of(splits):
    """Returns pairs in memory whose target is twice the source."""
    made = []
    for number, split in enumerate(splits):
        source = np.zeros((18, 20, 17), dtype=np.float32)
        source[2:-2, 2:-2, 2:-2] = np.random.default_rng(number).uniform(50, 150, (14, 16, 13))
        made.append(voxlate.Pair(f"case{number}", source=source, target=2 * source, split=split))
    return made


@pytest.mark.parametrize("name", ORDER)
def test_the_example_of_each_function_runs(project, name):
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(voxlate, name), name)
    assert test.examples
    result = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST).run(test)
    assert result.failed == 0


def test_every_function_of_the_folder_is_public():
    found = [
        value for module in (networks, results, scans) for _, value in inspect.getmembers(module, inspect.isfunction)
    ]
    own = {
        value.__name__: value
        for value in found
        if value.__module__ in {each.__name__ for each in (networks, results, scans)}
    }
    assert sorted(own) == sorted(ORDER)
    assert all(getattr(voxlate, name) is value for name, value in own.items())


def test_each_public_name_says_what_it_takes():
    for name in sorted(set(voxlate.__all__) - {"__version__"}):
        assert re.search(r"^(Args|Attributes):$", inspect.getdoc(getattr(voxlate, name)), flags=re.MULTILINE), name


@pytest.mark.parametrize("module", [pairs, custom_code, pretrained], ids=lambda module: module.__name__)
def test_the_examples_beside_the_functions_run(module):
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0


def test_a_model_is_a_name_a_path_a_text_or_a_bundle_and_a_scan_a_volume_or_a_path(project, recipe):
    folder = voxlate.train(recipe, "runs/forms", device="cpu")
    scan = voxlate.read(Path("T1ce.nii.gz"))
    results = [
        voxlate.translate(model, volume, device="cpu").volume.data
        for model in (folder, str(folder), voxlate.load_bundle(folder))
        for volume in (scan, "T1ce.nii.gz", Path("T1ce.nii.gz"))
    ]
    assert all(np.array_equal(results[0], other) for other in results[1:])
    with pytest.raises(voxlate.VoxlateError, match=r"MODEL_MISSING t1ce-to-t2: .*did you mean t1ce-to-t1"):
        voxlate.translate("t1ce-to-t2", scan)


def test_training_on_arrays_gives_the_weights_of_training_on_their_files(project, recipe, tmp_path):
    made = pairs_of(["train", "train", "validation", "test"])
    rows = voxlate.write_pairs(tmp_path / "files", made)
    assert voxlate.read_cases(tmp_path / "files" / "cases.tsv") == rows
    bundles = [
        voxlate.train(recipe, tmp_path / name, data=data)
        for name, data in {
            "arrays": made,
            "rows": rows,
            "table": tmp_path / "files" / "cases.tsv",
            "folder": str(tmp_path / "files"),
        }.items()
    ]
    first, *others = (read_weights(bundle / "weights.safetensors") for bundle in bundles)
    assert all(torch.equal(first[name], other[name]) for other in others for name in first)
    outcomes = voxlate.translate_cases(bundles[0], tmp_path / "arrays" / "cases.tsv", tmp_path / "synthetic")
    assert [outcome.state for outcome in outcomes] == ["done"]


def test_pairs_keep_their_values_and_their_grid(tmp_path):
    affine = np.diag([-2.0, 2.0, 3.0, 1.0])
    source = voxlate.Volume(np.random.default_rng(0).normal(size=(6, 7, 8)), affine)
    labels = np.zeros((6, 7, 8))
    labels[2, 2, 2] = 4
    pair = voxlate.Pair(
        "a",
        source,
        source.with_data(source.data * 2),
        mask=source.with_data(np.ones((6, 7, 8))),
        labels=source.with_data(labels),
        more={"T2": source},
    )
    (row,) = voxlate.write_pairs(tmp_path, [pair])
    stored = {name: voxlate.read(getattr(row, name)) for name in ("source", "target", "mask", "labels")}
    assert np.array_equal(stored["source"].data, source.data)
    assert stored["source"].grid.matches(source.grid)
    assert np.array_equal(stored["target"].data, source.data * 2)
    assert float(stored["labels"].data.max()) == 4
    assert np.array_equal(voxlate.read(row.more["T2"]).data, source.data)


IMAGE = np.ones((6, 7, 8))


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ([voxlate.Pair("a", IMAGE, IMAGE[1:])], "GRID_MISMATCH a: source and target"),
        ([voxlate.Pair("a", IMAGE, IMAGE, mask=IMAGE[1:])], "GRID_MISMATCH a: source and mask"),
        ([voxlate.Pair("a", IMAGE[0], IMAGE[0])], "DIMENSIONS a: "),
        ([voxlate.Pair("a", IMAGE * np.nan, IMAGE)], "NON_FINITE a: "),
        ([voxlate.Pair("a", IMAGE, IMAGE, split="tests")], "SPLIT a: "),
        ([voxlate.Pair("a/b", IMAGE, IMAGE)], "CASE_NAME"),
        ([voxlate.Pair("a", IMAGE, IMAGE)] * 2, "CASE_DUPLICATE a occurs twice"),
        ([], "NO_INPUT"),
    ],
)
def test_pairs_that_cannot_be_used_are_refused_with_their_case(tmp_path, pair, message):
    with pytest.raises(voxlate.VoxlateError, match=message):
        voxlate.write_pairs(tmp_path, pair)


def test_a_network_that_is_an_object_is_passed_again_to_translate(project, recipe, tmp_path):
    network = nn.Conv3d(1, 1, 1)
    bundle = voxlate.train(
        recipe, tmp_path / "run", network=network, loss=lambda made, real, mask: ((made - real) * mask).square().mean()
    )
    with pytest.raises(voxlate.VoxlateError, match=r"MODEL_OBJECT .*voxlate\.load_bundle\(folder, network=\.\.\.\)"):
        voxlate.translate(bundle, "T1ce.nii.gz")
    loaded = voxlate.load_bundle(bundle, network=network)
    assert voxlate.translate(loaded, "T1ce.nii.gz").volume.data.any()
    further = voxlate.train(recipe, tmp_path / "further", network=loaded)
    assert voxlate.load_bundle(further, network=network).recipe.model.name == "<Conv3d>"


def test_a_torch_dataset_trains_without_any_case(tmp_path):
    source = torch.rand(6, 1, 8, 8, 8)
    dataset = torch.utils.data.TensorDataset(source, 2 * source, torch.ones_like(source))
    recipe = voxlate.Recipe(name="mine", source="T1ce", target="T1nce", training={"steps": 2})
    bundle = voxlate.load_bundle(
        voxlate.train(recipe, tmp_path / "run", data=dataset, network=nn.Conv3d(1, 1, 1)), network=nn.Conv3d(1, 1, 1)
    )
    assert bundle.recipe.training.window == (8, 8, 8)
    inside = np.random.default_rng(0).uniform(50, 150, (12, 12, 12))
    scan = voxlate.Volume(np.pad(inside, 4), np.diag([1, 1, 5, 1]))
    assert voxlate.translate(bundle, scan).volume.grid.matches(scan.grid)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ("nowhere.tsv", NoInput, r"NO_INPUT nowhere\.tsv"),
        ([], UsageError, "DATASET the dataset has no item"),
        ([3], UsageError, "DATASET item 0 of the dataset cannot be read: TypeError"),
        ([voxlate.Pair("a", IMAGE, IMAGE), 3], UsageError, "DATA the list mixes"),
        (5, UsageError, "DATASET int has no length"),
    ],
)
def test_data_that_cannot_be_trained_on_are_refused(project, recipe, tmp_path, data, error, message):
    with pytest.raises(error, match=message):
        voxlate.train(recipe, tmp_path / "run", data=data)


def test_a_finished_run_is_not_overwritten(project, recipe, tmp_path):
    voxlate.train(recipe, tmp_path / "run")
    with pytest.raises(UsageError, match="RUN_EXISTS run holds a run"):
        voxlate.train(recipe, tmp_path / "run")
    assert voxlate.train(recipe, tmp_path / "run", resume=True).is_dir()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda row: [], NoInput, "NO_INPUT the table of cases has no row"),
        (lambda row: [row, row], InputRefused, "CASE_DUPLICATE sub-0001 occurs twice"),
        (
            lambda row: [row, replace(row, case="other", split="train" if row.split == "test" else "test")],
            InputRefused,
            "PATIENT_IN_TWO_SPLITS",
        ),
        (lambda row: [replace(row, target=ABSENT)], InputRefused, "CASES 'sub-0001' lacks a source or a target"),
    ],
)
def test_a_list_of_cases_is_checked_as_a_table_is(project, tmp_path, change, error, message):
    rows = change(voxlate.read_cases("raw.tsv")[0])
    with pytest.raises(error, match=message):
        voxlate.prepare(rows, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_split_without_rows_is_refused_with_the_splits_that_there_are(project, tmp_path):
    with pytest.raises(NoInput, match=r"split 'tests'; its splits are: test, train, validation"):
        voxlate.translate_cases("t1ce-to-t1", "cases.tsv", tmp_path, split="tests")


def test_a_case_that_is_refused_in_the_preparation_is_logged_and_left_out(project, tmp_path, caplog):
    rows = [*voxlate.read_cases("raw.tsv"), voxlate.read_cases("cases.tsv")[0]]
    quick = PairSettings(to_template=False)
    with caplog.at_level(logging.WARNING, logger="voxlate"):
        records = voxlate.prepare(rows, tmp_path / "out", brain_mask="nonzero", aligned=True, settings=quick)
    assert [record["state"] for record in records] == ["done", "refused"]
    assert "REFUSED:MASK_IMPLAUSIBLE case0: " in caplog.text
    assert [row.case for row in voxlate.read_cases(tmp_path / "out" / "cases.tsv")] == ["sub-0001"]


def test_a_doubtful_case_of_the_preparation_is_logged_with_its_doubt(project, tmp_path, caplog, monkeypatch):
    record = {"case": "sub-0001", "state": "done", "doubts": ["the masks differ"]}
    monkeypatch.setattr(run, "prepare_cohort", lambda *_, **__: iter([record]))
    monkeypatch.setattr(preparation_page, "write_page", lambda *_: None)
    with caplog.at_level(logging.WARNING, logger="voxlate"):
        voxlate.prepare("raw.tsv", tmp_path / "out")
    assert "doubtful sub-0001: the masks differ; see it in" in caplog.text


@pytest.mark.parametrize("given", [{"brain_mask": "all"}, {"settings": PairSettings(more_mask="nonzero+all")}])
def test_a_mask_of_all_voxels_is_refused_before_anything_is_written(project, tmp_path, given):
    with pytest.raises(UsageError, match=r"BRAIN_MASK `all` takes every voxel, .* registered by their brains"):
        voxlate.prepare("raw.tsv", tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_the_data_kind_of_an_evaluation_is_that_of_the_model(project, recipe, tmp_path):
    bundle = voxlate.train(recipe, tmp_path / "run")
    voxlate.translate_cases(bundle, "cases.tsv", tmp_path / "synthetic")
    outcome = voxlate.evaluate("cases.tsv", tmp_path / "synthetic", tmp_path / "evaluation", model=bundle)
    assert outcome.content["data_kind"] == "simulated"


def test_a_scan_that_is_refused_keeps_its_code(project):
    with pytest.raises(InputRefused):
        voxlate.translate("t1ce-to-t1", voxlate.Volume(np.ones((9, 9, 9)), np.eye(4)))
