"""What is written is the volume and nothing else: whole or not at all, the same bytes each time, no name in it."""

from __future__ import annotations

import errno
import gzip
import io
import os
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from voxlate.errors import InputRefused, TemporaryFailure, UsageError, VoxlateError
from voxlate.io.nifti import read_volume, write_volume
from voxlate.io.nifti.header import STORED_TYPES
from voxlate.volume import Volume

INTEGERS = sorted(name for name in STORED_TYPES.values() if "int" in name)
shapes = hnp.array_shapes(min_dims=3, max_dims=3, max_side=20)


def volume(values: object = None, **options: object) -> Volume:
    data = np.arange(5 * 6 * 20).reshape(5, 6, 20) if values is None else np.array(values).reshape(-1, 1, 1)
    return Volume(data, np.diag([1.0, 2.0, 3.0, 1.0]), **options)


def written_type(folder: Path, what: Volume, **options: object) -> str:
    write_volume(folder / "out.nii.gz", what, **options)
    return nib.load(folder / "out.nii.gz").get_data_dtype().name


# --- round trips


@given(
    data=hnp.arrays(np.float32, shapes, elements=st.floats(-(2.0**100), 2.0**100, width=32)),
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing_mm=st.tuples(*[st.floats(0.1, 9)] * 3),
    origin_mm=st.tuples(*[st.floats(-300, 300)] * 3),
    mirrored=st.booleans(),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
)
@settings(max_examples=40, deadline=None)
def test_float32_comes_back_bit_for_bit_at_the_same_place(
    tmp_path_factory, data, angles, spacing_mm, origin_mm, mirrored, suffix
):
    path = tmp_path_factory.mktemp("out") / f"out{suffix}"
    columns = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * spacing_mm * [-1 if mirrored else 1, 1, 1]
    before = Volume(data, nib.affines.from_matvec(columns, origin_mm))
    write_volume(path, before)
    after = read_volume(path)
    assert np.array_equal(after.data, before.data)
    assert after.grid.matches(before.grid)
    assert np.array_equal(nib.load(path).get_fdata(dtype=np.float32), before.data)


@given(dtype=st.sampled_from(INTEGERS), rows=st.data())
@settings(max_examples=40, deadline=None)
def test_whole_numbers_come_back_exactly_in_the_type_of_their_source(tmp_path_factory, dtype, rows):
    path = tmp_path_factory.mktemp("out") / "out.nii.gz"
    low, high = max(np.iinfo(dtype).min, -(2**24)), min(np.iinfo(dtype).max, 2**24)
    data = rows.draw(hnp.arrays(np.int64, shapes, elements=st.integers(low, high)))
    write_volume(path, Volume(data, np.eye(4), stored_dtype=dtype))
    after = read_volume(path)
    assert after.stored_dtype == dtype
    assert np.array_equal(after.data, data)


def test_the_order_of_the_array_in_memory_does_not_matter(tmp_path):
    before = volume()
    fortran = Volume(np.asfortranarray(before.data), before.affine)
    for name, what in (("c.nii", before), ("f.nii", fortran)):
        write_volume(tmp_path / name, what)
    assert (tmp_path / "c.nii").read_bytes() == (tmp_path / "f.nii").read_bytes()


# --- the type of the voxels


@pytest.mark.parametrize(
    ("values", "source", "written"),
    [
        pytest.param([0, 999.5, 1000], "int16", "int16", id="1000 levels are enough"),
        pytest.param([0, 999.5, 999.75], "int16", "float32", id="fewer are not"),
        pytest.param([0, 1, 2], "uint8", "uint8", id="whole numbers need no levels"),
        pytest.param([0, 1, 2], "float32", "float32", id="a float source stays float"),
        pytest.param([0, 1, 2], "float64", "float32", id="a double source becomes float"),
        pytest.param([-1, 0, 2000], "uint16", "float32", id="below the type"),
        pytest.param([0, 255.4, 256], "uint8", "float32", id="above the type"),
        pytest.param([0, 32767.4], "int16", "int16", id="rounds into the type"),
        pytest.param([0, 32767.5], "int16", "float32", id="rounds out of the type"),
        pytest.param([-0.4, 1500], "uint16", "uint16", id="rounds up to zero"),
        pytest.param([0, 2.0**31], "int32", "float32", id="one above int32"),
        pytest.param([0, 2.0**63], "int64", "float32", id="one above int64"),
        pytest.param([0, 2.0**64], "uint64", "float32", id="one above uint64"),
    ],
)
def test_auto_keeps_an_integer_type_only_where_nothing_is_lost(tmp_path, values, source, written):
    what = volume(values, stored_dtype=source)
    assert written_type(tmp_path, what) == written
    error = np.abs(read_volume(tmp_path / "out.nii.gz").data - what.data).max()
    assert error <= 0.0005 * np.ptp(what.data) if "int" in written else error == 0


@pytest.mark.parametrize(("dtype", "value"), [("uint8", 255.5), ("uint8", -0.6), ("int16", 4e4), ("int64", 2.0**63)])
def test_values_that_do_not_fit_an_asked_type_are_never_clipped(tmp_path, dtype, value):
    with pytest.raises(UsageError, match=f"RANGE out.nii.gz: .* do not fit {dtype}"):
        write_volume(tmp_path / "out.nii.gz", volume([0, value]), dtype=dtype)
    assert list(tmp_path.iterdir()) == []


def test_an_asked_integer_type_rounds_to_the_nearest(tmp_path):
    assert written_type(tmp_path, volume([0.4, 0.6, 254.7]), dtype="uint8") == "uint8"
    assert read_volume(tmp_path / "out.nii.gz").data.ravel().tolist() == [0, 1, 255]


def test_an_unknown_type_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="DTYPE 'complex64'"):
        write_volume(tmp_path / "out.nii", volume(), dtype="complex64")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_not_written(tmp_path, value):
    with pytest.raises(VoxlateError, match=r"NON_FINITE out\.nii would hold 1 value"):
        write_volume(tmp_path / "out.nii", volume([0, value, 1]))
    assert list(tmp_path.iterdir()) == []


# --- the file


@pytest.mark.parametrize("name", ["out.img", "out.nii.bz2", "out", "out.nii.gz.txt"])
def test_another_suffix_is_a_usage_error(tmp_path, name):
    with pytest.raises(UsageError, match="FORMAT"):
        write_volume(tmp_path / name, volume())


def test_a_skewed_grid_is_not_written_as_it_could_not_be_read(tmp_path):
    affine = np.eye(4)
    affine[0, 1] = 0.1
    with pytest.raises(InputRefused, match=r"SHEAR out\.nii"):
        write_volume(tmp_path / "out.nii", Volume(np.ones((2, 2, 2)), affine))


def test_an_axis_longer_than_the_format_holds_is_an_error(tmp_path):
    with pytest.raises(VoxlateError, match=r"DIMENSIONS out\.nii: .* 32767"):
        write_volume(tmp_path / "out.nii", volume(np.zeros(32768)))


@pytest.mark.parametrize("name", ["out.nii", "out.nii.gz"])
def test_the_same_volume_gives_the_same_bytes_at_another_time_under_another_name(tmp_path, monkeypatch, name):
    write_volume(tmp_path / name, volume())
    monkeypatch.setattr(time, "time", lambda: 4e9)
    write_volume(tmp_path / "other" / f"SURNAME{name}", volume())
    assert (tmp_path / name).read_bytes() == (tmp_path / "other" / f"SURNAME{name}").read_bytes()


def test_the_gzip_header_holds_no_time_and_no_name(tmp_path):
    write_volume(tmp_path / "out.nii.gz", volume())
    assert (tmp_path / "out.nii.gz").read_bytes()[:10] == b"\x1f\x8b\x08" + bytes(6) + b"\xff"


def test_every_header_field_that_is_not_geometry_is_zero(tmp_path):
    write_volume(tmp_path / "out.nii", volume())
    content = (tmp_path / "out.nii").read_bytes()
    header = np.frombuffer(content[:348], nib.nifti1.header_dtype)[0]
    told = {"sizeof_hdr", "dim", "datatype", "bitpix", "pixdim", "vox_offset", "scl_slope", "xyzt_units", "magic"}
    told |= {"qform_code", "sform_code", "srow_x", "srow_y", "srow_z", "regular"}
    assert (header["qform_code"], header["sform_code"], header["xyzt_units"]) == (1, 1, 2)
    assert (header["scl_slope"], header["scl_inter"], header["vox_offset"]) == (1, 0, 352)
    assert all(not np.any(header[field]) for field in header.dtype.names if field not in told)
    assert content[348:352] == bytes(4)


def test_nothing_a_header_said_of_the_patient_is_written_again(tmp_path):
    canaries = [b"MUELLER^ELODIE", b"NHC-1234567", b"CANARY-INTENT", b"CANARY-DB", b"CANARY-EXTENSION"]
    image = nib.Nifti1Image(np.arange(600, dtype=np.int16).reshape(5, 6, 20), np.eye(4))
    for field, canary in zip(["descrip", "aux_file", "intent_name", "db_name"], canaries, strict=False):
        image.header[field] = canary
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", canaries[-1]))
    nib.save(image, tmp_path / "in.nii.gz")
    planted = gzip.decompress((tmp_path / "in.nii.gz").read_bytes())
    assert all(canary in planted for canary in canaries)

    for name in ("out.nii", "out.nii.gz"):
        write_volume(tmp_path / name, read_volume(tmp_path / "in.nii.gz"))
        stored = (tmp_path / name).read_bytes()
        stream = gzip.decompress(stored) if name.endswith("gz") else stored
        assert not any(canary in content for canary in canaries for content in (stored, stream))


# --- a full disk


class FullDisk(io.FileIO):
    """A file on a disk that has room for a few bytes only."""

    def write(self, content: object) -> int:
        if self.tell() > 400:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(content)


def on_full_disk(path: Path, mode: str) -> FullDisk:
    return FullDisk(path, mode)


@pytest.mark.parametrize("name", ["out.nii", "out.nii.gz"])
@pytest.mark.parametrize("earlier", [None, b"an earlier result"])
def test_a_full_disk_leaves_no_part_behind_and_an_earlier_file_as_it_was(tmp_path, monkeypatch, name, earlier):
    if earlier:
        (tmp_path / name).write_bytes(earlier)
    noise = np.random.default_rng(0).normal(size=(40, 40, 40))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", on_full_disk)
        with pytest.raises(TemporaryFailure, match=f"IO {name}: No space left"):
            write_volume(tmp_path / name, Volume(noise, np.eye(4)))
    assert [path.name for path in tmp_path.iterdir()] == ([name] if earlier else [])
    assert not earlier or (tmp_path / name).read_bytes() == earlier
