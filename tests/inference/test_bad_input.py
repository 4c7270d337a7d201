"""Whatever is given in place of a scan that the model takes is refused with a code, a reason and a remedy."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_series import enhanced
from phantoms import ball, head
from pydicom.dataset import Dataset

from voxlate.archive.series_type import MR_CLASSES, series_type_of
from voxlate.bundle.bundle import Bundle
from voxlate.cli import run_with_status, voxlate
from voxlate.errors import CannotWrite, InputRefused, UsageError
from voxlate.inference import contrast_check, files, paths
from voxlate.inference.batch import translate_many
from voxlate.inference.contrast_check import other_contrast_in_name
from voxlate.inference.files import translate_file
from voxlate.inference.item import Item
from voxlate.inference.translate import Options, translate_volume
from voxlate.io.nifti import write_volume
from voxlate.preparation.masks.brain_mask import BRAIN_MASKS
from voxlate.volume import Volume

SHAPE = (21, 26, 23)


def save(path: Path, data: np.ndarray, mm: float = 1.0) -> Path:
    nib.save(nib.Nifti1Image(data, np.diag([mm, mm, mm, 1.0])), path)
    return path


def a_scan(folder: Path, name: str = "scan") -> Path:
    return save(folder / f"{name}.nii.gz", np.round(head(0).data).astype(np.int16))


def one_slice(folder: Path) -> Path:
    return save(folder / "scan.nii.gz", head(0).data[:, :, 11:12])


def four_dimensions(folder: Path) -> Path:
    return save(folder / "scan.nii.gz", np.repeat(head(0).data[..., None], 3, axis=3))


def colours(folder: Path) -> Path:
    data = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    return save(folder / "scan.nii.gz", data)


def labels(folder: Path) -> Path:
    return save(folder / "scan.nii.gz", (ball(SHAPE, 9) + ball(SHAPE, 6) * 2).astype(np.uint8))


def a_ct(folder: Path) -> Path:
    noise = np.random.default_rng(0).normal(0, 8, SHAPE)
    return save(folder / "scan.nii.gz", (np.where(ball(SHAPE, 9), 30, -1000) + noise).astype(np.float32))


def long_echo(folder: Path) -> Path:
    (folder / "scan.json").write_text(json.dumps({"EchoTime": 0.095}))
    return a_scan(folder)


def long_echo_of_a_multi_frame_image(folder: Path) -> Path:
    dataset, echo = enhanced(np.round(head(0).data).astype(np.uint16)), Dataset()
    del dataset.EchoTime
    echo.EffectiveEchoTime = 95.0
    dataset.SharedFunctionalGroupsSequence[0].MREchoSequence = [echo]
    dataset.save_as(folder / "scan.dcm", enforce_file_format=True)
    return folder / "scan.dcm"


def perfusion(folder: Path) -> Path:
    dataset = enhanced(np.round(head(0).data).astype(np.uint16))
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "PERFUSION", "NONE"]
    dataset.save_as(folder / "scan.dcm", enforce_file_format=True)
    return folder / "scan.dcm"


def t2_by_name(folder: Path) -> Path:
    return a_scan(folder, "sub-01_T2w")


def flair_by_name(folder: Path) -> Path:
    return a_scan(folder, "flair")


def synthetic(folder: Path) -> Path:
    write_volume(folder / "scan.nii.gz", head(0), synthetic="tiny")
    return folder / "scan.nii.gz"


BAD = [
    (one_slice, "TOO_FEW_SLICES", "scan has one slice (21 x 26 x 1); give the whole volume"),
    (four_dimensions, "DIMENSIONS", "split it first"),
    (colours, "DATATYPE", "type 128 (RGB), not real numbers; convert it"),
    (labels, "LABEL_MAP", "scan is a map of labels; name the scan it belongs to, or pass --ood flag"),
    (a_ct, "LOOKS_LIKE_CT", "the model takes T1ce; choose a model that takes CT"),
    (long_echo, "CONTRAST_DIFFERS", "scan has an echo time of 95 ms, too long for T1; the model takes T1ce"),
    (long_echo_of_a_multi_frame_image, "CONTRAST_DIFFERS", "has an echo time of 95 ms, too long for T1"),
    (perfusion, "CONTRAST_DIFFERS", "has PERFUSION in its ImageType; the model takes T1ce; choose"),
    (t2_by_name, "CONTRAST_DIFFERS", "sub-01_T2w has a file name with the word T2w; the model takes T1ce"),
    (flair_by_name, "CONTRAST_DIFFERS", "flair has a file name with the word flair; the model takes T1ce"),
    (synthetic, "ALREADY_SYNTHETIC", "synthetic scans are not translated"),
]


@pytest.mark.parametrize(("make", "code", "told"), BAD, ids=[make.__name__ for make, _, _ in BAD])
def test_what_is_no_scan_for_the_model_is_refused_in_one_line_with_status_65(
    identity, tmp_path, capsys, make, code, told
):
    scan, out = make(tmp_path), tmp_path / "out" / "x.nii.gz"
    arguments = ["translate", str(scan), str(out), "-m", str(identity), "--runtime", "torch"]
    status = run_with_status(lambda: voxlate.main(arguments, standalone_mode=False))
    shown = capsys.readouterr().err.strip().splitlines()
    assert status == 65
    assert [line for line in shown if line.startswith(f"voxlate: REFUSED:{code} ")] == shown[-1:]
    assert told in shown[-1]
    assert not out.parent.exists()


@pytest.mark.parametrize("make", [labels, a_ct, long_echo, t2_by_name])
def test_what_only_looks_wrong_is_translated_with_a_warning_on_request(bundle, tmp_path, make, caplog):
    code = next(code for each, code, _ in BAD if each is make)
    mask = tmp_path / "mask.nii.gz"
    write_volume(mask, head(0).with_data(ball(SHAPE, 8)), dtype="uint8")
    item = Item("case7", make(tmp_path), mask)
    translate_file(bundle, item, tmp_path / "x.nii.gz", options=Options(gate="flag"))
    (warning,) = [record.getMessage() for record in caplog.records if getattr(record, "code", "") == code]
    assert warning.startswith(f"{code} case7 ")
    caplog.clear()
    translate_file(bundle, item, tmp_path / "y.nii.gz", options=Options(gate="off"))
    assert not [record for record in caplog.records if getattr(record, "code", "") == code]


def for_ct(bundle: Bundle, **changes: object) -> Bundle:
    preparation = bundle.recipe.preparation.model_copy(update={"range_hu": (-20.0, 100.0), **changes})
    return replace(bundle, recipe=bundle.recipe.model_copy(update={"source": "CT", "preparation": preparation}))


def test_an_mr_scan_is_refused_by_a_model_that_takes_ct_and_a_stripped_ct_is_taken(bundle):
    mr = head(0)
    with pytest.raises(InputRefused, match=r"NOT_HOUNSFIELD the scan .*the model takes CT; choose a model"):
        translate_volume(for_ct(bundle), mr)
    stripped = mr.with_data(np.where(mr.data > 0, mr.data / 20, 0))  # 10 to 40 HU, clipped at 0
    assert translate_volume(for_ct(bundle), stripped).brain.method == "nonzero"


def test_an_mr_of_a_whole_head_in_noisy_air_is_no_ct_where_its_brain_mask_is_given(bundle):
    brain = head(0)
    noise = np.random.default_rng(1).uniform(1, 20, SHAPE)  # most voxels are air: their median is near 0 as in CT
    scan = brain.with_data(np.where(ball(SHAPE, 6), brain.data, noise).astype(np.float32))
    assert np.median(scan.data) < 150
    with pytest.raises(InputRefused, match=r"NOT_HOUNSFIELD the scan .*the model takes CT; choose a model"):
        translate_volume(for_ct(bundle), scan, brain.with_data(ball(SHAPE, 6)))
    with pytest.raises(InputRefused, match=r"NOT_HOUNSFIELD .*; for MR choose another model"):
        translate_volume(for_ct(bundle), scan, options=Options(brain_mask="ct"))


@pytest.mark.parametrize(("voxels", "code"), [(0, "EMPTY_MASK"), (64, "MASK_TINY the mask has 64 voxels")])
def test_an_empty_or_tiny_mask_is_refused_and_may_be_left_out(bundle, scan, voxels, code):
    mask = np.zeros(scan.data.shape)
    mask.ravel()[np.flatnonzero(scan.data)[:voxels]] = 1
    with pytest.raises(InputRefused, match=f"{code}.*leave it out"):
        translate_volume(bundle, scan, scan.with_data(mask))


def big_head() -> Volume:
    shape, mm = (60, 60, 60), 3.0
    data = np.where(ball(shape, 29), np.random.default_rng(2).uniform(200, 800, shape), 0)  # 2,750 cm³
    return Volume(data, np.diag([mm, mm, mm, 1.0]), "T1ce")


def test_a_head_that_fills_half_the_field_is_not_taken_for_a_brain(bundle, monkeypatch, caplog):
    scan = big_head()
    assert 0.4 < (scan.data > 0).mean() < 0.6
    with pytest.raises(InputRefused, match=r"NOT_SKULL_STRIPPED .*more than a brain; .*--brain-mask auto"):
        translate_volume(bundle, scan, options=Options(keep_spacing=True, brain_mask="nonzero"))
    brain = ball(scan.data.shape, 22)
    monkeypatch.setitem(BRAIN_MASKS, "deepbet", lambda _: brain)
    caplog.set_level("INFO", logger="voxlate")
    made = translate_volume(bundle, scan, options=Options(keep_spacing=True), name="case7")
    assert np.array_equal(made.volume.data > 0, brain)
    (line,) = [each for each in caplog.messages if each.startswith("case7: not skull-stripped")]
    assert line.endswith("more than a brain); the brain was found by deepbet")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (np.zeros(SHAPE), "EMPTY_MASK every voxel is 0, .*; export or convert the scan again"),
        (np.arange(8).reshape(2, 2, 2), "MASK_TINY the mask has 7 voxels, 100 are needed; check that the scan shows"),
    ],
)
def test_a_scan_of_zeros_or_of_a_few_voxels_is_refused_with_a_remedy_that_needs_no_mask(bundle, data, told):
    with pytest.raises(InputRefused, match=told):
        translate_volume(bundle, Volume(data.astype(np.float32), np.eye(4), "T1ce"))


def test_a_neck_or_an_abdomen_has_no_brain_and_the_refusal_names_the_mask(bundle, monkeypatch):
    scan = big_head()
    monkeypatch.setitem(BRAIN_MASKS, "deepbet", lambda _: ball(scan.data.shape, 8))  # 58 cm³
    with pytest.raises(InputRefused, match=r"MASK_IMPLAUSIBLE the brain has 5\d cm³; .*--mask"):
        translate_volume(bundle, scan, options=Options(keep_spacing=True))


def test_a_bundle_that_names_a_method_uses_it_for_heads_and_never_for_stripped_scans(bundle, scan, monkeypatch):
    brain = ball((60, 60, 60), 22)
    monkeypatch.setitem(BRAIN_MASKS, "robex", lambda _: brain)
    settings = bundle.recipe.preparation.model_copy(update={"brain_mask": "robex"})
    robex = replace(bundle, recipe=bundle.recipe.model_copy(update={"preparation": settings}))
    assert translate_volume(robex, big_head(), options=Options(keep_spacing=True)).brain.method == "robex"
    assert translate_volume(robex, scan).brain.method == "nonzero"
    everything = settings.model_copy(update={"brain_mask": "all"})
    whole = replace(bundle, recipe=bundle.recipe.model_copy(update={"preparation": everything}))
    assert translate_volume(whole, scan.with_data(scan.data + 50)).brain.method == "all"


def test_the_sidecar_tells_what_was_recognised_and_where_the_mask_comes_from(bundle, tmp_path):
    translate_file(bundle, a_scan(tmp_path), tmp_path / "x.nii.gz")
    content = json.loads((tmp_path / "x.json").read_text())["Synthetic"]["QC"]["BrainMask"]
    assert content["method"] == "nonzero"
    assert content["seen"]["kind"] == "skull-stripped"
    assert content["report"]["volume_cm3"] == pytest.approx((head(0).data > 0).sum() / 1000, abs=0.001)


@pytest.mark.parametrize("undershoot", [0.0, -52.0])
def test_a_stripped_mr_is_no_ct_also_where_interpolation_made_values_below_zero(bundle, undershoot):
    ct = replace(bundle, recipe=bundle.recipe.model_copy(update={"source": "CT"}))
    brain = head(0)
    data = np.where(brain.data > 0, brain.data / np.median(brain.data[brain.data > 0]) * 265, 0).astype(np.float32)
    data[0, 0, 0] = undershoot
    with pytest.raises(InputRefused, match="NOT_HOUNSFIELD"):
        translate_volume(ct, brain.with_data(data))


@pytest.mark.parametrize("name", ["patient_t1ce", "sub-01_ce-gadolinium_T1w"])
def test_a_scan_named_as_enhanced_is_refused_by_a_model_that_takes_t1_before_the_agent(bundle, tmp_path, name):
    scan = a_scan(tmp_path).rename(tmp_path / f"{name}.nii.gz")
    plain = replace(bundle, recipe=bundle.recipe.model_copy(update={"source": "T1w", "target": "T1ce"}))
    with pytest.raises(InputRefused, match="CONTRAST_DIFFERS"):
        translate_file(plain, scan, tmp_path / "x.nii.gz")
    translate_file(bundle, scan, tmp_path / "x.nii.gz")


def test_a_model_for_research_translates_only_for_research(bundle, tmp_path):
    scan = a_scan(tmp_path)
    limited = replace(bundle, recipe=bundle.recipe.model_copy(update={"use": "research"}))
    with pytest.raises(UsageError, match=r"RESEARCH_ONLY .* pass --research"):
        translate_file(limited, scan, tmp_path / "x.nii.gz")
    with pytest.raises(UsageError, match="RESEARCH_ONLY"):
        translate_many(limited, [Item("a", scan)], tmp_path / "many")
    assert not (tmp_path / "x.nii.gz").exists()
    assert not (tmp_path / "many").exists()
    translate_file(limited, scan, tmp_path / "x.nii.gz", options=Options(research=True))
    assert "For research only" in json.loads((tmp_path / "x.json").read_text())["Description"]


def test_a_demonstration_says_so_in_its_sidecar(bundle, tmp_path):
    shown = replace(bundle, recipe=bundle.recipe.model_copy(update={"use": "demonstration"}))
    translate_file(shown, a_scan(tmp_path), tmp_path / "x.nii.gz")
    content = json.loads((tmp_path / "x.json").read_text())
    assert content["Description"].split(". ")[1].startswith("A demonstration")
    assert content["Synthetic"]["Use"] == "demonstration"


@pytest.mark.parametrize(
    ("stem", "word"),
    [
        ("flair", "flair"),
        ("dwi_trace_b1000", "dwi"),
        ("sub-01_acq-flair_T1w", ""),
        ("t1_seg", "seg"),
        ("patient2_ce", ""),
        ("T1ce", ""),
        ("sub-02_T2starw", "T2starw"),
        ("CT_0001_mprage_gd", ""),
        ("CT_0002_spgr", ""),
        ("pet-007_bravo", ""),
        ("ct01_tfl3d", ""),
        ("CT_0003_space_sag", ""),
        ("t2_space_sag", "t2"),
        ("CT_0004_mprage_seg", "seg"),
        ("CT_0005", "CT"),
    ],
)
def test_a_file_name_tells_another_contrast_unless_it_also_names_t1(stem, word):
    assert other_contrast_in_name(stem) == word


def test_a_file_in_the_place_of_the_folder_of_an_output_is_refused_before_the_network_works(
    bundle, tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "translate_volume", lambda *_, **__: pytest.fail("the scan was translated"))
    scan = a_scan(tmp_path)
    (tmp_path / "file").touch()
    for output in ("file/x.nii.gz", "file/below/x.nii.gz"):
        with pytest.raises(CannotWrite, match=r"WRITE x\.nii\.gz: file is a file, not a folder; name another output"):
            translate_file(bundle, scan, tmp_path / output)


def test_a_folder_that_cannot_be_written_is_refused_before_the_network_works(bundle, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("the scan was translated")

    scan = tmp_path / "T1ce.nii.gz"
    write_volume(scan, head(0, shape=(14, 15, 13)))
    monkeypatch.setattr(files, "translate_volume", never)
    monkeypatch.setattr(paths.os, "access", lambda path, _: Path(path) != tmp_path)  # the tests may run as root
    for output in ("x.nii.gz", "new/folder/x.nii.gz"):
        with pytest.raises(CannotWrite, match=r"WRITE x\.nii\.gz: its folder cannot be written; name another output"):
            translate_file(bundle, scan, tmp_path / output)


def test_the_image_types_that_are_not_t1_are_those_by_which_the_index_knows_other_series():
    for word in contrast_check._OTHER_IMAGE_TYPES:
        header = {"Modality": "MR", "SOPClassUID": MR_CLASSES[0], "ImageType": f"ORIGINAL\\PRIMARY\\{word}"}
        assert series_type_of(header).kind not in ("unknown", "T1w"), word
