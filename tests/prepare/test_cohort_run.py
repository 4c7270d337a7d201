import importlib.util
import json

import numpy as np
import pytest
from click.testing import CliRunner

from prepare.heads import moved, points_mm, rigid, simulated
from voxlate.cli.prepare import prepare
from voxlate.cohort.cases import Case, read_cases, write_cases
from voxlate.errors import UsageError
from voxlate.io.nifti import read_volume, write_volume
from voxlate.prepare import cohort_run
from voxlate.prepare.cohort_run import PairFiles, prepare_cohort
from voxlate.prepare.pair import PairSettings, prepare_pair
from voxlate.prepare.transform import Transform

pytestmark = pytest.mark.skipif(importlib.util.find_spec("picsl_greedy") is None, reason="needs picsl-greedy")
TRUTH = rigid(7, degrees=8, shift_mm=9)
SETTINGS = PairSettings(source_mask="nonzero", target_mask="nonzero", to_template=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Returns a folder with a stripped T1ce, its T1 after the patient moved, and the T1 of another patient."""
    folder = tmp_path_factory.mktemp("scans")
    for number in (0, 1):
        subject = simulated("t1ce_t1", number)
        inside = subject.truth.brain_mask.data > 0.5
        for contrast in ("T1ce", "T1w"):
            image = subject.images[contrast]
            stripped = image.with_data(np.where(inside, image.data, 0))
            place = moved(stripped, TRUTH) if contrast == "T1w" else stripped
            write_volume(folder / f"{number}_{contrast}.nii.gz", place)
        write_volume(folder / f"{number}_labels.nii.gz", moved(subject.truth.lesion_mask, TRUTH), dtype="uint8")
    write_volume(folder / "empty.nii.gz", read_volume(folder / "0_T1w.nii.gz").with_data(np.zeros(inside.shape)))
    return folder


def cases(folder) -> list[PairFiles]:
    return [
        PairFiles("same", folder / "0_T1ce.nii.gz", folder / "0_T1w.nii.gz"),
        PairFiles("empty", folder / "0_T1ce.nii.gz", folder / "empty.nii.gz"),
        PairFiles("absent", folder / "0_T1ce.nii.gz", folder / "none.nii.gz"),
    ]


def test_a_pair_comes_onto_one_grid_with_its_labels(files):
    source, target = read_volume(files / "0_T1ce.nii.gz"), read_volume(files / "0_T1w.nii.gz")
    labels = read_volume(files / "0_labels.nii.gz")
    pair = prepare_pair(source, target, SETTINGS, labels=labels)
    assert pair.target.grid.matches(source.grid)
    assert pair.transform.distance_mm(TRUTH, points_mm(source, pair.mask)).mean() < 0.5
    truth = simulated("t1ce_t1", 0).truth.lesion_mask.data > 0.5
    found = pair.labels.data > 0.5
    assert 2 * (truth & found).sum() / (truth.sum() + found.sum()) > 0.8


def test_every_case_ends_as_done_refused_or_failed_with_its_reason(files, tmp_path):
    records = {record["case"]: record for record in prepare_cohort(cases(files), tmp_path / "out", SETTINGS)}
    assert records["same"]["state"] == "done"
    assert {name: records[name].get("code") for name in ("empty", "absent")} == {
        "empty": "EMPTY_MASK",
        "absent": "NO_INPUT",
    }
    assert not (tmp_path / "out" / "empty").exists()


def test_a_second_run_takes_what_is_whole_and_does_again_what_is_not(files, tmp_path, monkeypatch):
    out = tmp_path / "out"
    first = next(prepare_cohort(cases(files)[:1], out, SETTINGS))
    kept = (out / "same" / "target.nii.gz").read_bytes()

    def fail(*_, **__):
        raise AssertionError("the case was prepared again")

    with monkeypatch.context() as patched:
        patched.setattr(cohort_run, "prepare_pair", fail)
        assert next(prepare_cohort(cases(files)[:1], out, SETTINGS)) == first
    (out / "same" / "target.nii.gz").write_bytes(kept[:-100])
    again = next(prepare_cohort(cases(files)[:1], out, SETTINGS))
    assert again["state"] == "done"
    assert (out / "same" / "target.nii.gz").read_bytes() == kept


def test_a_folder_is_prepared_in_one_way_only(files, tmp_path):
    out = tmp_path / "out"
    next(prepare_cohort(cases(files)[:1], out, SETTINGS))
    with pytest.raises(UsageError, match="SETTINGS_DIFFER"):
        next(prepare_cohort(cases(files)[:1], out, SETTINGS.model_copy(update={"is_registered": False})))
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.docx").write_text("mine")
    with pytest.raises(UsageError, match="FOLDER_OCCUPIED"):
        next(prepare_cohort(cases(files)[:1], other, SETTINGS))


def test_the_command_writes_a_table_a_page_and_pictures(files, tmp_path):
    rows = [
        Case(file.name, file.name, "test", file.source, file.target)
        for file in cases(files)
        if file.name in ("same", "empty")
    ]
    write_cases(tmp_path / "cases.tsv", rows)
    arguments = [str(tmp_path / "cases.tsv"), str(tmp_path / "out"), "--brain-mask", "nonzero", "--no-template"]
    result = CliRunner().invoke(prepare, [*arguments, "--no-progress"], standalone_mode=False)
    assert result.return_value == 8, result.output
    assert "REFUSED:EMPTY_MASK empty" in result.output
    assert "1 done, 1 refused, 0 failed of 2" in result.output
    prepared = read_cases(tmp_path / "out" / "cases.tsv")
    assert [case.case for case in prepared] == ["same"]
    assert read_volume(prepared[0].target).grid.matches(read_volume(prepared[0].source).grid)
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.index("empty") < page.index("Steps of same")
    assert (tmp_path / "out" / "same" / "picture.png").read_bytes()[:4] == b"\x89PNG"
    record = json.loads((tmp_path / "out" / "same" / "preparation.json").read_text())
    assert Transform(np.array(record["registration"]["matrix"])).distance_mm(TRUTH, [[0, 0, 0]])[0] < 1
    assert str(tmp_path) not in json.dumps(record) + page
