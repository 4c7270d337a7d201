"""A small series of MR slices as files, whose headers a test may change slice by slice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

MR = UID("1.2.840.10008.5.1.4.1.1.4")
SPACING_MM = (0.9, 1.1, 2.0)  # columns, rows, slices
SHAPE = (12, 10, 8)  # columns, rows, slices
CORNER_MM = (-40.0, -30.0, 15.0)  # of the first voxel, in LPS

Change = Callable[[Dataset, int], None]


def voxels(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 4000, shape).astype(np.uint16)


def slice_header(k: int, pixels: np.ndarray) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MR
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.4.{k + 1}")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.9"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex = "TEST^ONE", "P1", "", "O"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber, dataset.ReferringPhysicianName = "", "", "", ""
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber, dataset.Modality = "1", 3, k + 1, "MR"
    dataset.Manufacturer, dataset.SeriesDescription = "TEST", "T1 3D +C"
    dataset.ImageType, dataset.PositionReferenceIndicator = ["ORIGINAL", "PRIMARY", "M", "ND"], ""
    dataset.PatientPosition, dataset.MagneticFieldStrength = "HFS", 3
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "GR", "SP", ""
    dataset.MRAcquisitionType, dataset.RepetitionTime, dataset.EchoTime, dataset.EchoTrainLength = "3D", 8, 3, 1
    dataset.ImagePositionPatient = [CORNER_MM[0], CORNER_MM[1], CORNER_MM[2] + SPACING_MM[2] * k]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [SPACING_MM[1], SPACING_MM[0]], SPACING_MM[2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = pixels.astype("<u2").tobytes()
    return dataset


def write_series(folder: Path, change: Change | None = None, *, data: np.ndarray | None = None) -> list[Path]:
    """Writes one file a slice, `change` applied to each; a change that sets `skip` leaves a slice out."""
    folder.mkdir(parents=True, exist_ok=True)
    values = voxels() if data is None else data
    paths = []
    for k in range(values.shape[2]):
        dataset = slice_header(k, values[:, :, k].T)
        if change is not None:
            change(dataset, k)
        if getattr(dataset, "skip", False):
            continue
        path = folder / f"IM{k:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def enhanced(data, times: int = 1) -> Dataset:
    """Returns one multi-frame file of the slices, `times` times over."""
    dataset = slice_header(0, data[:, :, 0].T)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(dataset, keyword)
    count = data.shape[2]
    dataset.NumberOfFrames = count * times
    dataset.PixelData = np.concatenate([data.transpose(2, 1, 0)] * times).astype("<u2").tobytes()
    shared, measures, orientation, values = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [SPACING_MM[1], SPACING_MM[0]], 2
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    values.RescaleSlope, values.RescaleIntercept = 2, 0
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    shared.PixelValueTransformationSequence = [values]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for k in range(count * times):
        frame, position, content = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [*CORNER_MM[:2], CORNER_MM[2] + 2 * (k % count)]
        content.TemporalPositionIndex = k // count + 1
        frame.PlanePositionSequence, frame.FrameContentSequence = [position], [content]
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    return dataset


def everywhere(**elements):
    def change(dataset, k):
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)

    return change


def unreadable(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Makes folders unreadable; permissions do not stop the administrator, who may run these tests."""
    scan = os.scandir

    def scandir(path: Path | str = ".") -> Iterator[os.DirEntry[str]]:
        if str(path) in {str(folder) for folder in folders}:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
