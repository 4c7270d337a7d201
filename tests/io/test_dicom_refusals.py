"""Rows 1 to 36 of the list of bad inputs: each gets its code, whatever other converters make of it."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_series import CORNER_MM, everywhere, voxels, write_series
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1

from voxlate.errors import VoxlateError
from voxlate.io.dicom import dicom_files, find_series, read_series
from voxlate.io.dicom.parse import read_dataset


def refusal(path) -> str:
    """Returns the code with which a folder is refused; an error that is not ours gets through and fails the test."""
    try:
        with dicom_files(path) as files:
            for series in find_series(files):
                read_series(series)
    except VoxlateError as error:
        return error.code if "\n" not in error.message else "more than one line"
    return "none"


def at(number: int, **elements):
    """Returns a change of one slice."""

    def change(dataset, k):
        if k == number:
            for keyword, value in elements.items():
                setattr(dataset, keyword, value)

    return change


def without(keyword: str):
    return lambda dataset, k: delattr(dataset, keyword)


def place(z):
    def change(dataset, k):
        dataset.ImagePositionPatient = [*CORNER_MM[:2], float(z(k))]

    return change


def tilted(dataset, k):
    dataset.ImagePositionPatient = [CORNER_MM[0], CORNER_MM[1] + 0.4 * k, CORNER_MM[2] + 2.0 * k]


def two_directions(dataset, k):
    if k >= 4:
        dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        dataset.ImagePositionPatient = [CORNER_MM[0] + 2 * k, CORNER_MM[1], CORNER_MM[2]]


def localizer(dataset, k):
    directions = ([1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1])
    dataset.ImageOrientationPatient = directions[k % 3]
    if k > 2:
        dataset.skip = True


def smaller(dataset, k):
    if k == 5:
        dataset.Rows = dataset.Rows - 1
        dataset.PixelData = dataset.PixelData[: 2 * dataset.Rows * dataset.Columns]


CHANGES = {
    "a missing middle slice": (at(3, skip=True), "SLICE_MISSING"),
    "two missing slices": (lambda dataset, k: setattr(dataset, "skip", k in (3, 4)), "SLICE_MISSING"),
    "two directions": (two_directions, "ORIENTATION_MIXED"),
    "rows that vary": (smaller, "MATRIX_VARIES"),
    "pixels that vary": (at(3, PixelSpacing=[1.0, 1.0]), "SPACING_VARIES"),
    "no pixels": (without("PixelData"), "NOT_AN_IMAGE"),
    "a report": (
        lambda dataset, k: [delattr(dataset, word) for word in ("PixelData", "Rows", "Columns")],
        "NOT_AN_IMAGE",
    ),
    "no orientation": (without("ImageOrientationPatient"), "GEOMETRY_ABSENT"),
    "no position": (without("ImagePositionPatient"), "GEOMETRY_ABSENT"),
    "no spacing": (without("PixelSpacing"), "GEOMETRY_ABSENT"),
    "a slanted picture": (everywhere(ImageOrientationPatient=[1, 0, 0, 0.5, 0.866, 0]), "GEOMETRY_INVALID"),
    "a position of two numbers": (everywhere(ImagePositionPatient=[1, 2]), "GEOMETRY_INVALID"),
    "pixels of no size": (everywhere(PixelSpacing=[0, 0]), "SPACING_INVALID"),
    "a constant image": (lambda dataset, k: setattr(dataset, "PixelData", b"\7\0" * 120), "CONSTANT"),
    "colour": (everywhere(SamplesPerPixel=3, PhotometricInterpretation="RGB"), "COLOUR"),
    "a mosaic": (everywhere(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), "MOSAIC"),
    "a localizer of three slices": (localizer, "TOO_FEW_SLICES"),
    "three slices": (lambda dataset, k: setattr(dataset, "skip", k > 2), "TOO_FEW_SLICES"),
    "a series named by a path": (everywhere(SeriesInstanceUID="../../../../evil"), "UID_INVALID"),
    "no name of the series": (without("SeriesInstanceUID"), "UID_MISSING"),
    "two patients": (at(3, PatientID="P2"), "PATIENT_MIXED"),
    "two frames of reference": (at(3, FrameOfReferenceUID="1.2.3.10"), "FRAME_MIXED"),
    "65535 rows and columns": (everywhere(Rows=65535, Columns=65535), "TOO_LARGE"),
    "60 rows and columns": (everywhere(Rows=60, Columns=60), "PIXEL_TRUNCATED"),
    "jitter of 10 %": (place(lambda k: 2 * k + (0.2 if k == 4 else 0)), "SPACING_VARIES"),
    "gaps of 1 and 2 mm": (place(lambda k: k if k < 4 else 4 + 2 * (k - 4)), "SPACING_VARIES"),
    "a tilted gantry": (tilted, "SHEAR"),
    "our own output": (everywhere(ImageType=["DERIVED", "SECONDARY", "OTHER", "SYNTHETIC"]), "ALREADY_SYNTHETIC"),
    "a slope of nothing": (everywhere(RescaleSlope=0, RescaleIntercept=0), "SCALING"),
    "one place for all": (place(lambda k: 0), "POSITIONS_REPEAT"),
    "frames without places": (everywhere(NumberOfFrames=2, PixelData=b"\7\0" * 240), "GEOMETRY_ABSENT"),
    "one bit": (everywhere(BitsAllocated=1, BitsStored=1, HighBit=0), "DATATYPE"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_series_is_refused_for(what, tmp_path):
    change, code = CHANGES[what]
    write_series(tmp_path, change)
    assert refusal(tmp_path) == code


@pytest.mark.parametrize(
    ("what", "remedy"),
    [
        ("a localizer of three slices", "the series holds 3 stacks of too few slices .*; it may be a localizer"),
        ("a missing middle slice", "1 of 8 slices are missing, .*; export the series again"),
        ("rows that vary", "; export them as different series"),
        ("60 rows and columns", "; export it again"),
    ],
)
def test_a_refused_series_is_told_what_to_do(tmp_path, what, remedy):
    write_series(tmp_path, CHANGES[what][0])
    with dicom_files(tmp_path) as files:
        (series,) = find_series(files)
    with pytest.raises(VoxlateError, match=rf"{remedy}$"):
        read_series(series)


@pytest.mark.parametrize("text", ["NaN", "abc", "1e999"])
def test_a_position_that_is_no_number_is_refused(tmp_path, text):
    paths = write_series(tmp_path)
    content = paths[2].read_bytes()
    value = b"-40.0\\-30.0\\19.0"
    assert value in content
    paths[2].write_bytes(content.replace(value, f"{text}\\-30.0".encode().ljust(len(value) - 5) + b"\\19.0"))
    assert refusal(tmp_path) == "GEOMETRY_INVALID"


@pytest.mark.parametrize("number", [4, 7])
def test_an_empty_file_is_a_missing_slice_and_is_told_by_its_place(tmp_path, number):
    paths = write_series(tmp_path)
    paths[number].write_bytes(b"")
    with dicom_files(tmp_path) as files:
        (series,) = find_series(files)
    with pytest.raises(VoxlateError, match=rf"SLICE_MISSING .*file {number + 1} of \d+ in its folder"):
        read_series(series)


def test_a_cut_slice_refuses_its_series_and_no_other(tmp_path):
    paths = write_series(tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:-50])
    write_series(tmp_path / "b", everywhere(SeriesInstanceUID="1.2.3.8"))
    with dicom_files(tmp_path) as files:
        first, second = find_series(files)
    with pytest.raises(VoxlateError, match=r"PIXEL_TRUNCATED file 3 of \d+ in its folder"):
        read_series(first)
    assert np.array_equal(read_series(second).volume.data, voxels())


def test_a_file_cut_in_its_header_is_refused(tmp_path):
    paths = write_series(tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:420])
    assert refusal(tmp_path) in ("LENGTH_INVALID", "SLICE_MISSING", "UID_MISSING")


def test_a_folder_without_dicom_has_nothing(tmp_path):
    (tmp_path / "a.txt").write_text("nothing")
    with dicom_files(tmp_path) as files:
        assert find_series(files) == []
    with pytest.raises(VoxlateError, match="NO_INPUT"), dicom_files(tmp_path / "absent"):
        pass
    (tmp_path / "empty").mkdir()
    with pytest.raises(VoxlateError, match="NO_INPUT"), dicom_files(tmp_path / "empty"):
        pass


def test_one_picture_in_two_versions_is_refused(tmp_path):
    paths = write_series(tmp_path)
    content = bytearray(paths[3].read_bytes())
    content[-1] ^= 1
    (tmp_path / "other.dcm").write_bytes(content)
    assert refusal(tmp_path) == "DUPLICATE_CONFLICT"


def test_an_element_longer_than_its_file_is_refused(tmp_path):
    paths = write_series(tmp_path)
    content = paths[2].read_bytes()
    at_length = content.index(b"\xe0\x7f\x10\x00OW") + 8
    paths[2].write_bytes(content[:at_length] + struct.pack("<I", 0xFFFFFFF0) + content[at_length + 4 :])
    assert refusal(tmp_path) == "LENGTH_INVALID"


def test_sequences_without_end_are_refused(tmp_path):
    paths = write_series(tmp_path)
    content = paths[2].read_bytes()
    start = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    place = content.index(struct.pack("<HH2s", 0x0010, 0x0010, b"PN"))
    paths[2].write_bytes(content[:place] + start * 2000 + end * 2000 + content[place:])
    assert refusal(tmp_path) == "NESTING"


def test_nested_sequences_of_stated_length_harm_nobody(tmp_path):
    def nested(dataset, k):
        inner = Dataset()
        for _ in range(60):
            outer = Dataset()
            outer.ReferencedImageSequence = Sequence([inner])
            inner = outer
        dataset.ReferencedImageSequence = Sequence([inner])

    write_series(tmp_path, nested)
    assert refusal(tmp_path) == "none"


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLosslessSV1])
def test_raw_pixels_said_to_be_compressed_are_refused(tmp_path, syntax):
    for path in write_series(tmp_path):
        content = path.read_bytes()
        old, new = b"1.2.840.10008.1.2.1\0", str(syntax).encode()
        new += b"\0" * (len(new) % 2)
        grown = len(new) - len(old)
        length = struct.unpack("<I", content[140:144])[0]
        content = content[:140] + struct.pack("<I", length + grown) + content[144:]
        tag = struct.pack("<HH2sH", 2, 0x10, b"UI", len(old))
        path.write_bytes(content.replace(tag + old, tag[:-2] + struct.pack("<H", len(new)) + new))
    assert str(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID) == str(syntax)
    assert refusal(tmp_path) == "SYNTAX_UNSUPPORTED"


def test_an_unknown_way_of_writing_pixels_is_refused(tmp_path):
    for path in write_series(tmp_path):
        content = path.read_bytes()
        path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.99999.1.2.1\0"))
    assert refusal(tmp_path) == "SYNTAX_UNSUPPORTED"


def test_a_deflated_bomb_is_not_inflated(tmp_path, monkeypatch):
    monkeypatch.setattr("voxlate.io.dicom.parse._DEFLATE_MAX_BYTES", 500)
    for path in write_series(tmp_path):
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
        dataset.save_as(path, enforce_file_format=True)
    assert refusal(tmp_path) == "TOO_LARGE"


@pytest.mark.parametrize("name", ["../out.dcm", "/etc/out.dcm", "a/../../out.dcm", "..\\out.dcm", "C:/out.dcm"])
def test_an_archive_whose_members_lead_out_of_it_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, "x")
    assert refusal(tmp_path / "a.zip") == "ARCHIVE"
    assert not (tmp_path.parent / "out.dcm").exists()


def test_an_archive_of_links_bombs_or_too_much_is_refused(tmp_path, monkeypatch):
    link = zipfile.ZipInfo("a.dcm")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", b"\0" * 20_000_000)
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for k in range(20):
            archive.writestr(f"{k}", "x")
    monkeypatch.setattr("voxlate.io.dicom.files.MAX_MEMBERS", 10)
    for name in ("link", "bomb", "many"):
        assert refusal(tmp_path / f"{name}.zip") == "ARCHIVE"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_archive_is_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        for path in write_series(tmp_path / "in"):
            archive.write(path, path.name)
    content = (tmp_path / "a.zip").read_bytes()
    for start in range(100, 600, 50):  # compressed bytes of the first file: each place damages another part of them
        damaged = bytearray(content)
        damaged[start : start + 6] = bytes(value ^ 0xFF for value in content[start : start + 6])
        (tmp_path / "a.zip").write_bytes(damaged)
        assert refusal(tmp_path / "a.zip") == "ARCHIVE"


def test_the_order_of_files_and_a_copy_elsewhere_change_no_refusal(tmp_path):
    write_series(tmp_path / "a", at(3, skip=True))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert refusal(tmp_path) == "SLICE_MISSING"


def deflated(folder: Path, size: int) -> Path:
    """Writes a file that inflates to `size` bytes of nothing."""
    (path,) = write_series(folder, everywhere(), data=voxels()[:, :, :1])
    dataset = dcmread(path)
    dataset.add_new(0x00090010, "LO", "TEST")
    dataset.add_new(0x00091001, "OB", b"\0" * size)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    return path


def test_a_deflated_file_is_inflated_no_further_than_its_size_allows(tmp_path):
    small = deflated(tmp_path / "a", 1 << 20)
    assert read_dataset(small).Rows == 10
    bomb = deflated(tmp_path / "b", 200 << 20)
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(VoxlateError, match=r"TOO_LARGE .*inflates to more than"):
        read_dataset(bomb)


def zipped(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_members_of_a_zip_that_share_their_bytes_are_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", [("a.dcm", bytes(100_000)), ("b.dcm", b"x")])
    archive = zipfile.ZipFile(path)
    first = archive.infolist()[0]
    content = bytearray(path.read_bytes())
    place = content.rindex(b"b.dcm") - 46  # the second entry of the directory is made to point at the first member
    struct.pack_into("<I", content, place + 42, first.header_offset)
    struct.pack_into("<II", content, place + 20, first.compress_size, first.file_size)
    path.write_bytes(content)
    with pytest.raises(VoxlateError, match=r"ARCHIVE .*members overlap"), dicom_files(path):
        pass


@pytest.mark.parametrize("name", [".", "./.", "/"])
def test_a_member_without_a_name_is_refused(tmp_path, name):
    with (
        pytest.raises(VoxlateError, match=r"ARCHIVE|NO_INPUT"),
        dicom_files(zipped(tmp_path / "a.zip", [(name, b"x")])),
    ):
        pass


def test_a_zip_that_was_cut_is_called_damaged(tmp_path):
    path = zipped(tmp_path / "a.zip", [("a.dcm", np.random.default_rng(0).bytes(10_000))])
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(VoxlateError, match="ARCHIVE"), dicom_files(path):
        pass


def test_a_pipe_in_the_place_of_a_file_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "f.dcm")
    with pytest.raises(VoxlateError, match="UNREADABLE"), dicom_files(tmp_path / "f.dcm") as files:
        find_series(files)


@pytest.mark.parametrize("called", ["pathlib.Path.open", "voxlate.io.dicom.parse.dcmread"])
def test_a_disk_that_fails_is_a_temporary_failure_and_no_slice_is_left_out(tmp_path, monkeypatch, called):
    for path in write_series(tmp_path):
        path.rename(path.with_suffix(""))  # without its suffix a file that cannot be read is taken for another kind

    def fail(*_args: object, **_options: object) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(called, fail)
    assert refusal(tmp_path) == "IO"
