"""From DICOM to a cohort on the command line: index, grade, choose, write, and nobody is named on the way."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from dicom_series import write_series
from pydicom import dcmread
from pydicom.datadict import DicomDictionary

from voxlate.archive import read_table
from voxlate.cases import read_cases
from voxlate.cli import voxlate
from voxlate.io.nifti import read_volume

SUBJECTS = 3
VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")
RULES = """
name: test
source: {shows: T1ce, when: [{column: agent, is: "yes"}]}
target: {shows: T1w, when: [{column: agent, is: "no"}]}
steps:
  - reason: not T1-weighted by its header
    drop: [{column: header_kind, is_not: [T1w]}]
  - reason: cannot be read
    drop: [{column: state, is_not: [OK]}]
splits: {test: 0.34, validation: 0, low: false}
"""
CANARIES = {"PatientName": "CANARY^ANNA", "PatientID": "CANARY-{}", "PatientBirthDate": "19561224",
            "StudyDate": "20190817", "InstitutionName": "CANARY HOSPITAL", "ReferringPhysicianName": "CANARY^DOC",
            "AccessionNumber": "CANARY77", "StationName": "CANARYST", "OperatorsName": "CANARY^OP",
            "PatientComments": "CANARY", "StudyID": "CANARY", "StudyDescription": "CANARY head",
            "DeviceSerialNumber": "CANARY1", "PatientAddress": "CANARY street", "MilitaryRank": "CANARY",
            "PatientTelephoneNumbers": "CANARY 42", "OtherPatientNames": "CANARY^B", "ImageComments": "CANARY",
            "RequestedProcedureID": "CANARY2", "PerformedProcedureStepID": "CANARY3"}  # fmt: skip


def run(*arguments, status=0):
    result = CliRunner().invoke(voxlate, list(map(str, arguments)), standalone_mode=False)
    assert result.exception is None, result.output
    assert (result.return_value or 0) == status, result.output
    return result.output


def plant_everywhere(dataset):
    """Puts an identifier into every element of free text that the dictionary knows and the file does not hold yet."""
    for tag, (vr, vm, _, retired, keyword) in DicomDictionary.items():
        is_text = vr in ("PN", "LO", "SH", "ST", "LT", "UT", "UC") and vm.startswith("1") and not retired
        if is_text and keyword and tag >> 16 > 2 and keyword not in ("ContrastBolusAgent", "SeriesDescription"):
            dataset.add_new(tag, vr, "CANARY^ANNA" if vr == "PN" else "CANARY Anna")
    dataset.BodyPartExamined = "CANARY"


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    """An archive of simulated visits with an identifier in every element that may hold one, indexed and graded."""
    root = tmp_path_factory.mktemp("warehouse")
    heads = ("--anatomy", "formula")  # on which the scan grader was trained; it doubts the agent of other heads
    run("simulate", root / "made", "-n", SUBJECTS, "--seed", 5, "--dicom", *heads, "--no-progress")
    archive = root / "made" / "sourcedata" / "dicom"
    for path in archive.rglob("*.dcm"):
        dataset = dcmread(path)
        if path.name == "IM_0001.dcm":
            plant_everywhere(dataset)
        for name, value in CANARIES.items():
            setattr(dataset, name, value.format(path.parts[-4]))
        dataset.SeriesDescription = f"{dataset.SeriesDescription} CANARY Anna"
        dataset.save_as(path)
    write_series(archive / "broken", lambda dataset, k: setattr(dataset, "skip", k == 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOXLATE_UID_SALT", "a secret of the site")
        said = run("index", archive, root / "index", "--jobs", 1)
        said += run("grade", root / "index", root / "grades", "--jobs", 1, status=8)
        (root / "rules.yaml").write_text(RULES)
        choose = ("cohort", root / "rules.yaml", root / "index", root / "out", "--grades", root / "grades", "--jobs", 1)
        said += run(*choose)
        yield root, said, choose


def test_the_pairs_are_those_that_were_made(warehouse):
    root, _, _ = warehouse
    cases = read_cases(root / "out" / "cases.tsv")
    assert len(cases) == SUBJECTS
    assert sum(case.split == "test" for case in cases) == 1
    truth = {}
    for number in range(1, SUBJECTS + 1):
        folder = root / "made" / f"sub-{number:04d}" / "ses-01" / "anat"
        for ending in ("T1w", "ce-gadolinium_T1w"):
            data = read_volume(folder / f"sub-{number:04d}_ses-01_{ending}.nii.gz").data
            truth[float(data.sum(dtype="float64"))] = (number, ending)
    for case in cases:
        sums = [float(read_volume(path).data.sum(dtype="float64")) for path in (case.source, case.target)]
        found = [truth[_nearest(truth, total)] for total in sums]
        assert [ending for _, ending in found] == ["ce-gadolinium_T1w", "T1w"]
        assert len({number for number, _ in found}) == 1


def _nearest(truth, total):
    found = min(truth, key=lambda each: abs(each - total))
    assert found == pytest.approx(total, rel=2e-3)  # some scanners store with a slope
    return found


def test_the_broken_series_has_its_reason_in_the_table_and_in_the_cohort(warehouse):
    root, said, _ = warehouse
    assert re.search(r"7 scans: 6 OK, 1 REFUSED:SLICE_MISSING", said)
    reasons = [line.split("\t")[1] for line in (root / "out" / "exclusions.tsv").read_text().splitlines()[1:]]
    assert reasons == ["cannot be read"]
    assert "left out: 1 series, cannot be read" in said
    told = json.loads((root / "out" / "cohort.json").read_text())
    assert told["scans"] == 2 * SUBJECTS + 1
    assert sum(told["splits"].values()) == SUBJECTS


def test_no_identifier_is_left_anywhere(warehouse):
    root, said, _ = warehouse
    files = [path for name in ("index", "grades", "out") for path in (root / name).rglob("*") if path.is_file()]
    private = {"index.sqlite"}
    assert not any(planted in str(read_table(root / "index")) for planted in ("CANARY", "Anna", "2019-08-17"))
    for path in files:
        content = path.read_bytes() if path.name not in private else b""
        if path.suffix == ".gz":
            import gzip

            content = gzip.decompress(content)
        for planted in (b"CANARY", b"Anna", b"20190817", b"2019-08-17", b"19561224", b"sub-0001", b"2.25."):
            assert planted not in content, path
        assert "CANARY" not in str(path.relative_to(root))
    assert "CANARY" not in said


def test_the_data_set_is_valid_bids_and_says_what_was_given(warehouse):
    root, _, _ = warehouse
    case = read_cases(root / "out" / "cases.tsv")[0]
    told = [json.loads(Path(str(path).replace(".nii.gz", ".json")).read_text()) for path in (case.source, case.target)]
    assert [each["ContrastBolusIngredient"] for each in told] == ["GADOLINIUM", "NONE"]
    assert "ce-gadolinium_T1w" in case.source.name
    assert 0 < told[0]["EchoTime"] < 0.1
    ran = subprocess.run([VALIDATOR, root / "out", "--json"], capture_output=True, text=True, check=False)
    issues = json.loads(ran.stdout)["issues"]["issues"]
    assert [each for each in issues if each["severity"] == "error"] == []


def test_the_chart_is_drawn_from_the_counts(warehouse):
    root, _, _ = warehouse
    chart = (root / "out" / "flow.svg").read_text()
    assert f"{2 * SUBJECTS + 1} series in the index" in chart
    assert "cannot be read" in chart
    assert (root / "out" / "flow.png").read_bytes().startswith(b"\x89PNG")


def test_a_second_run_writes_nothing_anew_and_the_same(warehouse):
    root, _, choose = warehouse
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (root / "out").rglob("*.nii.gz")}
    table = (root / "grades" / "grades.tsv").read_bytes()
    run(*choose)
    run("grade", root / "index", root / "grades", "--jobs", 1, status=8)
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before}
    assert (root / "grades" / "grades.tsv").read_bytes() == table


def test_what_is_no_longer_wanted_is_taken_out_and_what_is_not_ours_stays(warehouse, tmp_path):
    root, _, choose = warehouse
    cases = read_cases(root / "out" / "cases.tsv")
    (root / "listed.tsv").write_text(f"item\n{cases[0].case}\n")
    (root / "out" / "notes.txt").write_text("mine")
    run(*choose, "--exclude", root / "listed.tsv")
    left = read_cases(root / "out" / "cases.tsv")
    assert [(case.case, case.split) for case in left] == [(case.case, case.split) for case in cases[1:]]
    assert "listed in listed.tsv" in (root / "out" / "exclusions.tsv").read_text()
    assert not cases[0].source.exists()
    assert not cases[0].source.parents[1].exists()
    assert (root / "out" / "notes.txt").read_text() == "mine"
    run(*choose)
    assert cases[0].source.exists()


def test_the_archive_that_loses_files_makes_the_pair_refused_not_wrong(warehouse, tmp_path):
    root, _, choose = warehouse
    row = next(row for row in read_table(root / "index") if row["kind"] == "T1w" and row["files"] > 1)
    from voxlate.archive import series_files

    with series_files(root / "index", row["series"]) as files:
        hidden = files[len(files) // 2]
        kept = hidden.read_bytes()
        hidden.unlink()
    try:
        said = run("cohort", *choose[1:3], tmp_path / "out", *choose[4:], status=8)
        assert "1 test" in said or "train" in said
        reasons = (tmp_path / "out" / "exclusions.tsv").read_text()
        assert "cannot be read: REFUSED:" in reasons
        assert "its partner cannot be read" in reasons
        assert len(read_cases(tmp_path / "out" / "cases.tsv")) == SUBJECTS - 1
    finally:
        hidden.write_bytes(kept)
