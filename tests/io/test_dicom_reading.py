"""What a series becomes: the right values at the right places, and what is told on the way."""

from __future__ import annotations

import logging
import os
import shutil
import zipfile

import numpy as np
import pytest
from dicom_series import CORNER_MM, SHAPE, SPACING_MM, enhanced, everywhere, unreadable, voxels, write_series
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from voxlate.errors import InputRefused
from voxlate.io.dicom import dicom_files, find_series, read_series


def read(path, **options):
    with dicom_files(path) as files:
        (series,) = find_series(files, force=options.get("force", False))
        return read_series(series, **options)


def codes(caplog):
    return [record.code for record in caplog.records if hasattr(record, "code")]


def test_voxels_lie_where_the_standard_says(tmp_path):
    write_series(tmp_path)
    scan = read(tmp_path)
    assert np.array_equal(scan.volume.data, voxels())
    index = np.array([3, 5, 2])
    lps = np.array(CORNER_MM) + index * SPACING_MM  # PS3.3, C.7.6.2.1.1
    assert scan.volume.grid.to_mm(index) == pytest.approx(lps * [-1, -1, 1], abs=1e-6)
    assert [plane.uid for plane in scan.planes] == [f"1.2.3.4.{k + 1}" for k in range(SHAPE[2])]


def test_oblique_slices_in_any_order_of_files_give_the_same_volume(tmp_path):
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))

    def oblique(dataset, k):
        dataset.ImageOrientationPatient = [*turn[:, 0], *turn[:, 1]]
        dataset.ImagePositionPatient = list(np.array(CORNER_MM) + k * SPACING_MM[2] * turn[:, 2])

    paths = write_series(tmp_path, oblique)
    for k, path in enumerate(paths):
        path.rename(tmp_path / f"{(5 * k) % 8}.dcm")
    scan = read(tmp_path)
    assert np.array_equal(scan.volume.data, voxels())
    expected = (np.array(CORNER_MM) + turn @ (np.array([1, 2, 3]) * SPACING_MM)) * [-1, -1, 1]
    assert scan.volume.grid.to_mm([1, 2, 3]) == pytest.approx(expected, abs=1e-4)


def test_slopes_and_intercepts_are_those_of_each_slice(tmp_path):
    def scaled(dataset, k):
        dataset.RescaleSlope, dataset.RescaleIntercept = 1 + k, -10 * k

    write_series(tmp_path, scaled)
    k = np.arange(SHAPE[2])
    expected = voxels() * (1.0 + k) - 10.0 * k
    assert read(tmp_path).volume.data == pytest.approx(expected, rel=1e-6)


def test_negative_numbers_keep_their_sign(tmp_path):
    data = voxels().astype(np.int16) - 2000

    def signed(dataset, k):
        dataset.PixelRepresentation, dataset.PixelData = 1, data[:, :, k].T.astype("<i2").tobytes()

    write_series(tmp_path, signed)
    scan = read(tmp_path)
    assert np.array_equal(scan.volume.data, data)
    assert scan.volume.stored_dtype == "int16"


def test_white_for_the_least_number_is_turned_round(tmp_path):
    def white(dataset, k):
        dataset.PhotometricInterpretation, dataset.BitsStored, dataset.HighBit = "MONOCHROME1", 12, 11

    write_series(tmp_path, white)
    assert np.array_equal(read(tmp_path).volume.data, 4095.0 - voxels())


def test_hounsfield_units_are_those_of_the_stored_numbers_however_they_are_displayed(tmp_path):
    def white(dataset, k):
        dataset.Modality, dataset.PhotometricInterpretation = "CT", "MONOCHROME1"
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024

    write_series(tmp_path, white)
    assert np.array_equal(read(tmp_path).volume.data, voxels() - 1024.0)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_every_way_of_writing_uncompressed_pixels_gives_the_same_values(tmp_path, syntax):
    def written(dataset, k):
        dataset.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()

    write_series(tmp_path, written)
    assert np.array_equal(read(tmp_path).volume.data, voxels())


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_pixels_are_decoded_to_the_same_values(tmp_path, syntax):
    if syntax == JPEG2000Lossless:
        pytest.importorskip("openjpeg")
    data = voxels((64, 48, 4))
    write_series(tmp_path, lambda dataset, k: dataset.compress(syntax, generate_instance_uid=False), data=data)
    assert np.array_equal(read(tmp_path).volume.data, data)


def test_an_enhanced_file_gives_the_volume_of_its_frames(tmp_path):
    data = voxels()
    dataset = enhanced(data)
    dataset.save_as(tmp_path / "one.dcm", enforce_file_format=True)
    scan = read(tmp_path)
    assert np.array_equal(scan.volume.data, data * 2.0)
    assert scan.volume.grid.to_mm([0, 0, 3]) == pytest.approx(np.array(CORNER_MM) * [-1, -1, 1] + [0, 0, 6])


def test_volumes_of_several_times_are_told_apart_and_one_may_be_chosen(tmp_path):
    enhanced(voxels(), times=2).save_as(tmp_path / "one.dcm", enforce_file_format=True)
    with pytest.raises(Exception, match=r"SEVERAL_VOLUMES .*TemporalPositionIndex=2"):
        read(tmp_path)
    assert read(tmp_path, volume=2).label == "TemporalPositionIndex=2"


def test_echoes_of_a_classic_series_are_told_apart(tmp_path):
    write_series(tmp_path / "a")

    def second(dataset, k):
        dataset.EchoTime, dataset.SOPInstanceUID = 80, f"1.2.3.5.{k + 1}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID

    write_series(tmp_path / "b", second, data=voxels()[::-1])
    with dicom_files(tmp_path) as files:
        (series,) = find_series(files)
        assert np.array_equal(read_series(series, volume=1).volume.data, voxels())
        assert np.array_equal(read_series(series, volume=2).volume.data, voxels()[::-1])


@pytest.mark.parametrize("keyword", ["EchoTime", "EchoNumbers"])
def test_echoes_at_interleaved_positions_are_told_apart(tmp_path, keyword):
    write_series(tmp_path, lambda dataset, k: setattr(dataset, keyword, 1 + k % 2))
    with pytest.raises(Exception, match=rf"SEVERAL_VOLUMES .*1: {keyword}=1.*; 2: {keyword}=2"):
        read(tmp_path)
    scan = read(tmp_path, volume=2)
    assert np.array_equal(scan.volume.data, voxels()[:, :, 1::2])
    assert scan.volume.spacing_mm[2] == pytest.approx(2 * SPACING_MM[2])


def test_echo_times_that_differ_by_rounding_are_those_of_one_volume(tmp_path):
    write_series(tmp_path, lambda dataset, k: setattr(dataset, "EchoTime", 2.98 + 0.01 * (k % 3)))
    assert np.array_equal(read(tmp_path).volume.data, voxels())


def without(missing, *, first=1, step=1, **elements):
    """Returns a change that leaves slices out; slice k has the instance number first + k x step."""

    def change(dataset, k):
        dataset.InstanceNumber = first + k * step
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        dataset.skip = k in missing

    return change


INCOMPLETE = {
    "the last by the number of images": without([7], ImagesInAcquisition=8),
    "the last two by the number of instances": without([6, 7], NumberOfSeriesRelatedInstances=8),
    "the first by its instance number": without([0]),
    "the first by its instance number, from head to feet": without([7], first=8, step=-1),
    "the first of every second number": without([0], step=2),
}
WHOLE = {
    "all by the number of images": without([], ImagesInAcquisition=8),
    "one of three volumes of an acquisition in series of their own": without([], first=9, ImagesInAcquisition=24),
    "every second image of an acquisition": without([], first=2, step=2, ImagesInAcquisition=16),
    "a part that was reformatted": without([7], ImageType=["DERIVED", "SECONDARY"], ImagesInAcquisition=8),
    "numbers from zero": without([], first=0),
    "numbers of no order": lambda dataset, k: setattr(dataset, "InstanceNumber", (9, 3, 5, 4, 8, 6, 2, 7)[k]),
    "numbers that go on from those of another series": without([], first=2**31 - 9),
    "no numbers at all": everywhere(InstanceNumber=None, ImagesInAcquisition=None),
    "fewer stated than there are": without([], ImagesInAcquisition=4),
}


@pytest.mark.parametrize("what", INCOMPLETE)
def test_a_series_without_its_first_or_last_slice_is_read_with_a_warning(tmp_path, caplog, what):
    write_series(tmp_path, INCOMPLETE[what])
    read(tmp_path)
    assert codes(caplog) == ["SERIES_INCOMPLETE"]


@pytest.mark.parametrize("what", WHOLE)
def test_a_whole_series_and_a_part_that_is_meant_give_no_warning(tmp_path, caplog, what):
    write_series(tmp_path, WHOLE[what])
    read(tmp_path)
    assert codes(caplog) == []


@pytest.mark.parametrize(("missing", "expected"), [((), []), ((7,), ["SERIES_INCOMPLETE"])])
def test_the_slices_of_each_volume_are_compared_with_the_number_that_a_vendor_states(
    tmp_path, caplog, missing, expected
):
    def stated(dataset, time):
        dataset.private_block(0x0021, "GEMS_RELA_01", create=True).add_new(0x4F, "SL", 8)
        dataset.TemporalPositionIdentifier = time
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{time}.{dataset.InstanceNumber}"

    for time in (1, 2):
        part = without(missing, first=1 + 8 * (time - 1))
        write_series(
            tmp_path / str(time), lambda dataset, k, time=time, part=part: (part(dataset, k), stated(dataset, time))
        )
    read(tmp_path, volume=2)
    assert codes(caplog) == expected


def test_text_and_times_that_tell_volumes_apart_are_not_told(tmp_path):
    def typed(dataset, k, word="ONE", time="101112"):
        dataset.ImageType, dataset.AcquisitionTime = ["ORIGINAL", "PRIMARY", word], time

    def second(dataset, k):
        typed(dataset, k, "CANARY", "131415")
        dataset.SOPInstanceUID = f"1.2.3.5.{k + 1}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID

    write_series(tmp_path / "a", typed)
    write_series(tmp_path / "b", second)
    with pytest.raises(Exception, match=r"SEVERAL_VOLUMES .*ImageType=#1; 2: ImageType=#2") as refused:
        read(tmp_path)
    assert "CANARY" not in str(refused.value)


def test_two_series_in_one_folder_are_two(tmp_path):
    write_series(tmp_path)

    def other(dataset, k):
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "1.2.3.7", f"1.2.3.7.{k + 1}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID

    for path in write_series(tmp_path / "other", other):
        path.rename(tmp_path / f"other{path.name}")
    with dicom_files(tmp_path) as files:
        found = find_series(files)
        assert [len(series.files) for series in found] == [8, 8]
        assert all(np.array_equal(read_series(series).volume.data, voxels()) for series in found)


def test_a_slice_that_is_there_twice_is_taken_once(tmp_path, caplog):
    paths = write_series(tmp_path)
    shutil.copy(paths[3], tmp_path / "again.dcm")
    assert np.array_equal(read(tmp_path).volume.data, voxels())
    assert codes(caplog) == ["DUPLICATE_DROPPED"]


def test_a_text_file_is_left_out(tmp_path, caplog):
    write_series(tmp_path)
    (tmp_path / "README.txt").write_text("read me")
    assert np.array_equal(read(tmp_path).volume.data, voxels())
    assert codes(caplog) == ["NON_DICOM_IGNORED"]


def test_a_program_in_the_preamble_is_told(tmp_path, caplog):
    paths = write_series(tmp_path)
    content = paths[0].read_bytes()
    paths[0].write_bytes(b"MZ" + content[2:])
    assert np.array_equal(read(tmp_path).volume.data, voxels())
    assert set(codes(caplog)) == {"PREAMBLE"}


def test_links_pipes_and_folders_with_the_name_of_a_file_are_left_out(tmp_path, caplog):
    root = tmp_path / "root"
    write_series(root)
    write_series(tmp_path / "outside", lambda dataset, k: setattr(dataset, "SeriesInstanceUID", "1.2.3.8"))
    (root / "loop").symlink_to(root)
    (root / "out").symlink_to(tmp_path / "outside" / "IM0000.dcm")
    (root / "nowhere").symlink_to(root / "nowhere")
    (root / "a.dcm").mkdir()
    os.mkfifo(root / "pipe.dcm")
    assert np.array_equal(read(root).volume.data, voxels())
    assert codes(caplog) == ["UNREADABLE"] * 4


@pytest.mark.parametrize("where", ["out of the folder", "nowhere"])
@pytest.mark.parametrize("k", [3, 7])  # within the series, and its last slice
def test_a_series_with_slices_behind_links_that_are_not_followed_is_refused(tmp_path, where, k):
    paths = write_series(tmp_path / "root")
    (tmp_path / "outside").mkdir()
    paths[k].rename(tmp_path / "outside" / "IM.dcm")
    paths[k].symlink_to("nowhere.dcm" if where == "nowhere" else tmp_path / "outside" / "IM.dcm")
    with pytest.raises(InputRefused, match=r"SLICE_MISSING .*link.*copy"):
        read(tmp_path / "root")


@pytest.mark.parametrize("place", ["b", "a/more", "c/d"])
def test_a_series_of_which_an_unreadable_folder_may_be_a_part_is_refused(tmp_path, place, monkeypatch):
    paths = write_series(tmp_path / "a")
    folder = tmp_path / place
    folder.mkdir(parents=True)
    for path in paths[5:]:
        path.rename(folder / path.name)
    assert read(tmp_path).volume.data.shape[2] == 8
    unreadable(monkeypatch, folder)
    with pytest.raises(InputRefused, match=r"SLICE_MISSING .*a folder of the input cannot be read: Permission denied"):
        read(tmp_path)


def test_an_unreadable_folder_beside_several_series_or_of_the_file_system_refuses_none(tmp_path, monkeypatch, caplog):
    write_series(tmp_path / "a")
    (tmp_path / "lost+found").mkdir()
    unreadable(monkeypatch, tmp_path / "b", tmp_path / "lost+found")
    assert read(tmp_path).volume.data.shape[2] == 8
    write_series(tmp_path / "c", lambda dataset, k: setattr(dataset, "SeriesInstanceUID", "1.2.3.8"))
    (tmp_path / "b").mkdir()
    assert [read_series(each).volume.data.shape[2] for each in find_series_below(tmp_path)] == [8, 8]
    assert codes(caplog) == ["UNREADABLE"] * 3


def find_series_below(folder):
    with dicom_files(folder) as files:
        return find_series(files)


def test_a_folder_that_cannot_be_read_is_refused_as_that(tmp_path, monkeypatch):
    unreadable(monkeypatch, tmp_path)
    with pytest.raises(InputRefused, match=r"UNREADABLE .*Permission denied"):
        read(tmp_path)


def test_small_jitter_is_told_and_the_distance_is_that_of_all_slices(tmp_path, caplog):
    def jitter(dataset, k):
        z = CORNER_MM[2] + 2.0 * k + (0.05 if k % 2 else -0.05)
        dataset.ImagePositionPatient = [*CORNER_MM[:2], z]

    write_series(tmp_path, jitter)
    assert read(tmp_path).volume.spacing_mm[2] == pytest.approx(2.0, rel=0.01)
    assert codes(caplog) == ["SPACING_JITTER"]


def test_files_without_the_mark_of_dicom_are_read_only_when_asked_for(tmp_path):
    for path in write_series(tmp_path):
        dataset = dcmread(path)
        del dataset.file_meta
        dataset.preamble = None
        dataset.save_as(path, implicit_vr=True, little_endian=True)
    with pytest.raises(Exception, match=r"UNREADABLE .* not a DICOM file, although its name"):
        read(tmp_path)
    assert np.array_equal(read(tmp_path, force=True).volume.data, voxels())


def test_a_zip_is_read_like_a_folder_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
        for path in write_series(tmp_path / "in"):
            archive.write(path, f"deep/{path.name}")
    assert np.array_equal(read(tmp_path / "scan.zip").volume.data, voxels())
    assert not list((tmp_path / "t").iterdir())


def test_no_text_of_a_header_reaches_a_log(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)

    def planted(dataset, k):
        dataset.PatientName, dataset.SeriesDescription = "CANARY^NAME", "../../../../tmp/pwn;$(id)"
        dataset.SpecificCharacterSet = "ISO_IR 13"

    paths = write_series(tmp_path, planted)
    shutil.copy(paths[0], tmp_path / "again.dcm")
    scan = read(tmp_path)
    assert "CANARY" not in caplog.text
    assert "pwn" not in caplog.text
    assert "CANARY" not in repr(scan)
