"""Every enhanced scan of an archive, translated: one without a partner too, and no scan before the agent."""

import csv
import shutil

import pytest
from click.testing import CliRunner

from voxlate.archive import read_table
from voxlate.cases import read_cases
from voxlate.cli import voxlate
from voxlate.io.nifti import read_volume
from voxlate.io.scans import read_scan

NAMES = ("T1w", "ce-gadolinium_T1w")


def run(*arguments):
    result = CliRunner().invoke(voxlate, list(map(str, arguments)), standalone_mode=False, catch_exceptions=False)
    assert not result.return_value, result.output
    return result.output


def truth(made, number, name):
    subject = f"sub-{number:04d}"
    return made / subject / "ses-01" / "anat" / f"{subject}_ses-01_{name}.nii.gz"


def total(volume):
    return float(volume.data.sum(dtype="float64"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_enhanced_scan_is_translated_also_one_without_a_partner(tmp_path, monkeypatch):
    monkeypatch.setenv("VOXLATE_UID_SALT", "a secret of the site")
    heads = ("--anatomy", "formula")  # on which the scan grader was trained; it doubts the agent of other heads
    run("simulate", tmp_path / "made", "-n", 2, "--seed", 7, "--dicom", *heads, "--no-progress")
    archive = tmp_path / "made" / "sourcedata" / "dicom"
    sums = {name: [total(read_volume(truth(tmp_path / "made", number, name))) for number in (1, 2)] for name in NAMES}
    folders = sorted((archive / "sub-0001" / "ses-01").iterdir())
    plain = min(folders, key=lambda folder: abs(total(read_scan(folder).volume) - sums["T1w"][0]))
    shutil.rmtree(plain)

    run("index", archive, tmp_path / "index", "--jobs", 1, "--no-progress")
    run("grade", tmp_path / "index", tmp_path / "grades", "--kind", "T1w", "--jobs", 1, "--no-progress")
    grades = ("--grades", tmp_path / "grades", "--jobs", 1, "--no-progress")
    assert "3 series, 2 scans" in run("cohort", "enhanced_t1", tmp_path / "index", tmp_path / "cohort", *grades)
    table = tmp_path / "cohort" / "cases.tsv"
    cases = read_cases(table, paired=False, single=True)
    found = sorted(total(read_volume(case.source)) for case in cases)
    assert found == pytest.approx(sorted(sums["ce-gadolinium_T1w"]), rel=2e-3)  # some scanners store with a slope
    excluded = (tmp_path / "cohort" / "exclusions.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[1] for line in excluded] == ["before contrast agent"]
    assert len(cases) + len(excluded) == len(read_table(tmp_path / "index"))

    run("batch", table, tmp_path / "out", "-m", "t1ce-to-t1", "--jobs", 1, "--no-progress")
    with (tmp_path / "out" / "ledger.tsv").open(newline="") as stream:
        states = {row["case"]: row["state"] for row in csv.DictReader(stream, delimiter="\t")}
    assert states == dict.fromkeys((case.case for case in cases), "done")
    for case in cases:
        synthetic, source = read_volume(tmp_path / "out" / f"{case.case}.nii.gz"), read_volume(case.source)
        assert synthetic.grid.matches(source.grid)
        assert (synthetic.data != source.data).any()
