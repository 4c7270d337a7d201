"""Identity, plane and pixels of a DICOM image, against the voxel positions of the affine and pydicom's own reading."""

import hashlib
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID

from voxlate.io.dicom.write import MR_IMAGE, set_identity, set_pixels, slice_plane, uid_from_digest

TURN, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
AFFINE = np.eye(4)
AFFINE[:3, :3] = TURN * [0.7, 1.3, 4.0]
AFFINE[:3, 3] = [-80, 20, 5]


@pytest.mark.parametrize("index", [(0, 0, 0), (3, 5, 2), (9, 0, 7)])
def test_a_pixel_is_where_the_affine_puts_its_voxel(index):
    column, row, k = index
    plane = slice_plane(AFFINE, k)
    along_row, down_column = np.reshape(plane.orientation, (2, 3))
    between_rows, between_columns = plane.pixel_spacing_mm
    lps = plane.position_mm + column * between_columns * along_row + row * between_rows * down_column
    assert lps * [-1, -1, 1] == pytest.approx((AFFINE @ [*index, 1])[:3])
    assert plane.spacing_mm == pytest.approx(4.0)


def test_a_uid_is_valid_and_depends_on_the_first_128_bits_alone():
    digest = hashlib.sha256(b"a scan").digest()
    uid = uid_from_digest(digest)
    assert UID(uid).is_valid
    assert uid == uid_from_digest(digest[:16])
    assert uid_from_digest(b"\0" * 15 + b"\7") == "2.25.7"


@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7)])
def test_pixels_and_identity_are_read_back(shape):
    stored = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
    dataset = Dataset()
    set_identity(dataset, MR_IMAGE, "2.25.7")
    set_pixels(dataset, stored)
    if len(shape) == 3:
        dataset.NumberOfFrames = shape[0]
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    read = dcmread(BytesIO(file.getvalue()))
    assert np.array_equal(read.pixel_array, stored)
    assert (read.SOPInstanceUID, read.file_meta.MediaStorageSOPInstanceUID) == ("2.25.7", "2.25.7")
    assert read.SOPClassUID == read.file_meta.MediaStorageSOPClassUID == MR_IMAGE
