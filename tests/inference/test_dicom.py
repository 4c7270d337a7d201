"""Translation of DICOM: a series of a study becomes another series of the same study."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from dicom_series import slice_header
from phantoms import head
from pydicom import dcmread

from voxlate.errors import InputRefused, UsageError
from voxlate.inference.batch import Translation
from voxlate.inference.files import translate_file
from voxlate.inference.item import Item
from voxlate.inference.manifest import read_manifest
from voxlate.inference.translate import Options, Synthesis
from voxlate.inference.verify import differences, status_of
from voxlate.io.nifti import read_volume, write_volume
from voxlate.io.scans import read_scan
from voxlate.jobs.batch import run_batch
from voxlate.jobs.executors import in_this_process


@pytest.fixture
def series(tmp_path):
    """A skull-stripped head as a series of 1 mm slices."""
    folder = tmp_path / "study" / "t1"
    folder.mkdir(parents=True)
    data = np.round(head(3, shape=(19, 21, 18)).data)
    for k in range(data.shape[2]):
        dataset = slice_header(k, data[:, :, k].T)
        dataset.ImagePositionPatient, dataset.PixelSpacing, dataset.SliceThickness = [0, 0, k], [1, 1], 1
        dataset.save_as(folder / f"IM{k}.dcm", enforce_file_format=True)
    return folder


def stored(folder):
    slices = sorted((dcmread(path) for path in folder.glob("*.dcm")), key=lambda dataset: dataset.InstanceNumber)
    return np.stack([dataset.pixel_array.T for dataset in slices], axis=-1)


def test_a_series_becomes_a_series_with_the_network_s_answer(bundle, series, tmp_path):
    synthesis = translate_file(bundle, series, tmp_path / "out")
    source = read_scan(series).volume
    assert stored(tmp_path / "out") == pytest.approx(2.5 * source.data, abs=0.51)
    assert synthesis.volume.grid.matches(source.grid)
    sidecar = json.loads((tmp_path / "out.json").read_text())
    assert sidecar["Synthetic"]["InputSHA256"] == read_scan(series).sha256
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("out")) == ["out", "out.json"]


def test_a_flagged_scan_says_so_in_the_slices_that_an_archive_shows(bundle, series, tmp_path, monkeypatch):
    monkeypatch.setattr(Synthesis, "flag", "INPUT_UNUSUAL")
    translate_file(bundle, series, tmp_path / "out")
    described = {str(dcmread(path).DerivationDescription) for path in (tmp_path / "out").glob("*.dcm")}
    assert all("its source is unlike the scans of the training" in text for text in described)


def test_a_series_becomes_a_nifti_file_when_its_name_says_so(bundle, series, tmp_path):
    translate_file(bundle, series, tmp_path / "x.nii.gz")
    assert read_volume(tmp_path / "x.nii.gz").grid.matches(read_scan(series).volume.grid)


def test_the_same_series_gives_the_same_bytes(bundle, series, tmp_path):
    for name in ("a", "b"):
        translate_file(bundle, series, tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(names) == 18
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)


def test_an_output_within_the_input_or_over_something_is_refused_at_once(bundle, series, tmp_path, monkeypatch):
    monkeypatch.delattr("voxlate.inference.files.translate_volume")
    with pytest.raises(UsageError, match="OUTPUT_IS_INPUT"):
        translate_file(bundle, series, series / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("a")
    with pytest.raises(UsageError, match="FOLDER_OCCUPIED"):
        translate_file(bundle, series, tmp_path / "full")
    write_volume(tmp_path / "s.nii.gz", read_scan(series).volume)
    with pytest.raises(UsageError, match="OUTPUT_NAME"):
        translate_file(bundle, tmp_path / "s.nii.gz", tmp_path / "never")


def test_a_refused_series_leaves_nothing(bundle, series, tmp_path):
    (series / "IM5.dcm").unlink()
    with pytest.raises(InputRefused, match="SLICE_MISSING"):
        translate_file(bundle, series, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["identity", "study"]


def test_a_batch_writes_series_that_are_verified_slice_by_slice(identity, bundle, series, tmp_path):
    lines = ["case\tsource\tseries", "one\tstudy\t3", "two\tstudy/t1\t", "gone\tnowhere\t"]
    (tmp_path / "manifest.tsv").write_text("\n".join(lines) + "\n")
    work = Translation((identity,), bundle.weights_sha256, Options(), as_dicom=True)
    manifest, out = read_manifest(tmp_path / "manifest.tsv"), tmp_path / "batch"
    run_batch(manifest, out, {}, partial(in_this_process, work))
    assert (status_of(out).done, status_of(out).refused) == (2, 1)
    assert np.array_equal(stored(out / "one"), stored(out / "two"))
    assert list(differences(out)) == []
    content = (out / "one" / "IM_0004.dcm").read_bytes()
    (out / "one" / "IM_0004.dcm").write_bytes(content[:-1])
    (out / "two" / "stray.dcm").write_bytes(b"x")
    assert [line.partition(":")[0] for line in differences(out)] == ["one/IM_0004.dcm", "two/stray.dcm"]
    run_batch(manifest, out, {}, partial(in_this_process, work))
    assert (out / "one" / "IM_0004.dcm").read_bytes() == content


def test_a_head_with_its_skull_is_translated_where_a_method_finds_the_brain(bundle, series, monkeypatch):
    from voxlate.inference.translate import translate_volume
    from voxlate.preparation.masks.brain_mask import BRAIN_MASKS

    scan = read_scan(series).volume
    with_skull = scan.with_data(scan.data + 50)
    with pytest.raises(InputRefused, match=r"NOT_SKULL_STRIPPED .* --brain-mask auto"):
        translate_volume(bundle, with_skull, options=Options(brain_mask="nonzero"))
    monkeypatch.setitem(BRAIN_MASKS, "robex", lambda volume: scan.data > 0)
    monkeypatch.setattr("voxlate.preparation.masks.brain_mask.require_plausible", lambda *_, **__: None)
    made = translate_volume(bundle, with_skull, options=Options(brain_mask="robex")).volume
    assert (made.data[scan.data > 0] > 0).all()
    with pytest.raises(UsageError, match="BRAIN_MASK"):
        translate_volume(bundle, scan, options=Options(brain_mask="magic"))


def test_an_item_keeps_only_the_sources_that_a_model_takes():
    item = Item("a", None, more={"T2": 1, "ADC": 2}, series="4")
    assert item.with_sources(("ADC",)) == Item("a", None, None, {"ADC": 2}, "4")


def test_files_without_their_mark_are_read_on_request_alone(bundle, series, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in series.iterdir():  # the data set alone, without preamble, mark and meta header
        dataset = dcmread(path)
        dataset.preamble = None
        del dataset.file_meta
        dataset.save_as(bare / path.name, implicit_vr=True, little_endian=True, enforce_file_format=False)
    with pytest.raises(InputRefused):
        translate_file(bundle, bare, tmp_path / "out.nii.gz")
    translate_file(bundle, bare, tmp_path / "out.nii.gz", options=Options(unmarked_dicom=True))
    translate_file(bundle, series, tmp_path / "marked.nii.gz")
    found, expected = (read_volume(tmp_path / name).data for name in ("out.nii.gz", "marked.nii.gz"))
    assert np.array_equal(found, expected)
