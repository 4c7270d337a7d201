"""Writes the parts that all DICOM images of voxlate share: identity, position in the patient, and 16-bit pixels.

The series of a synthetic volume (`io.dicom.derived`) and of a simulated scan (`simulation.files.dicom`) are both made
with these functions. Positions and directions follow DICOM PS3.3, C.7.6.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from voxlate.volume import Affine

CT_IMAGE = UID("1.2.840.10008.5.1.4.1.1.2")
MR_IMAGE = UID("1.2.840.10008.5.1.4.1.1.4")
ENHANCED_MR_IMAGE = UID("1.2.840.10008.5.1.4.1.1.4.1")


@dataclass(frozen=True)
class SlicePlane:
    """Position and orientation of one slice, in millimetres left, posterior, superior (LPS).

    Attributes:
        position_mm: (3,), centre of the first pixel.
        orientation: (6,), direction along a row, then down a column; both of length 1.
        pixel_spacing_mm: between rows, then between columns.
        spacing_mm: from this slice to the next.
    """

    position_mm: list[float]
    orientation: list[float]
    pixel_spacing_mm: tuple[float, float]
    spacing_mm: float


def slice_plane(affine: Affine, index: int) -> SlicePlane:
    """Returns the plane of a slice across the third axis of an array (columns, rows, slices).

    Args:
        affine: (4, 4), voxel index to RAS+ millimetres.
        index: of the slice, from 0.
    """
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    columns, rows, slices = (affine[:3, axis] for axis in range(3))
    column_mm, row_mm, slice_mm = (float(np.linalg.norm(axis)) for axis in (columns, rows, slices))
    position = [float(value) for value in affine[:3, 3] + index * slices]
    orientation = [float(value) for value in [*columns / column_mm, *rows / row_mm]]
    return SlicePlane(position, orientation, (row_mm, column_mm), slice_mm)


def uid_from_digest(digest: bytes) -> str:
    """Returns a UID below 2.25 from the first 128 bits of a hash (PS3.5, B.2): equal input gives an equal UID."""
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def set_identity(dataset: Dataset, sop_class: UID, uid: str) -> None:
    """Sets SOP class and instance UID, and new file meta information with explicit VR, little endian.

    Args:
        dataset: the image.
        sop_class: for example `MR_IMAGE`.
        uid: SOP instance UID.
    """
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(uid)


def set_pixels(dataset: Dataset, stored: NDArray[np.uint16]) -> None:
    """Sets the pixels: unsigned, 16 bits, monochrome.

    Args:
        dataset: the image.
        stored: (rows, columns) of one slice, or (frames, rows, columns).
    """
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = np.ascontiguousarray(stored, dtype="<u2").tobytes()
