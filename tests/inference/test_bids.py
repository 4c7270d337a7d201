"""A BIDS data set in, a valid derivative out."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from phantoms import head

from voxlate.bundle.recipe import parse_recipe
from voxlate.cli import voxlate
from voxlate.errors import InputRefused, NoInput, UsageError
from voxlate.inference.bids_app import derivative_path, manifest_of
from voxlate.inference.inputs import items_in_list, items_of_subject
from voxlate.inference.verify import differences, status_of
from voxlate.io.bids import is_contrast_enhanced, require_valid_scan
from voxlate.io.nifti import read_volume, write_volume

VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")


def recipe_of(source, target):
    return parse_recipe(f"{{name: r, source: {source}, target: {target}, data: {{cases: c.tsv}}}}", name="r.yaml")


@pytest.fixture
def data(tmp_path):
    """Two subjects; the second has two sessions, and one scan without contrast agent."""
    root = tmp_path / "raw"
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "Heads", "BIDSVersion": "1.10.0"}')
    (root / "README.md").write_text("Simulated heads for a test, long enough to be one, said twice: simulated heads.\n")
    names = ["sub-01/anat/sub-01_ce-gadolinium_run-1_T1w", "sub-02/ses-a/anat/sub-02_ses-a_T1w"]
    names += ["sub-02/ses-b/anat/sub-02_ses-b_ce-gadolinium_T1w", "sub-02/ses-b/anat/sub-02_ses-b_T1w"]
    for number, name in enumerate(names):
        write_volume(root / f"{name}.nii.gz", head(number, shape=(16, 18, 14)))
        (root / f"{name}.json").write_text('{"MagneticFieldStrength": 3}')
    return root


def run(*arguments):
    return CliRunner().invoke(voxlate, [str(each) for each in arguments], catch_exceptions=False, standalone_mode=False)


def test_a_scan_whose_answer_could_not_be_named_is_refused_alone(data, identity, tmp_path):
    for number, name in enumerate(
        ("sub-01_run-a\nb_ce-x_T1w", "sub-01_run-\udcff_ce-x_T1w", f"sub-01_acq-{'x' * 220}_ce-x_T1w")
    ):
        write_volume(data / "sub-01/anat/good.nii.gz", head(number, shape=(16, 18, 14)))
        (data / "sub-01/anat/good.nii.gz").rename(data / f"sub-01/anat/{name}.nii.gz")
    out = tmp_path / "out"
    run(data, out, "participant", "-m", identity, "--jobs", "0", "--ood", "off")
    status = status_of(out)
    assert (status.done, status.refused, status.codes) == (2, 3, {"CASE_NAME": 3})
    items = items_of_subject(data / "sub-01", recipe_of("T1ce", "T1nce"))
    assert len(items) == 4


def test_the_order_of_a_bids_app_gives_a_derivative_with_the_places_of_the_sources(data, identity, tmp_path):
    out = tmp_path / "out"
    result = run(data, out, "participant", "-m", identity, "--jobs", "0", "--ood", "off")
    assert "2 done" in result.output
    first = out / "sub-01/anat/sub-01_run-1_desc-synthnce_T1w.nii.gz"
    second = out / "sub-02/ses-b/anat/sub-02_ses-b_desc-synthnce_T1w.nii.gz"
    assert sorted(out.rglob("*.nii.gz")) == [first, second]
    source = read_volume(data / "sub-01/anat/sub-01_ce-gadolinium_run-1_T1w.nii.gz")
    assert read_volume(first).grid.matches(source.grid)
    told = json.loads(first.with_name(first.name.replace(".nii.gz", ".json")).read_text())
    assert told["Sources"] == ["bids:raw:sub-01/anat/sub-01_ce-gadolinium_run-1_T1w.nii.gz"]
    assert told["SpatialReference"] == told["Sources"][0]
    assert told["Synthetic"]["IsSynthetic"]
    assert json.loads((out / "dataset_description.json").read_text())["DatasetLinks"] == {"raw": "../raw"}
    assert not list(differences(out))
    before = {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file() and ".runs" not in path.parts}
    first.write_bytes(b"cut")
    run("bids", data, out, "participant", "-m", identity, "--jobs", "0", "--ood", "off")
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("keep_ce", [[], ["--keep-ce"]])
def test_the_validator_of_bids_finds_no_error(data, identity, tmp_path, keep_ce):
    out = tmp_path / "out"
    run(data, out, "participant", "-m", identity, "--jobs", "0", "--ood", "off", *keep_ce)
    found = subprocess.run([VALIDATOR, "--json", out], capture_output=True, text=True, check=False)
    issues = json.loads(found.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_labels_choose_subjects_and_sessions(data, identity, tmp_path):
    run(data, tmp_path / "a", "participant", "-m", identity, "--participant-label", "sub-02", "--jobs", "0")
    assert status_of(tmp_path / "a").cases == 1
    recipe = recipe_of("T1nce", "T1ce")
    assert [row[0] for row in manifest_of(data, recipe, sessions=["a"]).rows] == ["sub-02_ses-a_desc-synthce_T1w"]
    assert len(manifest_of(data, recipe).rows) == 2
    with pytest.raises(NoInput, match="no sub-99"):
        manifest_of(data, recipe, subjects=["99"])
    with pytest.raises(NoInput, match="no scan there shows FLAIR"):
        manifest_of(data, recipe_of("FLAIR", "T1ce"))
    with pytest.raises(NoInput, match=r"dataset_description.json"):
        manifest_of(tmp_path, recipe)


@pytest.mark.parametrize(
    ("source", "target", "name", "expected"),
    [
        ("T1ce", "T1nce", "anat/sub-X_ses-Y_ce-gadolinium_T1w", "anat/sub-X_ses-Y_desc-synthnce_T1w"),
        ("T1nce", "T1ce", "anat/sub-X_ses-Y_T1w", "anat/sub-X_ses-Y_desc-synthce_T1w"),
        ("CT", "T2w", "ct/sub-X_ses-Y_ct", "anat/sub-X_ses-Y_space-CT_desc-synthetic_T2w"),
        ("T1w", "FLAIR", "anat/sub-X_ses-Y_run-2_T1w", "anat/sub-X_ses-Y_run-2_desc-synthetic_FLAIR"),
    ],
)
def test_answers_are_named_as_bids_asks(source, target, name, expected):
    found = derivative_path(Path(f"sub-X/ses-Y/{name}.nii.gz"), recipe_of(source, target))
    assert found == Path(f"sub-X/ses-Y/{expected}.nii.gz")


def test_the_entity_ce_of_the_source_is_kept_when_that_is_asked_for():
    place = Path("sub-X/anat/sub-X_ce-gadolinium_T1w.nii.gz")
    found = derivative_path(place, recipe_of("T1ce", "T1nce"), keep_ce=True)
    assert found.name == "sub-X_ce-gadolinium_desc-synthnce_T1w.nii.gz"


def test_a_contrast_that_bids_does_not_name_is_refused():
    with pytest.raises(UsageError, match="BIDS_CONTRAST"):
        derivative_path(Path("sub-X/anat/sub-X_T1w.nii.gz"), recipe_of("T1w", "Elastogram"))


def test_an_agent_is_told_by_the_name_or_by_the_sidecar(tmp_path):
    plain, named = tmp_path / "sub-1_T1w.nii.gz", tmp_path / "sub-1_ce-gadolinium_T1w.nii.gz"
    assert (is_contrast_enhanced(plain), is_contrast_enhanced(named)) == (False, True)
    (tmp_path / "sub-1_T1w.json").write_text('{"ContrastBolusIngredient": "GADOLINIUM"}')
    assert is_contrast_enhanced(plain)
    (tmp_path / "sub-1_T1w.json").write_text('{"ContrastBolusIngredient": "NONE"}')
    assert not is_contrast_enhanced(plain)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{\n "a": 1,\n}', r"not JSON at line 3, column 1"),
        ('{"a": 1}'.encode("utf-16"), r"not UTF-8 at byte 0"),
        (b'\xef\xbb\xbf{"a": 1}', r"not JSON at line 1, column 1"),
        (b"[1]", r"must be an object"),
    ],
)
def test_a_broken_sidecar_is_refused_with_its_place_and_the_others_go_on(data, identity, tmp_path, content, reason):
    broken = data / "sub-01/anat/sub-01_ce-gadolinium_run-1_T1w.json"
    broken.write_bytes(content)
    with pytest.raises(InputRefused, match=rf"BIDS .*{reason}"):
        require_valid_scan(broken.with_suffix(".nii.gz"))
    run(data, tmp_path / "out", "participant", "-m", identity, "--jobs", "0", "--ood", "off")
    status = status_of(tmp_path / "out")
    assert (status.done, status.refused, status.codes) == (1, 1, {"BIDS": 1})


def test_two_scans_of_one_name_are_refused(data):
    first = data / "sub-01/anat/sub-01_ce-gadolinium_run-1_T1w.nii.gz"
    shutil.copy(first, first.with_name("sub-01_ce-other_run-1_T1w.nii.gz"))
    assert len(manifest_of(data, recipe_of("T1ce", "T1nce"), keep_ce=True).rows) == 3
    with pytest.raises(InputRefused, match="NAME_TWICE"):
        manifest_of(data, recipe_of("T1ce", "T1nce"))


def test_an_entity_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(InputRefused, match=r"BIDS .*repeated"):
        require_valid_scan(tmp_path / "sub-01_run-1_run-2_T1w.nii.gz")


def test_masks_are_found_in_a_derivative(data, tmp_path):
    masks = tmp_path / "masks"
    scan = read_volume(data / "sub-01/anat/sub-01_ce-gadolinium_run-1_T1w.nii.gz")
    write_volume(
        masks / "sub-01/anat/sub-01_run-1_desc-brain_mask.nii.gz",
        scan.with_data((scan.data > 0).astype(np.float32)),
        dtype="uint8",
    )
    rows = manifest_of(data, recipe_of("T1ce", "T1nce"), masks=masks).rows
    assert [bool(row[2]) for row in rows] == [True, False]
    shutil.rmtree(masks)


def test_a_subject_or_a_list_of_paths_is_translated_into_a_folder(data, identity, tmp_path):
    run("translate", data / "sub-02", tmp_path / "a", "-m", identity, "--ood", "off", "--no-progress")
    (made,) = (tmp_path / "a").glob("*.nii.gz")
    assert made.name == "sub-02_ses-b_desc-synthnce_T1w.nii.gz"
    listed = tmp_path / "list.txt"
    listed.write_text("raw/sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz\n\nraw/none.nii.gz\n")
    run("translate", listed, tmp_path / "b", "-m", identity, "--ood", "off", "--no-progress")
    told = json.loads((tmp_path / "b" / "run.json").read_text())
    assert (told["items"], told["done"], told["not_done"][0]["code"]) == (2, 1, "NO_INPUT")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "NO_INPUT"),
        (b"a/x.nii\nb/x.nii.gz\n", "NAME_TWICE"),
        (b"\xff\xfe\n", "LIST"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, text, code):
    (tmp_path / "list.txt").write_bytes(text)
    with pytest.raises((InputRefused, NoInput), match=code):
        items_in_list(tmp_path / "list.txt")
    with pytest.raises(NoInput):
        items_in_list(tmp_path / "none.txt")


def test_the_root_of_a_bids_data_set_is_sent_to_its_own_verb(data, identity, tmp_path):
    with pytest.raises(UsageError, match=r"BIDS_ROOT .* run voxlate bids .* participant -m MODEL"):
        run("translate", data, tmp_path / "out", "-m", identity)


def test_a_folder_of_scans_is_not_translated_into_a_file(data, identity, tmp_path):
    (tmp_path / "in").mkdir()
    scan = next(data.rglob("*_T1w.nii.gz"))
    (tmp_path / "in" / "a.nii.gz").write_bytes(scan.read_bytes())
    with pytest.raises(click.UsageError, match=r"in holds several scans, .* OUTPUT is a folder"):
        run("translate", tmp_path / "in", tmp_path / "out.nii.gz", "-m", identity)
    assert not (tmp_path / "out.nii.gz").exists()


def test_the_group_level_counts_the_scans_of_each_participant_and_reads_their_sidecars(data, identity, tmp_path):
    out = tmp_path / "out"
    (data / "sub-02/ses-b/anat/sub-02_ses-b_ce-gadolinium_T1w.nii.gz").write_bytes(b"")
    (data / "sub-02/ses-b/anat/sub-02_ses-c_ce-gadolinium_T1w.nii.gz").write_bytes(
        (data / "sub-01/anat/sub-01_ce-gadolinium_run-1_T1w.nii.gz").read_bytes()
    )
    run(data, out, "participant", "-m", identity, "--jobs", "0", "--ood", "off")
    assert run("bids", data, out, "group").return_value == 8
    header, *rows = (line.split("\t") for line in (out / "group.tsv").read_text().splitlines())
    by_name = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert {name: (row["scans"], row["done"], row["refused"]) for name, row in by_name.items()} == {
        "sub-01": ("1", "1", "0"),
        "sub-02": ("2", "1", "1"),
    }
    sidecar = json.loads(next((out / "sub-01").rglob("*.json")).read_text())["Synthetic"]
    assert float(by_name["sub-01"]["brain_voxels"]) == sidecar["QC"]["BrainVoxels"]
    ratio = sidecar["ReferenceLevel"] / sidecar["SourceReferenceLevel"]
    assert float(by_name["sub-01"]["level_ratio"]) == pytest.approx(ratio)
    summary = json.loads((out / "group.json").read_text())
    assert (summary["participants"], summary["scans"]["done"], sum(summary["codes"].values())) == (2, 2, 1)
    assert set(summary["columns"]) == set(header)
    assert list(differences(out)) == []
    assert run("bids", data, out, "group", "--participant_label", "01").return_value == 0
    assert (out / "group.tsv").read_text().count("sub-") == 1


def test_both_levels_refuse_an_unknown_participant_with_the_same_words(data, identity, tmp_path):
    out = tmp_path / "out"
    run("bids", data, out, "participant", "-m", identity, "--jobs", "0", "--ood", "off")
    before = sorted(path.name for path in out.iterdir())
    words = "NO_INPUT {}: no sub-07 there; choose from sub-01, sub-02$"
    for root, options in ((data, ("participant", "-m", identity)), (out, ("group",))):
        with pytest.raises(NoInput, match=words.format(root.name)):
            run("bids", data, out, *options, "--participant_label", "07")
    assert sorted(path.name for path in out.iterdir()) == before


def test_the_group_level_needs_the_folder_of_a_participant_level(data, tmp_path):
    with pytest.raises(NoInput, match="is not the folder of a batch"):
        run("bids", data, tmp_path / "none", "group")


def test_the_participant_level_needs_a_model(data, tmp_path):
    with pytest.raises(UsageError, match="NO_MODEL"):
        run("bids", data, tmp_path / "out", "participant")
