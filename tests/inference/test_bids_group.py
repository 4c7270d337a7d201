"""The group level: one row per participant, from the ledger and the sidecars of a derivative."""

import json

import pytest

from voxlate.inference.bids_group import summarise_group
from voxlate.jobs.batch import NAMES, SETTINGS
from voxlate.jobs.ledger import Ledger
from voxlate.jobs.states import DONE, REFUSED, CaseOutcome


@pytest.fixture
def derivative(tmp_path):
    """Three scans of one participant, a refused one of a second, a pending one of a third."""
    names = ["sub-01_run-1_T1w", "sub-01_run-2_T1w", "sub-01_run-3_T1w", "sub-02_T1w", "sub-03_T1w"]
    (tmp_path / SETTINGS).write_text("{}")
    (tmp_path / NAMES).write_text("".join(f"{name}\n" for name in names))
    ledger = Ledger(tmp_path)
    figures = ((0.5, 100, ""), (1.4, 300, "INPUT_UNUSUAL"), (None, 500, ""))
    for name, (score, voxels, flag) in zip(names, figures, strict=False):
        gate = None if score is None else {"score": score, "verdict": "known"}
        content = {"ReferenceLevel": 3 * voxels, "SourceReferenceLevel": voxels}
        content["QC"] = {"BrainVoxels": voxels, "Gate": gate}
        (tmp_path / f"{name}.json").write_text(json.dumps({"Synthetic": content}))
        (tmp_path / f"{name}.nii.gz").touch()
        ledger.end(CaseOutcome(name, DONE, files={f"{name}.json": "0", f"{name}.nii.gz": "0"}, flag=flag))
    ledger.end(CaseOutcome(names[3], REFUSED, "EMPTY", "it is empty"))
    ledger.close()
    return tmp_path


def test_a_row_counts_the_scans_and_has_the_figures_of_their_sidecars(derivative):
    one, two, three = summarise_group(derivative)
    assert (one.participant_id, one.scans, one.done, one.flagged) == ("sub-01", 3, 3, 1)
    assert (one.distance, one.brain_voxels, one.level_ratio) == (1.4, 300.0, 3.0)
    assert (two.refused, two.done, two.distance) == (1, 0, None)
    assert (three.pending, three.scans) == (1, 1)
    lines = (derivative / "group.tsv").read_text().splitlines()
    assert lines[2].split("\t") == ["sub-02", "1", "0", "1", "0", "0", "0", "n/a", "n/a", "n/a"]
    summary = json.loads((derivative / "group.json").read_text())
    assert summary["codes"] == {"EMPTY": 1}
    assert summary["scans"] == {"cases": 5, "done": 3, "refused": 1, "failed": 0, "pending": 1}
    assert summary["figures"]["distance"] == {"median": 1.4, "min": 1.4, "max": 1.4, "n": 1}


def test_a_damaged_sidecar_adds_no_figure_and_does_not_end_the_summary(derivative):
    (derivative / "sub-01_run-2_T1w.json").write_text("{")
    (derivative / "sub-01_run-3_T1w.json").write_text('{"Synthetic": {"QC": {"BrainVoxels": true}}}')
    assert summarise_group(derivative, ["01"])[0].brain_voxels == 100.0
