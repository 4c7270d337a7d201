import json

import numpy as np
import pytest
from click.testing import CliRunner

from preparation.heads import moved, points_mm, rigid, simulated
from voxlate.cases import Case, read_cases, write_cases
from voxlate.cli.prepare import prepare
from voxlate.errors import InputRefused, UsageError
from voxlate.io.nifti import read_volume, write_volume
from voxlate.preparation import register_pair as pair_module
from voxlate.preparation import run
from voxlate.preparation.align_scan import require_kind
from voxlate.preparation.further_sources import MissingSource
from voxlate.preparation.register_pair import PairSettings, prepare_pair
from voxlate.preparation.registration.alignment import AlignmentScore
from voxlate.preparation.registration.registration import Registration
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.run import PairFiles, prepare_cohort
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Volume

TRUTH = rigid(7, degrees=8, shift_mm=9)
IDENTITY = Registration(Transform.identity(), AlignmentScore(1.0, 2.0, 1.0, 1.0, "good", ()))
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
        patched.setattr(run, "prepare_pair", fail)
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


def test_a_mirrored_partner_and_a_ct_taken_for_a_scan_of_another_kind_are_named(files):
    source, target = read_volume(files / "0_T1ce.nii.gz"), read_volume(files / "0_T1w.nii.gz")
    mirrored = Volume(target.data, np.diag([-1.0, 1, 1, 1]) @ target.affine)
    with pytest.raises(InputRefused, match="MIRRORED"):
        prepare_pair(source, mirrored, SETTINGS)
    ct = simulated("ct_to_mr").images["CT"]
    with pytest.raises(InputRefused, match="LOOKS_LIKE_CT"):
        prepare_pair(ct, target, PairSettings(source_mask="deepbet"))


def test_air_stays_air_where_a_ct_does_not_reach():
    subject = simulated("ct_to_mr")
    mr, ct = subject.images["T1w"], subject.images["CT"]
    half = ct.data.shape[2] // 3
    part = Volume(np.ascontiguousarray(ct.data[:, :, half:]), shifted(ct.affine, half))
    settings = PairSettings(source_mask="nonzero", target_mask="ct", is_registered=True, to_template=False)
    mask = subject.truth.brain_mask.data > 0.5
    pair = prepare_pair(mr, part, settings, mask=mask)
    assert (pair.target.data[:, :, : half - 8] == -1000).all()


def shifted(affine, slices):
    moved_affine = affine.copy()
    moved_affine[:3, 3] += affine[:3, 2] * slices
    return moved_affine


def test_a_file_that_cannot_be_read_fails_its_case_and_a_damaged_folder_is_refused(files, tmp_path, monkeypatch):
    def broken(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("voxlate.jobs.results.sha256", broken)
        (record,) = prepare_cohort(cases(files)[:1], tmp_path / "out", SETTINGS)
    assert (record["state"], record["code"]) == ("failed", "UNREADABLE")
    (tmp_path / "out" / "settings.json").write_text("{")
    with pytest.raises(UsageError, match="SETTINGS_DIFFER"):
        next(prepare_cohort(cases(files)[:1], tmp_path / "out", SETTINGS))


def test_an_unknown_method_is_refused_before_anything_is_written(files, tmp_path):
    write_cases(tmp_path / "cases.tsv", [Case("a", "a", "test", files / "0_T1ce.nii.gz", files / "0_T1w.nii.gz")])
    arguments = [str(tmp_path / "cases.tsv"), str(tmp_path / "out"), "--brain-mask", "depbet"]
    with pytest.raises(UsageError, match=r"BRAIN_MASK .*deepbet"):
        CliRunner().invoke(prepare, arguments, standalone_mode=False, catch_exceptions=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--brain-mask", "--target-brain-mask", "--more-brain-mask"])
def test_a_mask_of_all_voxels_is_refused_with_its_reason_before_anything_is_written(files, tmp_path, option):
    write_cases(tmp_path / "cases.tsv", [Case("a", "a", "test", files / "0_T1ce.nii.gz", files / "0_T1w.nii.gz")])
    arguments = [str(tmp_path / "cases.tsv"), str(tmp_path / "out"), option, "nonzero+all"]
    with pytest.raises(UsageError, match=r"BRAIN_MASK `all` takes every voxel, .* registered by their brains"):
        CliRunner().invoke(prepare, arguments, standalone_mode=False, catch_exceptions=False)
    assert not (tmp_path / "out").exists()


def test_a_ct_is_taken_with_a_method_for_ct_or_one_that_takes_the_voxels_as_they_are():
    ct = simulated("ct_to_mr").images["CT"]
    for method in ("all", "nonzero", "ct", "ct_watershed"):
        require_kind("source", ct, method)
    with pytest.raises(InputRefused, match="LOOKS_LIKE_CT the source"):
        require_kind("source", ct, "deepbet")


def test_what_is_doubtful_is_kept_with_its_reason_or_refused(files, monkeypatch):
    source, target = read_volume(files / "0_T1ce.nii.gz"), read_volume(files / "0_T1w.nii.gz")
    monkeypatch.setattr(pair_module, "_warnings", lambda *_: iter(["metal"]))
    assert prepare_pair(source, target, SETTINGS).doubts == ("metal",)
    with pytest.raises(InputRefused, match="DOUBTFUL metal"):
        prepare_pair(source, target, SETTINGS.model_copy(update={"doubtful": "refuse"}))


def test_a_missing_further_source_is_refused_before_the_target_is_denoised(files, monkeypatch):
    source = read_volume(files / "0_T1ce.nii.gz")
    settings = SETTINGS.model_copy(update={"is_registered": False, "is_denoised": True, "missing": "refuse"})
    monkeypatch.setattr(pair_module, "denoised", lambda _: pytest.fail("denoised although the case is refused"))
    with pytest.raises(InputRefused, match="SOURCE_MISSING ADC: NO_INPUT"):
        prepare_pair(source, source, settings, more={"ADC": MissingSource("NO_INPUT", "no such file")})


@pytest.mark.slow
def test_two_processes_prepare_the_same_bytes_as_one(files, tmp_path):
    one = list(prepare_cohort(cases(files)[:1], tmp_path / "one", SETTINGS))
    two = list(prepare_cohort(cases(files), tmp_path / "two", SETTINGS, jobs=2))
    assert len(two) == len(cases(files))
    (done,) = [record for record in two if record["state"] == "done"]
    assert done["files"] == one[0]["files"]


def test_auto_recognises_a_stripped_pair_that_is_aligned_and_keeps_masks_and_voxels(files, tmp_path):
    source = read_volume(files / "0_T1ce.nii.gz")
    target = moved(read_volume(files / "0_T1w.nii.gz"), TRUTH.inverse)  # back in place, but interpolated
    same = resample(target, source.grid).data * (source.data != 0)
    write_volume(tmp_path / "target.nii.gz", source.with_data(np.where(source.data != 0, np.maximum(same, 1), 0)))
    pairs = [PairFiles("still", files / "0_T1ce.nii.gz", tmp_path / "target.nii.gz"), cases(files)[0]]
    settings = PairSettings(to_template=False)
    still, restless = prepare_cohort(pairs, tmp_path / "out", settings)
    assert still["saw"] == "skull-stripped, aligned"
    assert still["is_aligned"]
    assert still["registration"]["moved_mm"] == 0
    assert still["brains"]["source"]["method"] == still["brains"]["target"]["method"] == "nonzero"
    assert still["brains"]["target"]["text"] == "skull-stripped; the mask is its non-zero region"
    kept = read_volume(tmp_path / "out" / "still" / "target.nii.gz").data
    assert np.array_equal(kept, read_volume(tmp_path / "target.nii.gz").data)
    assert restless["saw"].startswith("skull-stripped, registered (moved by ")
    assert restless["registration"]["moved_mm"] > 5


def test_named_methods_register_every_pair_as_before(files, monkeypatch):
    source = read_volume(files / "0_T1ce.nii.gz")
    calls = []
    monkeypatch.setattr(pair_module, "align_scan", lambda *_, **__: calls.append(1) or IDENTITY)
    prepare_pair(source, source, SETTINGS)
    assert calls
    assert prepare_pair(source, source, PairSettings(to_template=False)).is_aligned
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        (("auto", "nonzero"), "source skull-stripped, "),
        (("nonzero", "auto"), "target skull-stripped, "),
        (("nonzero", "nonzero"), ""),
    ],
)
def test_what_was_recognised_in_one_scan_alone_is_not_said_of_both(files, monkeypatch, methods, words):
    source = read_volume(files / "0_T1ce.nii.gz")
    monkeypatch.setattr(pair_module, "align_scan", lambda *_, **__: IDENTITY)
    settings = PairSettings(source_mask=methods[0], target_mask=methods[1], to_template=False)
    assert prepare_pair(source, source, settings).saw == f"{words}registered (moved by 0.0 mm)"
