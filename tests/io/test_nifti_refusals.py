"""Rows 37 to 50 of the table of bad inputs: each fault planted in a real file, each refused by its name."""

from __future__ import annotations

import errno
import gzip
import os
import tracemalloc
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from voxlate.errors import InputRefused, NoInput, TemporaryFailure, UsageError, VoxlateError
from voxlate.io.nifti import read_grid, read_mask, read_volume
from voxlate.volume import Volume

NAN = float("nan")


def refusal(path: Path, kind: type[VoxlateError] = InputRefused, **options: object) -> tuple[str, str]:
    with pytest.raises(VoxlateError) as caught:
        read_volume(path, **options)
    assert type(caught.value) is kind
    assert path.name in caught.value.message
    assert str(path.parent) not in str(caught.value)
    assert "\n" not in caught.value.message
    return caught.value.code, caught.value.message


# --- the file itself


def test_a_missing_file_is_no_input(tmp_path):
    assert refusal(tmp_path / "scan.nii.gz", NoInput) == ("NO_INPUT", "scan.nii.gz does not exist")


def test_a_folder_is_refused(tmp_path):
    folder = tmp_path / "scan.nii"
    folder.mkdir()
    code, message = refusal(folder)
    assert code == "UNREADABLE"
    assert "a folder" in message


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "scan.nii")
    assert refusal(tmp_path / "scan.nii")[0] == "UNREADABLE"


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.EACCES, InputRefused, "UNREADABLE"),
        (errno.EIO, TemporaryFailure, "IO"),
        (errno.ESTALE, TemporaryFailure, "IO"),
    ],
)
def test_what_the_system_says_while_reading_is_worded(scans, monkeypatch, number, kind, code):
    path = scans.save()

    def fail(*_args: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "open", fail)
    found, message = refusal(path, kind)
    assert found == code
    assert os.strerror(number) in message


def test_a_scan_that_does_not_fit_into_memory_is_a_temporary_failure(scans, monkeypatch):
    def fail(*_args: object, **_options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("voxlate.io.nifti.read.read_voxels", fail)
    assert refusal(scans.save(), TemporaryFailure)[0] == "MEMORY"


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "scan.nii.gz").touch()
    assert refusal(tmp_path / "scan.nii.gz")[0] == "EMPTY"


@pytest.mark.parametrize("name", ["scan.img", "scan.hdr", "scan.mgz", "scan.nii.bz2", "scan.dcm", "nii"])
def test_another_format_is_refused_by_its_suffix(tmp_path, name):
    (tmp_path / name).write_bytes(b"anything")
    assert refusal(tmp_path / name)[0] == "FORMAT"


@pytest.mark.parametrize(
    "content", [b"x", b"\0" * 3, b"hello world, I am no scan" * 100, b"\0" * 400, b"PK\x03\x04" * 100]
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_is_no_nifti_at_all_is_refused(tmp_path, content, pack):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(pack(content))
    code, message = refusal(path)
    assert code == "HEADER"
    assert "not a NIfTI file" in message


# --- rows 37 to 40: gzip


@pytest.mark.parametrize("part", [0.01, 0.1, 0.5, 0.9])
def test_a_gzip_file_that_is_cut_is_refused(scans, part):
    path = scans.save()
    stored = path.read_bytes()
    path.write_bytes(stored[: int(part * len(stored))])
    assert refusal(path)[0] == "GZIP_TRUNCATED"


@pytest.mark.parametrize("missing", range(1, 9))
def test_a_gzip_file_without_all_of_its_trailer_is_refused(scans, missing):
    path = scans.save()
    path.write_bytes(path.read_bytes()[:-missing])
    assert refusal(path)[0] == "GZIP_TRUNCATED"


@pytest.mark.parametrize("place", range(-8, 0))
def test_a_changed_checksum_or_length_is_refused(scans, place):
    path = scans.save()
    stored = bytearray(path.read_bytes())
    stored[place] ^= 1
    path.write_bytes(stored)
    code, message = refusal(path)
    assert code == "GZIP_CRC"
    assert "check" in message


def test_bit_rot_in_the_middle_is_refused(scans):
    path = scans.save(data=scans.values(shape=(20, 20, 40)))
    stored = bytearray(path.read_bytes())
    stored[len(stored) // 2] ^= 0x10
    path.write_bytes(stored)
    assert refusal(path)[0] == "GZIP_CRC"


def test_what_follows_a_gzip_member_and_is_none_is_refused(scans):
    path = scans.save()
    path.write_bytes(path.read_bytes() + b"some text that is no gzip")
    assert refusal(path)[0] == "GZIP_CRC"


# --- rows 41 to 43: header and size


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        pytest.param({"magic": b"abc"}, "HEADER", "magic n+1", id="wrong magic"),
        pytest.param({"magic": b"ni1"}, "HEADER", "pair", id="half of a pair"),
        pytest.param({"sizeof_hdr": 347}, "HEADER", "348 or 540", id="wrong length"),
        pytest.param({"vox_offset": 1e12}, "HEADER", "1e+12", id="offset of a terabyte"),
        pytest.param({"vox_offset": -352}, "HEADER", "vox_offset", id="negative offset"),
        pytest.param({"vox_offset": 100}, "HEADER", "byte 100", id="offset inside the header"),
        pytest.param({"vox_offset": 352.5}, "HEADER", "352.5", id="offset of half a byte"),
        pytest.param({"vox_offset": NAN}, "HEADER", "nan", id="offset NaN"),
        pytest.param({"bitpix": 8}, "HEADER", "8 bits", id="bits against type"),
        pytest.param({"xyzt_units": 5}, "HEADER", "unit of length", id="unknown unit"),
        pytest.param({"datatype": 32, "bitpix": 64}, "DATATYPE", "complex", id="complex"),
        pytest.param({"datatype": 128, "bitpix": 24}, "DATATYPE", "RGB", id="RGB"),
        pytest.param({"datatype": 999}, "DATATYPE", "999", id="unknown type"),
        pytest.param({"dim": [3, -5, 6, 20, 1, 1, 1, 1]}, "DIMENSIONS", "-5", id="negative"),
        pytest.param({"dim": [3, 5, 0, 20, 1, 1, 1, 1]}, "DIMENSIONS", "0", id="zero"),
        pytest.param({"dim": [0, 5, 6, 20, 1, 1, 1, 1]}, "DIMENSIONS", "dim = ", id="none"),
        pytest.param({"dim": [8, 5, 6, 20, 1, 1, 1, 1]}, "DIMENSIONS", "dim = ", id="eight"),
        pytest.param({"dim": [-3, 5, 6, 20, 1, 1, 1, 1]}, "DIMENSIONS", "dim = ", id="minus three"),
        pytest.param({"dim": [2, 5, 120, 1, 1, 1, 1, 1]}, "DIMENSIONS", "5 x 120,", id="2-D"),
        pytest.param({"dim": [4, 5, 6, 10, 2, 1, 1, 1]}, "DIMENSIONS", "5 x 6 x 10 x 2", id="4-D"),
        pytest.param({"dim": [5, 5, 6, 10, 1, 2, 1, 1]}, "DIMENSIONS", "split", id="5-D"),
        pytest.param({"dim": [3, 5, 6, 10, 1, 1, 1, 1]}, "DIMENSIONS", "one slice more", id="fewer slices than stored"),
        pytest.param({"dim": [3, 5, 6, 21, 1, 1, 1, 1]}, "TRUNCATED", "copy it again", id="more slices than stored"),
        pytest.param({"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]}, "TOO_LARGE", "GB", id="32767 cubed"),
        pytest.param({"scl_slope": NAN}, "SCALING", "nan", id="slope NaN"),
        pytest.param({"scl_slope": np.inf}, "SCALING", "inf", id="slope infinite"),
        pytest.param({"scl_slope": 1, "scl_inter": NAN}, "SCALING", "nan", id="intercept NaN"),
    ],
)
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_a_header_that_cannot_be_true_is_refused(scans, name, fields, code, words):
    path = scans.edit(scans.save(name), **fields)
    found, message = refusal(path)
    assert found == code
    assert words in message


def test_a_nifti_2_file_changed_by_a_text_transfer_is_refused(scans):
    path = scans.folder / "scan.nii"
    nib.save(nib.Nifti2Image(scans.values(), scans.affine), path)
    scans.edit(path, eol_check=[10, 26, 10, 0])
    code, message = refusal(path)
    assert code == "HEADER"
    assert "text mode" in message


@pytest.mark.parametrize("kept", [200, 351, 352, 400])
def test_an_uncompressed_file_that_is_cut_is_refused(scans, kept):
    path = scans.save("scan.nii")
    path.write_bytes(path.read_bytes()[:kept])
    assert refusal(path)[0] == "TRUNCATED"


def peak_bytes(path: Path) -> int:
    tracemalloc.start()
    try:
        refusal(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def zeros_behind_header(path: Path, header: bytes, count: int) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    parts = [packer.compress(header), *(packer.compress(block) for _ in range(count >> 20)), packer.flush()]
    path.write_bytes(b"".join(parts))


def test_a_bomb_is_refused_by_its_header_before_it_is_inflated(scans):
    path = scans.edit(scans.save(), dim=[3, 2000, 2000, 1000, 1, 1, 1, 1])
    zeros_behind_header(path, scans.stream(path)[:352], 64 << 20)
    assert peak_bytes(path) < 8 << 20
    assert refusal(path)[0] == "TOO_LARGE"


def test_a_bomb_behind_a_modest_header_is_refused_after_one_slice_too_many(scans):
    path = scans.save()
    zeros_behind_header(path, scans.stream(path)[:352], 64 << 20)
    assert peak_bytes(path) < 8 << 20
    assert refusal(path)[0] == "DIMENSIONS"


def test_a_size_that_no_gzip_of_this_length_can_hold_is_refused_before_allocation(scans):
    path = scans.edit(scans.save(), dim=[3, 1000, 1000, 500, 1, 1, 1, 1])
    assert peak_bytes(path) < 8 << 20
    assert refusal(path)[0] == "GZIP_TRUNCATED"


def test_the_limit_counts_the_larger_of_stored_bytes_and_float32(scans):
    bytes_as_float32 = 5 * 6 * 20 * 4
    for dtype, needed in (("uint8", bytes_as_float32), ("float64", 2 * bytes_as_float32)):
        path = scans.save(data=scans.values(dtype))
        assert read_volume(path, max_bytes=needed).data.shape == (5, 6, 20)
        assert refusal(path, max_bytes=needed - 1)[0] == "TOO_LARGE"


# --- rows 44 to 47: place


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        pytest.param({"srow_x": 0, "srow_y": 0, "srow_z": 0}, "AFFINE", "0 x 0 x 0", id="zero"),
        pytest.param({"srow_x": NAN}, "AFFINE", "sform is not finite", id="NaN"),
        pytest.param({"srow_y": [0, 1, 0, np.inf]}, "AFFINE", "sform is not finite", id="infinite"),
        pytest.param({"srow_x": [1, 0, 0, 0], "srow_y": [1, 1, 0, 0], "srow_z": [0, 1, 0, 0]}, "AFFINE", "", id="0 mm"),
        pytest.param(
            {"srow_x": [1, 1, 0, 0], "srow_y": [1, 1, 0, 0], "srow_z": [0, 0, 1, 0]}, "AFFINE", "singular", id="flat"
        ),
        pytest.param({"sform_code": 0, "qoffset_x": 1e30}, "AFFINE", "outside any scanner", id="another planet"),
        pytest.param({"srow_x": [1e30, 0, 0, 0]}, "AFFINE", "1e+30", id="huge voxels"),
        pytest.param(
            {"srow_x": [1, 0.2, 0, 0], "srow_y": [0, 1, 0, 0], "srow_z": [0, 0, 1, 0]}, "SHEAR", "11.31 deg", id="shear"
        ),
        pytest.param({"sform_code": 0, "quatern_b": 0.9, "quatern_c": 0.9}, "AFFINE", "quaternion", id="no rotation"),
        pytest.param({"sform_code": 0, "quatern_b": NAN}, "AFFINE", "quaternion", id="quaternion NaN"),
        pytest.param({"sform_code": 0, "pixdim": [1, 1, 0, 1, 0, 0, 0, 0]}, "AFFINE", "pixdim", id="size 0"),
        pytest.param({"sform_code": 0, "pixdim": [1, 1, -1, 1, 0, 0, 0, 0]}, "AFFINE", "pixdim", id="size negative"),
        pytest.param({"sform_code": 0, "qoffset_x": NAN}, "AFFINE", "qform is not finite", id="offset NaN"),
        pytest.param({"pixdim": [1, 3, 3, 3, 0, 0, 0, 0]}, "QFORM_SFORM", "mm apart", id="qform of 3 mm"),
        pytest.param({"qoffset_x": 0}, "QFORM_SFORM", "40 mm apart", id="qform elsewhere"),
        pytest.param({"pixdim": [-1, 0.9, 1.1, 3, 0, 0, 0, 0]}, "QFORM_SFORM", "mm apart", id="qform mirrored"),
        pytest.param({"qform_code": 0, "sform_code": 0}, "NO_ORIENTATION", "write its sform", id="neither"),
    ],
)
def test_a_place_that_is_none_or_two_is_refused(scans, fields, code, words):
    path = scans.edit(scans.save(), **fields)
    found, message = refusal(path)
    assert found == code
    assert words in message
    with pytest.raises(InputRefused) as caught:
        read_grid(path)
    assert caught.value.code == code


# --- row 48: values


@pytest.mark.parametrize("value", [NAN, np.inf, -np.inf, 1e39])
def test_values_that_are_not_finite_as_float32_are_refused_with_their_number(scans, value):
    data = scans.values("float64", (64, 64, 20))
    data[1, 2, 3] = data[4, 5, 19] = value
    code, message = refusal(scans.save("scan.nii", data))
    assert code == "NON_FINITE"
    assert "2 voxels" in message


def test_values_that_are_not_finite_are_replaced_on_request_and_counted(scans, caplog):
    data = scans.values("float32")
    data[1, 2, 3], data[4, 5, 19] = NAN, np.inf
    read = read_volume(scans.save(data=data), nan_to=-7.0).data
    assert read[1, 2, 3] == read[4, 5, 19] == -7
    assert (read == -7).sum() == 2
    assert [(record.code, "2 voxels" in record.message) for record in caplog.records] == [("NON_FINITE", True)]


def test_missing_values_cannot_be_replaced_by_nan(scans):
    with pytest.raises(UsageError, match="NAN_TO"):
        read_volume(scans.save(), nan_to=NAN)


# --- masks


def test_a_mask_that_marks_nothing_is_refused(scans):
    with pytest.raises(InputRefused, match=r"EMPTY_MASK scan\.nii\.gz"):
        read_mask(scans.save(data=np.zeros((5, 6, 20), np.uint8)))


def test_a_mask_on_another_grid_is_refused(scans):
    shifted = scans.affine.copy()
    shifted[0, 3] += 0.5
    image = Volume(np.ones((5, 6, 20)), shifted)
    with pytest.raises(InputRefused, match=r"GRID_MISMATCH scan.nii.gz .* 0.5 mm apart"):
        read_mask(scans.save(), like=image)
