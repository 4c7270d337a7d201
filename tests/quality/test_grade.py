"""Quality rules and network together, and runs over many scans that survive interruptions."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from phantoms import DATA
from simulated_warehouse import varied_scanner, visit

from voxlate.archive.rows import GradeRow
from voxlate.cli import voxlate
from voxlate.errors import InputRefused, ModelInvalid, NoInput, UsageError
from voxlate.io.nifti import read_volume, write_volume
from voxlate.models import scan_grader as module
from voxlate.models.scan_grader import HEADS, ScanGrader, scan_grader
from voxlate.quality.classifier import INPUT_SHAPE
from voxlate.quality.grade import Grading, grade, require_scan
from voxlate.quality.items import Item, items_of
from voxlate.quality.preview import preview
from voxlate.quality.rules import RULES, Finding
from voxlate.quality.run import grade_all, is_temporary, read_grades, write_table
from voxlate.simulation.physics.scanners import scanner_named
from voxlate.volume import Volume


def made(verdict="pass", proper=0.99, agent=0.5, kinds=(0.97, 0.03), grades=((0.9, 0.05, 0.05),) * 3):
    finding = Finding("NOISE", 3.0, 9.0, 14.0, verdict)
    named = dict(zip(("contrast", "motion", "noise"), grades, strict=True))
    return Grading((finding,), {"T1w": kinds[0], "T2w": kinds[1]}, proper, agent, named)


def test_the_tier_follows_the_likeliest_grades_but_never_overrules_a_failed_rule():
    assert made().tier == "good"
    assert made(grades=((0.1, 0.8, 0.1), *((0.9, 0.1, 0.0),) * 2)).tier == "medium"
    assert made(grades=((0.1, 0.1, 0.8), *((0.9, 0.1, 0.0),) * 2)).tier == "low"
    assert made(verdict="fail").tier == "low"
    assert made(verdict="warn").tier == "good"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("sub-1_dseg", "NO_SCAN"), ("sub-1_label-L_mask", "NO_SCAN"), ("aparc", "NO_SCAN"), ("sub-1_T1w", ""),
        ("segovia_T1", ""), ("masked_T1", ""),
    ],
)  # fmt: skip
def test_a_mask_or_a_label_map_is_recognised_by_its_name(tmp_path, name, fault):
    (tmp_path / f"{name}.nii.gz").write_bytes(b"x")
    (item,) = items_of(tmp_path, ())
    assert item.fault == fault


def test_a_mask_or_a_label_map_is_recognised_by_its_few_levels():
    data = np.arange(27.0).reshape(3, 3, 3) % 4
    with pytest.raises(InputRefused, match="NO_SCAN"):
        require_scan(Volume(data, np.eye(4), "T1w"))
    require_scan(Volume(data + 0.5, np.eye(4), "T1w"))


def test_a_scan_that_is_not_a_t1w_is_improper_and_an_uncertain_one_unknown():
    assert made(proper=0.02).tier == "improper"
    assert made(kinds=(0.02, 0.98)).tier == "improper"
    assert made(proper=0.5).tier == "unknown"
    assert made(proper=0.5, verdict="fail").tier == "low"


def test_the_pixels_decide_only_above_the_least_probability():
    assert [made(agent=p).agent_state for p in (0.03, 0.2, 0.8, 0.95)] == ["no", "unknown", "unknown", "yes"]
    assert made(agent=0.99, kinds=(0.1, 0.9)).agent_state == "unknown"


def test_a_skull_stripped_brain_without_enhancement_is_no_evidence():
    noted = Finding("SKULL_STRIPPED", 0.8, float("nan"), 0.45, "note")
    for agent, state in ((0.01, "unknown"), (0.5, "unknown"), (0.97, "yes")):
        grading = made(agent=agent)
        stripped = Grading((noted,), grading.kinds, grading.proper, agent, grading.grades)
        assert stripped.agent_state == state
        assert stripped.agent_evidence >= 0.5


def test_the_pass_probability_is_that_of_a_proper_scan_of_good_or_medium_tier():
    row = made(proper=0.8, grades=((0.5, 0.2, 0.3), (1, 0, 0), (1, 0, 0))).row()
    assert row["pass_probability"] == pytest.approx(0.8 * 0.7)
    assert row["good_probability"] + row["medium_probability"] + row["low_probability"] == pytest.approx(1)


def test_the_network_has_logits_for_each_head_and_images_of_a_batch_are_independent():
    network = scan_grader()
    images, numbers = torch.rand(3, 1, *INPUT_SHAPE), torch.rand(3, 10)
    together = network(images, numbers)
    assert {name: values.shape for name, values in together.items()} == {name: (3, n) for name, n in HEADS.items()}
    alone = network(images[1:2], numbers[1:2])
    for name, values in alone.items():
        assert torch.allclose(values[0], together[name][1], atol=1e-4)


def test_temperatures_scale_the_logits_and_change_no_answer():
    torch.manual_seed(0)
    network = ScanGrader().eval()
    image, numbers = torch.rand(1, 1, *INPUT_SHAPE), torch.rand(1, 10)
    before = network(image, numbers)["agent"]
    network.temperature.fill_(2.0)
    assert torch.allclose(network(image, numbers)["agent"], before / 2)


def test_changed_weights_are_refused(monkeypatch):
    monkeypatch.setattr(module, "SHA256", "0" * 64)
    with pytest.raises(ModelInvalid, match="WEIGHTS_CHANGED"):
        scan_grader()


@pytest.mark.slow
def test_simulated_scans_of_an_unseen_scanner_and_unseen_patients_are_classified():
    found = [
        (filed, grade(filed.volume))
        for patient in range(3)
        for filed in visit(4711, patient, scanner=scanner_named("D"), images=3)
    ]
    kinds = [grading.kind in (filed.shows, "unknown") for filed, grading in found]
    agents = [(grading.agent > 0.5) == filed.has_agent for filed, grading in found if filed.is_proper]
    proper = [(grading.proper > 0.5) == filed.is_proper for filed, grading in found]
    assert sum(kinds) >= len(kinds) - 1
    assert sum(agents) >= len(agents) - 1
    assert sum(proper) >= len(proper) - 1


@pytest.mark.slow
def test_a_visit_is_the_same_for_the_same_seed_and_its_labels_are_consistent():
    first, second = (list(visit(5, 3, scanner=varied_scanner(3), images=3)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.volume.data, other.volume.data)
        assert one.header == other.header
        assert one.is_proper is (one.shows == "T1w" and not one.grades.improper)


def test_a_preview_shows_the_head_in_six_slices():
    filed = next(visit(4711, 0, scanner=scanner_named("A"), images=1))
    picture = preview(filed.volume)
    assert picture.shape == (400, 600)
    assert picture.dtype == np.uint8
    left = np.arange(filed.volume.data.shape[0])[:, None, None] < filed.volume.data.shape[0] // 2
    darker = preview(filed.volume.with_data(filed.volume.data * np.where(left, 1.0, 0.4)))
    assert darker[30:170, 40:95].mean() < 0.6 * darker[30:170, 105:160].mean()  # the patient's right, at the left
    for row in (picture[:200], picture[200:]):
        assert all(row[:, k : k + 200].max() > 100 for k in (0, 200, 400))


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two scans of a BIDS data set and a file that is none; simulated once, as it takes three seconds."""
    folder = tmp_path_factory.mktemp("scans")
    volumes = [filed.volume for filed in visit(4711, 1, scanner=scanner_named("A"), images=2, not_t1w=0)]
    for number, volume in enumerate(volumes, start=1):
        write_volume(folder / f"sub-{number}" / f"ses-a/anat/sub-{number}_ses-a_T1w.nii.gz", volume)
    whole = (folder / "sub-1" / "ses-a/anat/sub-1_ses-a_T1w.nii.gz").read_bytes()
    (folder / "broken.nii.gz").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture
def folder(scans, tmp_path):
    """A copy of the scans, which a test may change."""
    shutil.copytree(scans, tmp_path / "in")
    return tmp_path


def run(folder, out="out", jobs=1):
    return list(grade_all(folder / "in", folder / out, jobs=jobs))


def test_every_scan_has_a_row_a_json_and_a_picture_or_its_code(folder):
    assert sorted(run(folder)) == ["OK", "OK", "REFUSED:GZIP_TRUNCATED"]
    lines = [line.split("\t") for line in (folder / "out" / "grades.tsv").read_text().splitlines()]
    assert lines[0][:6] == ["participant_id", "session_id", "item", "state", "pass", "pass_probability"]
    rows = {line[2]: dict(zip(lines[0], line, strict=True)) for line in lines[1:]}
    assert rows["broken.nii.gz"]["state"] == "REFUSED:GZIP_TRUNCATED"
    assert rows["broken.nii.gz"]["tier"] == "n/a"
    good = rows["sub-1/ses-a/anat/sub-1_ses-a_T1w.nii.gz"]
    assert (good["participant_id"], good["session_id"], good["kind"]) == ("sub-1", "ses-a", "T1w")
    for known in read_grades(folder / "out"):
        assert (known["state"] == "OK") is ("grading" in known)
    assert len(list((folder / "out" / "items").glob("*.png"))) == 2


def test_a_graded_scan_is_graded_again_only_when_it_changed(folder, monkeypatch):
    run(folder)
    table = (folder / "out" / "grades.tsv").read_bytes()
    before = {path: path.stat().st_mtime_ns for path in (folder / "out" / "items").iterdir()}
    assert sorted(run(folder)) == ["OK", "OK", "REFUSED:GZIP_TRUNCATED"]
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert (folder / "out" / "grades.tsv").read_bytes() == table
    second = folder / "in" / "sub-2" / "ses-a/anat/sub-2_ses-a_T1w.nii.gz"
    write_volume(second, read_volume(second).with_data(np.minimum(read_volume(second).data, 100)))
    run(folder)
    changed = [path for path, time in before.items() if path.stat().st_mtime_ns != time]
    assert {path.stem for path in changed} == {Item("sub-2/ses-a/anat/sub-2_ses-a_T1w.nii.gz", "", "").file_name}


def test_a_row_has_the_columns_of_its_type_and_the_value_of_each_rule(folder):
    run(folder)
    rows = [record["row"] for record in read_grades(folder / "out") if "row" in record]
    assert len(rows) == 2
    for row in rows:
        assert set(row) == set(GradeRow.__annotations__) | {rule.code.lower() for rule in RULES}


def test_the_table_keeps_the_name_of_a_file_letter_by_letter(tmp_path):
    names = ["scan  of two.nii.gz", '"quoted.nii.gz']
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    assert list(grade_all(tmp_path, tmp_path / "out")) == ["REFUSED:HEADER"] * 2
    assert [known["item"]["name"] for known in read_grades(tmp_path / "out")] == sorted(names)


def test_several_processes_write_the_same_table(folder):
    run(folder)
    run(folder, "other", jobs=2)
    assert (folder / "out" / "grades.tsv").read_bytes() == (folder / "other" / "grades.tsv").read_bytes()


def test_files_left_by_a_killed_run_are_ignored(folder):
    run(folder)
    (folder / "out" / "items" / ".partial-abc.json").write_text("{")
    (folder / "out" / "items" / "of-another-run.json").write_text("{}")
    assert len(read_grades(folder / "out")) == 3


def test_a_missing_file_that_is_there_again_is_graded_though_its_stamp_is_the_same(folder):
    state = json.loads(next(path for path in _graded(folder) if "broken" in path.read_text()).read_text())["state"]
    assert not is_temporary(state)
    assert is_temporary("REFUSED:NO_INPUT")
    assert is_temporary("FAILED:ARCHIVE")


def _graded(folder):
    run(folder)
    return (folder / "out" / "items").glob("*.json")


def test_a_scan_without_a_grading_is_pending_in_the_table(folder):
    run(folder)
    items = items_of(folder / "in", ())
    (folder / "out" / "items" / f"{items[0].file_name}.json").unlink()
    write_table(folder / "out", items)
    assert "PENDING" in (folder / "out" / "grades.tsv").read_text()


def test_an_unmeasured_value_is_null_in_json(folder):
    path = folder / "in" / "sub-1" / "ses-a/anat/sub-1_ses-a_T1w.nii.gz"
    volume = read_volume(path)
    write_volume(path, volume.with_data(np.where(volume.data > 60, volume.data, 0)))
    run(folder)
    for known in read_grades(folder / "out"):
        for finding in known.get("grading", {}).get("findings", []):
            assert (finding["value"] is None) is (finding["verdict"] == "unmeasured")
            assert finding["value"] is None or math.isfinite(finding["value"])


def test_the_folder_of_grades_says_where_its_scans_are_seen_from_itself(folder):
    run(folder)
    assert json.loads((folder / "out" / "source.json").read_text()) == {"source": "../in"}


def test_a_folder_without_scans_and_one_without_grades_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoInput, match="NO_INPUT"):
        list(grade_all(tmp_path / "empty", tmp_path / "out"))
    with pytest.raises(UsageError, match="GRADES"):
        read_grades(tmp_path)


def test_an_index_without_a_series_of_the_kind_says_which_it_holds(tmp_path, monkeypatch):
    (tmp_path / "series.parquet").touch()
    rows = [{"kind": kind} for kind in ("fMRI", "DWI", "fMRI")]
    monkeypatch.setattr("voxlate.archive.read_table", lambda _: rows)
    with pytest.raises(NoInput, match=r"none of the 3 series of .* is T1w; pass a --kind that it holds: fMRI 2, DWI 1"):
        items_of(tmp_path, ("T1w",))


def test_the_command_counts_and_ends_with_8_when_some_were_refused(folder):
    arguments = ["grade", str(folder / "in"), str(folder / "out"), "-j", "1"]
    result = CliRunner().invoke(voxlate, arguments, standalone_mode=False)
    assert result.return_value == 8
    assert "3 scans: 2 OK, 1 REFUSED:GZIP_TRUNCATED" in result.output


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the shared data")
def test_real_pairs_before_and_after_a_contrast_agent_are_distinguished():
    for folder in sorted((DATA / "pairs").iterdir())[:3]:
        before, after = (grade(read_volume(folder / f"{name}.nii.gz")) for name in ("t1", "t1ce"))
        assert (before.kind, after.kind) in (("T1w", "T1w"), ("unknown", "T1w")), folder.name
        assert before.agent_state != "yes", folder.name
        assert after.agent_state == "yes", folder.name
