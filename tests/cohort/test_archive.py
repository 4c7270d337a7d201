"""The rules of the papers on simulated archives, from DICOM to a table of cases and its pages."""

import pytest
from click.testing import CliRunner

from voxlate.cases import read_cases
from voxlate.cli import voxlate
from voxlate.io.nifti import read_volume

from .test_further import COHORTS


def run(*arguments):
    result = CliRunner().invoke(voxlate, list(map(str, arguments)), standalone_mode=False, catch_exceptions=False)
    assert not result.return_value, result.output
    return result.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "task", "more"),
    [("chen2022", "virtual_contrast", ["ADC", "T2w"]), ("lee2020", "spine", []), ("li2022_t2", "ct_to_mr", [])],
)
def test_the_rules_of_a_paper_make_a_cohort_of_a_simulated_archive(tmp_path, monkeypatch, name, task, more):
    monkeypatch.setenv("VOXLATE_UID_SALT", "a secret of the site")
    made = ("--task", task, "--subjects", 1, "--scanner", "A", "--dicom", "--no-progress")
    run("simulate", tmp_path / "made", *made)
    run("index", tmp_path / "made" / "sourcedata" / "dicom", tmp_path / "index", "--jobs", 1)
    run("cohort", COHORTS / f"{name}.yaml", tmp_path / "index", tmp_path / "out", "--jobs", 1)
    (case,) = read_cases(tmp_path / "out" / "cases.tsv")
    assert sorted(case.more) == more
    assert all(read_volume(path).data.any() for path in (case.source, case.target, *case.more.values()))
    page = (tmp_path / "out" / "cohort.html").read_text()
    assert "images by field strength" in page
    assert (tmp_path / "out" / "cohort_table.tsv").read_text().startswith("characteristic\tvalue\tall\ttrain\n")
