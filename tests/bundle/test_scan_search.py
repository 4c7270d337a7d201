"""A table of cases out of a folder of scans."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from voxlate.bundle.scan_search import find_pairs, split_by_patient
from voxlate.cases import Case, read_cases
from voxlate.cli import voxlate
from voxlate.errors import InputRefused, NoInput
from voxlate.io.nifti import write_volume
from voxlate.volume import Volume


def scan(path: Path, *, synthetic: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    volume = Volume(np.ones((4, 5, 6), np.float32), np.eye(4), "", "int16")
    write_volume(path, volume, synthetic=synthetic)
    return path


def test_each_folder_with_one_source_and_one_target_is_a_case(tmp_path):
    for patient in ("p1", "p2"):
        scan(tmp_path / patient / "t1ce.nii.gz")
        scan(tmp_path / patient / "t1.nii.gz")
        scan(tmp_path / patient / "t2.nii.gz")
    labels = scan(tmp_path / "p1" / "seg_t1ce.nii.gz")
    scan(tmp_path / "p1" / "brain_mask_t1.nii.gz")
    scan(tmp_path / "p3" / "t1ce.nii.gz")
    for name in ("t1ce", "x_t1c", "t1"):
        scan(tmp_path / "p4" / f"{name}.nii.gz")
    found = find_pairs(tmp_path, "T1ce", "T1nce")
    assert [(case.case, case.patient, case.source.name, case.target.name) for case in found.cases] == [
        ("p1", "p1", "t1ce.nii.gz", "t1.nii.gz"),
        ("p2", "p2", "t1ce.nii.gz", "t1.nii.gz"),
    ]
    assert [case.labels for case in found.cases] == [labels, None]
    assert found.left_out == {"no T1w": 1, "several T1ce": 1}


def test_sessions_of_a_bids_data_set_are_cases_of_one_patient_and_derivatives_are_left_out(tmp_path):
    for session in ("ses-01", "ses-02"):
        anat = tmp_path / "sub-07" / session / "anat"
        scan(anat / f"sub-07_{session}_ce-gadolinium_T1w.nii.gz")
        scan(anat / f"sub-07_{session}_T1w.nii.gz")
        scan(tmp_path / "derivatives" / "x" / session / "t1ce.nii.gz")
        scan(tmp_path / "derivatives" / "x" / session / "t1.nii.gz")
    found = find_pairs(tmp_path, "T1ce", "T1w")
    assert [(case.case, case.patient) for case in found.cases] == [
        ("sub-07_ses-01", "sub-07"),
        ("sub-07_ses-02", "sub-07"),
    ]


def test_pairs_in_a_data_set_of_voxlate_simulate_are_simulated(tmp_path):
    scan(tmp_path / "p1" / "t1ce.nii.gz")
    scan(tmp_path / "p1" / "t1.nii.gz")
    assert find_pairs(tmp_path, "T1ce", "T1w").cases[0].data_kind == "unknown"
    (tmp_path / "dataset_description.json").write_text('{"GeneratedBy": [{"Name": "voxlate simulate"}]}')
    assert find_pairs(tmp_path, "T1ce", "T1w").cases[0].data_kind == "simulated"


def test_a_synthetic_scan_is_no_target_and_a_damaged_one_is_left_to_the_preparation(tmp_path):
    scan(tmp_path / "p1" / "t1ce.nii.gz")
    scan(tmp_path / "p1" / "t1.nii.gz")
    scan(tmp_path / "p1" / "made_t1.nii.gz", synthetic="model")
    scan(tmp_path / "p2" / "t1ce.nii.gz")
    (tmp_path / "p2" / "t1.nii.gz").write_bytes(b"no image")
    assert [case.case for case in find_pairs(tmp_path, "T1ce", "T1w").cases] == ["p1", "p2"]


def test_a_folder_without_pairs_says_what_it_holds(tmp_path):
    scan(tmp_path / "a" / "t1ce.nii.gz")
    scan(tmp_path / "b" / "t1.nii.gz")
    with pytest.raises(NoInput, match=r"NO_PAIRS .* found 1 T1ce, 1 T1w"):
        find_pairs(tmp_path, "T1ce", "T1w")
    with pytest.raises(NoInput, match="NO_INPUT"):
        find_pairs(tmp_path / "none", "T1ce", "T1w")


def test_two_folders_that_give_one_name_are_refused_and_no_table_is_left(tmp_path):
    for folder in ("a/b", "a_b"):
        scan(tmp_path / "scans" / folder / "t1ce.nii.gz")
        scan(tmp_path / "scans" / folder / "t1.nii.gz")
    with pytest.raises(InputRefused, match="CASE_DUPLICATE"):
        find_pairs(tmp_path / "scans", "T1ce", "T1w")
    CliRunner().invoke(voxlate, ["init", str(tmp_path / "cases.tsv"), "--scans", str(tmp_path / "scans")])
    assert not (tmp_path / "cases.tsv").exists()


def test_a_patient_has_one_split_and_a_fifth_is_for_the_test():
    rows = [Case(f"p{n}-{visit}", f"p{n}", "train", Path("a"), Path("b")) for n in range(20) for visit in (1, 2)]
    divided = split_by_patient(rows)
    by_patient = {case.patient: {other.split for other in divided if other.patient == case.patient} for case in divided}
    assert all(len(splits) == 1 for splits in by_patient.values())
    counts = [sum(case.split == split for case in divided) // 2 for split in ("train", "validation", "test")]
    assert counts == [14, 2, 4]
    assert divided == split_by_patient(divided)
    assert {case.split for case in split_by_patient(rows[:4])} == {"train"}


def test_the_command_writes_table_and_recipe_and_keeps_a_table_that_exists(tmp_path):
    for number in range(5):
        scan(tmp_path / "scans" / f"p{number}" / "t1ce.nii.gz")
        scan(tmp_path / "scans" / f"p{number}" / "t1.nii.gz")
    arguments = ["init", str(tmp_path / "cases.tsv"), str(tmp_path / "my.yaml"), "--scans", str(tmp_path / "scans")]
    done = CliRunner().invoke(voxlate, arguments)
    assert done.exit_code == 0, done.output
    assert "5 pairs in scans: 3 train, 1 validation, 1 test" in done.output
    assert len(read_cases(tmp_path / "cases.tsv")) == 5
    assert "source: T1ce" in (tmp_path / "my.yaml").read_text()
    assert "FILE_EXISTS" in str(CliRunner().invoke(voxlate, arguments).exception)
    (tmp_path / "cases.tsv").unlink()
    assert "FILE_EXISTS my.yaml" in str(CliRunner().invoke(voxlate, arguments).exception)
    assert not (tmp_path / "cases.tsv").exists()  # both files or none
