"""A data set on disk: BIDS names, the same bytes in parallel, taken up again, and nothing written on a mistake."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

from voxlate.cases import read_cases
from voxlate.cli.simulate import simulate
from voxlate.errors import InputRefused, UsageError
from voxlate.io.atomic import sha256
from voxlate.io.nifti import read_volume, write_volumes
from voxlate.simulation import Options
from voxlate.simulation.files.bids import sidecar
from voxlate.simulation.files.dataset import Plan, is_finished, manifest_path, write_dataset
from voxlate.simulation.files.dataset_files import mean_oracle, split_of
from voxlate.simulation.physics.scanners import scanner_named
from voxlate.volume import Volume

PLAN = Plan("spine", 2, seed=8)


def made(root, plan=PLAN, **changes):
    return list(write_dataset(root, plan, **changes))


def hashes(root):
    return {path.relative_to(root): sha256(path) for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "spines"
    assert made(root) == ["sub-0001", "sub-0002"]
    return root


def test_the_images_and_the_truth_have_their_bids_names(folder):
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    visit = "sub-0001/ses-01"
    assert {
        "dataset_description.json",
        "participants.tsv",
        "README",
        ".bidsignore",
        f"{visit}/anat/sub-0001_ses-01_T2w.nii.gz",
        f"{visit}/anat/sub-0001_ses-01_T2w.json",
        f"{visit}/ct/sub-0001_ses-01_ct.nii.gz",
        "derivatives/truth/dataset_description.json",
        f"derivatives/truth/{visit}/anat/sub-0001_ses-01_dseg.nii.gz",
        f"derivatives/truth/{visit}/anat/sub-0001_ses-01_label-DISC_probseg.nii.gz",
        f"derivatives/truth/{visit}/anat/sub-0001_ses-01_factors.json",
        "derivatives/truth/oracle.json",
    } <= names


def test_the_table_of_cases_is_one_that_training_reads(folder):
    cases = read_cases(folder / "cases.tsv")
    assert [case.split for case in cases] == ["validation", "test"]
    assert read_volume(cases[0].source).grid.matches(read_volume(cases[0].target).grid)


def test_the_same_plan_gives_the_same_bytes_anywhere(folder, tmp_path):
    made(tmp_path / "again", Plan("spine", 1, seed=8))
    first = {name: value for name, value in hashes(folder).items() if "sub-0001" in name.as_posix()}
    again = {name: value for name, value in hashes(tmp_path / "again").items() if "sub-0001" in name.as_posix()}
    assert first == again


@pytest.mark.slow
def test_two_processes_give_the_same_bytes_as_one(folder, tmp_path):
    made(tmp_path / "parallel", jobs=2)
    assert hashes(tmp_path / "parallel") == hashes(folder)


def test_a_finished_subject_is_kept_and_a_damaged_one_is_made_again(folder):
    before = hashes(folder)
    image = folder / "sub-0002/ses-01/anat/sub-0002_ses-01_T2w.nii.gz"
    kept = folder / "sub-0001/ses-01/anat/sub-0001_ses-01_T2w.nii.gz"
    written = kept.stat().st_mtime_ns
    image.write_bytes(image.read_bytes()[:-20])
    assert is_finished(folder, "sub-0001")
    assert not is_finished(folder, "sub-0002")
    made(folder)
    assert hashes(folder) == before
    assert kept.stat().st_mtime_ns == written


def test_a_damaged_manifest_is_named(tmp_path):
    manifest_path(tmp_path, "sub-0001").parent.mkdir(parents=True)
    manifest_path(tmp_path, "sub-0001").write_text("[1, 2")
    with pytest.raises(InputRefused, match="MANIFEST"):
        is_finished(tmp_path, "sub-0001")


def test_other_settings_and_other_folders_are_refused_before_anything_is_written(folder, tmp_path):
    before = hashes(folder)
    with pytest.raises(UsageError, match=r"SETTINGS_DIFFER .*seed"):
        made(folder, Plan("spine", 2, seed=9))
    assert hashes(folder) == before
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="FOLDER_OCCUPIED"):
        made(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageError, match="SUBJECTS"):
        Plan("spine", 0, seed=1)
    with pytest.raises(UsageError, match="JOBS"):
        made(tmp_path / "new", jobs=0)
    assert not (tmp_path / "new").exists()


def test_the_sidecar_states_the_slices_that_were_acquired(glioma):
    thick = sidecar("T1w", scanner_named("F"), glioma)
    assert (thick["MRAcquisitionType"], thick["SliceThickness"], thick["SpacingBetweenSlices"]) == ("2D", 5, 6)
    assert "SliceThickness" not in sidecar("T2w", scanner_named("F"), glioma)
    acquisitions = {"T1w": {"grades": {"improper": "localiser"}}}
    factors = {**glioma.truth.factors, "acquisitions": acquisitions}
    localiser = sidecar("T1w", scanner_named("A"), replace(glioma, truth=replace(glioma.truth, factors=factors)))
    assert (localiser["SliceThickness"], localiser["SpacingBetweenSlices"]) == (10, 20)


def test_splits_keep_a_fifth_for_tests():
    splits = [split_of(number, 20) for number in range(20)]
    assert (splits.count("train"), splits.count("validation"), splits.count("test")) == (14, 2, 4)


def test_the_oracle_of_a_data_set_is_the_mean_of_its_cases():
    cases = [{"T1w": {"unit": "u", "all": {"total_mse": value}}} for value in (1.0, 3.0)]
    assert mean_oracle(cases)["T1w"]["all"]["total_mse"] == 2.0


def test_a_series_of_volumes_comes_back_with_its_grid(tmp_path):
    affine = np.diag([1, 2, 3, 1.0])
    volumes = [Volume(np.full((3, 4, 5), value), affine) for value in (1, 500)]
    write_volumes(tmp_path / "dwi.nii.gz", volumes)
    image = nibabel.load(tmp_path / "dwi.nii.gz")
    assert image.shape == (3, 4, 5, 2)
    assert np.array_equal(image.affine, affine)
    assert image.get_fdata()[..., 1] == pytest.approx(500)


def test_the_command_makes_a_data_set(tmp_path):
    result = CliRunner().invoke(simulate, [str(tmp_path / "out"), "-n", "1", "--task", "spine", "--seed", "2"])
    assert result.exit_code == 0, result.output
    assert "not for diagnosis" in result.output
    settings = json.loads((tmp_path / "out/derivatives/truth/simulation.json").read_text())
    assert settings["task"] == "spine"


def test_the_command_refuses_a_negative_dose_before_it_writes(tmp_path):
    result = CliRunner().invoke(simulate, [str(tmp_path / "out"), "--dose", "-1"])
    assert isinstance(result.exception, UsageError)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("task", "option"),
    [
        ("spine", ("--lesions", "glioma")),
        ("spine", ("--anatomy", "formula")),
        ("spine", ("--dose", "0.2")),
        ("spine", ("--same-acquisition",)),
        ("ct_to_mr", ("--dose", "0.2")),
        ("ct_to_mr", ("--same-acquisition",)),
    ],
)
def test_the_command_refuses_an_option_that_changes_no_image_of_the_task(task, option, tmp_path):
    result = CliRunner().invoke(simulate, [str(tmp_path / "out"), "-n", "1", "--task", task, *option])
    assert isinstance(result.exception, UsageError)
    assert str(result.exception).startswith(
        f"USAGE:OPTION_OF_TASK {option[0]} changes no image of {task}; leave it out"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_virtual_contrast_has_diffusion_with_its_weightings(tmp_path):
    made(tmp_path / "out", Plan("virtual_contrast", 1, seed=1, options=Options(lesions="glioma")))
    stem = tmp_path / "out/sub-0001/ses-01/dwi/sub-0001_ses-01_dwi"
    assert stem.with_suffix(".bval").read_text() == "0 500 1000\n"
    assert nibabel.load(stem.with_suffix(".nii.gz")).shape[3] == 3
    sidecar = json.loads((tmp_path / "out/sub-0001/ses-01/anat/sub-0001_ses-01_ce-gadolinium_T1w.json").read_text())
    assert sidecar["ContrastBolusIngredient"] == "GADOLINIUM"
