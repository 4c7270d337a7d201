"""What is read has the values and the place that the standard gives it, however it was stored."""

from __future__ import annotations

import gzip
import logging

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phantoms import DATA
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from voxlate.errors import InputRefused
from voxlate.io.nifti import read_grid, read_mask, read_volume
from voxlate.io.nifti.header import STORED_TYPES, parse_header
from voxlate.volume import Volume

IMAGES = {1: nib.Nifti1Image, 2: nib.Nifti2Image}


# --- values


@pytest.mark.parametrize("dtype", sorted(STORED_TYPES.values()))
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_every_type_order_version_and_packing_gives_the_same_values(tmp_path, scans, dtype, order, version, name):
    data = scans.values(dtype, (3, 4, 33))
    header = IMAGES[version].header_class(endianness=order)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    nib.save(IMAGES[version](data, scans.affine, header), tmp_path / name)
    volume = read_volume(tmp_path / name, shows="T1ce")
    assert np.array_equal(volume.data, data.astype(np.float32))
    assert volume.data.flags.c_contiguous
    assert np.allclose(volume.affine, scans.affine, atol=1e-5)
    assert (volume.shows, volume.stored_dtype) == ("T1ce", dtype)


@given(
    dtype=st.sampled_from(["uint8", "int16", "int32", "float32"]),
    slope=st.floats(2**-10, 1e3, width=32) | st.floats(-1e3, -(2**-10), width=32),
    intercept=st.floats(-1e4, 1e4, width=32),
)
@settings(max_examples=40, deadline=None)
def test_slope_and_intercept_are_applied_as_nibabel_applies_them(tmp_path_factory, dtype, slope, intercept):
    path = tmp_path_factory.mktemp("scaled") / "scan.nii"
    image = nib.Nifti1Image(np.random.default_rng(1).integers(0, 255, (3, 4, 5)).astype(dtype), np.eye(4))
    image.header.set_slope_inter(slope, intercept)
    nib.save(image, path)
    with path.open("r+b") as file:  # nibabel would write values already divided
        file.seek(352)
        file.write(np.arange(60).astype(image.header.get_data_dtype()).tobytes())
    expected = nib.load(path).get_fdata(dtype=np.float64).astype(np.float32)
    assert np.array_equal(read_volume(path).data, expected)


def test_a_slope_of_zero_means_no_scaling(scans):
    path = scans.edit(scans.save(), scl_slope=0, scl_inter=5)
    assert np.array_equal(read_volume(path).data, scans.values())


def test_bytes_behind_the_header_that_are_no_voxels_are_skipped(tmp_path, scans):
    image = nib.Nifti1Image(scans.values(), scans.affine)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 3_000_000))
    nib.save(image, tmp_path / "scan.nii.gz")
    assert np.array_equal(read_volume(tmp_path / "scan.nii.gz").data, scans.values())


@pytest.mark.parametrize("shape", [(5, 6, 20, 1), (5, 6, 20, 1, 1)])
def test_one_volume_of_more_dimensions_is_read_as_three(scans, shape):
    volume = read_volume(scans.save(data=scans.values(shape=shape)))
    assert np.array_equal(volume.data, scans.values())


# --- packing


def test_a_scan_that_is_not_gzipped_against_its_name_is_read_with_a_warning(scans, caplog):
    path = scans.save("scan.nii").rename(scans.folder / "scan.nii.gz")
    assert np.array_equal(read_volume(path).data, scans.values())
    (record,) = caplog.records
    assert (record.name, record.levelno, record.code) == ("voxlate", logging.WARNING, "EXTENSION")
    assert record.message.startswith("EXTENSION a scan is not gzipped")
    assert str(scans.folder) not in record.message


def test_a_gzipped_scan_against_its_name_is_read_with_a_warning(scans, caplog):
    path = scans.save("scan.nii.gz").rename(scans.folder / "SCAN.NII")
    assert np.array_equal(read_volume(path).data, scans.values())
    assert [record.code for record in caplog.records] == ["EXTENSION"]


@pytest.mark.parametrize("cut", [0, 1, 300, 352, 700])
@pytest.mark.parametrize("padding", [0, 1, 700])
def test_gzip_members_in_a_row_are_one_stream_and_zeros_behind_them_are_padding(scans, cut, padding):
    path = scans.save()
    stream = scans.stream(path)
    path.write_bytes(gzip.compress(stream[:cut]) + gzip.compress(stream[cut:]) + bytes(padding))
    assert np.array_equal(read_volume(path).data, scans.values())


def test_a_stream_longer_than_any_buffer_is_read_whole(tmp_path):
    data = np.random.default_rng(2).integers(0, 2**16, (130, 120, 70)).astype(np.uint16)
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "scan.nii.gz")
    assert (tmp_path / "scan.nii.gz").stat().st_size > 2 << 20
    assert np.array_equal(read_volume(tmp_path / "scan.nii.gz").data, data)


# --- place


@given(angles=st.tuples(*[st.floats(-180, 180)] * 3), mirrored=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_qform_alone_places_voxels_as_nibabel_places_them(angles, mirrored):
    header = qform_header(Rotation.from_euler("xyz", angles, degrees=True).as_matrix(), mirrored=mirrored)
    ours = parse_header(header.binaryblock, name="scan", assume_ras=False, max_bytes=1 << 20).affine
    assert np.allclose(ours, header.get_qform(), atol=5e-3)  # nibabel drops a fourth number below 6e-4


@given(axis=st.tuples(*[st.floats(-1, 1)] * 3), short_of_half_turn=st.floats(0, 0.1), mirrored=st.booleans())
@settings(max_examples=200, deadline=None)
def test_rounding_a_quaternion_never_makes_qform_and_sform_disagree(axis, short_of_half_turn, mirrored):
    direction = np.add(axis, [0, 0, 2])
    turn = Rotation.from_rotvec(direction / np.linalg.norm(direction) * (np.pi - short_of_half_turn))
    header = qform_header(turn.as_matrix(), mirrored=mirrored, sform_too=True)
    parse_header(header.binaryblock, name="scan", assume_ras=False, max_bytes=1 << 40)


def qform_header(rotation: np.ndarray, *, mirrored: bool, sform_too: bool = False) -> nib.Nifti1Header:
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([-0.5 if mirrored else 0.5, 1.0, 2.0])
    affine[:3, 3] = [-90.0, 126.0, -72.0]
    header = nib.Nifti1Header()
    header.set_data_shape((256, 256, 160) if sform_too else (5, 6, 7))
    header.set_qform(affine, code=1)
    header.set_sform(affine, code=int(sform_too))
    header["magic"] = b"n+1"
    return header


def test_the_sform_alone_counts_when_only_it_has_a_code(scans):
    path = scans.edit(scans.save(), qform_code=0, quatern_b=0.9, pixdim=[1, 7, 7, 7, 0, 0, 0, 0])
    assert np.allclose(read_volume(path).affine, scans.affine, atol=1e-5)


def test_a_pixdim_0_of_zero_means_right_handed(scans):
    path = scans.edit(scans.save(), sform_code=0, pixdim=[0, 0.9, 1.1, 3, 0, 0, 0, 0])
    assert np.allclose(read_volume(path).affine, scans.affine, atol=1e-4)


@pytest.mark.parametrize(("unit", "mm"), [(0, 1.0), (1, 1000.0), (2, 1.0), (3, 0.001)])
@pytest.mark.parametrize("form", ["sform_code", "qform_code"])
def test_metres_and_microns_become_millimetres_and_an_unknown_unit_is_millimetres(scans, unit, mm, form):
    stored = scans.affine
    stored[:3] /= mm
    path = scans.edit(scans.save(affine=stored), xyzt_units=unit | 8, **{form: 0})
    assert np.allclose(read_volume(path).affine, scans.affine, rtol=1e-5, atol=1e-4)


def test_without_orientation_the_axes_are_taken_for_ras_on_request_and_centred(scans, caplog):
    path = scans.edit(scans.save(), qform_code=0, sform_code=0, pixdim=[1, 2, 3, 4, 0, 0, 0, 0])
    grid = read_volume(path, assume_ras=True).grid
    assert grid.orientation == "RAS"
    assert grid.spacing_mm == (2, 3, 4)
    assert np.allclose(grid.corners_mm().mean(axis=0), 0)
    assert [record.code for record in caplog.records] == ["ASSUMED_RAS"]
    assert read_grid(path, assume_ras=True).matches(grid)


def test_the_grid_is_read_from_the_header_alone(scans):
    path = scans.save("scan.nii")
    grid = read_volume(path).grid
    path.write_bytes(path.read_bytes()[:352])
    assert read_grid(path).matches(grid, tolerance_mm=0)


# --- row 52: one head, stored in many ways


def stored_ways() -> dict[str, tuple[np.ndarray, str]]:
    """Grids around one place that differ in axis order, direction, tilt and voxel size."""
    ways = {}
    for code in ("RAS", "LAS", "LPS", "PIR", "SLA"):
        axes = nib.orientations.ornt2axcodes(nib.orientations.axcodes2ornt(code))
        columns = {"R": [1, 0, 0], "L": [-1, 0, 0], "A": [0, 1, 0], "P": [0, -1, 0], "S": [0, 0, 1], "I": [0, 0, -1]}
        ways[code] = (np.array([columns[axis] for axis in axes], float).T * [1.5, 2.0, 2.5], "<")
    ways["big-endian LAS"] = (ways["LAS"][0], ">")
    ways["oblique"] = (Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix() * [2.0, 1.5, 1.0], "<")
    ways["oblique mirrored"] = (ways["oblique"][0] * [-1, 1, 1], ">")
    return ways


@pytest.mark.parametrize("way", stored_ways())
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_a_world_point_has_the_same_value_however_the_scan_is_stored(tmp_path, way, dtype):
    def value_at(points: np.ndarray) -> np.ndarray:  # linear, so that linear interpolation is exact
        return points @ [3.0, -2.0, 5.0] + 100

    linear, order = stored_ways()[way]
    shape = np.array([24, 22, 26])
    affine = nib.affines.from_matvec(linear, np.array([4.0, -3.0, 7.0]) - linear @ (shape - 1) / 2)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    image = nib.Nifti1Image(value_at(nib.affines.apply_affine(affine, index)), affine, header)
    nib.save(image, tmp_path / "scan.nii.gz")

    volume = read_volume(tmp_path / "scan.nii.gz")
    points = np.array([4, -3, 7]) + np.random.default_rng(3).uniform(-6, 6, (500, 3))
    there = nib.affines.apply_affine(np.linalg.inv(volume.affine), points).T
    found = map_coordinates(volume.data, there, order=1, mode="constant", cval=np.nan)
    assert np.allclose(found, value_at(points), atol=1e-3 if dtype == "float32" else 0.01)


# --- masks and real files


def test_a_mask_is_true_above_one_half(scans):
    data = np.zeros((5, 6, 20), np.float32)
    data[1, 2, 3], data[2, 2, 2], data[3, 3, 3] = 0.51, 0.5, 255
    mask = read_mask(scans.save(data=data), like=Volume(np.ones((5, 6, 20)), scans.affine))
    assert mask.dtype == bool
    assert np.argwhere(mask).tolist() == [[1, 2, 3], [3, 3, 3]]


@pytest.mark.skipif(not DATA.exists(), reason="the shared scans are not here")
def test_real_scans_are_read_as_nibabel_reads_them_or_refused_for_a_reason():
    refused = set()
    paths = sorted((DATA / "native").rglob("*.nii*")) + sorted((DATA / "templates").rglob("*.nii*"))
    for path in [path for path in paths if path.stat().st_size < 1_000_000]:
        try:
            volume = read_volume(path)
        except InputRefused as refusal:
            refused.add(refusal.code)
            continue
        image = nib.load(path)
        assert np.array_equal(volume.data, image.get_fdata(dtype=np.float64).astype(np.float32)), path.name
        assert np.allclose(volume.affine, image.affine, atol=1e-3), path.name
    assert refused <= {"DIMENSIONS", "QFORM_SFORM"}
