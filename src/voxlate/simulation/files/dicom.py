"""Writes the images of a simulated subject as DICOM series, with headers as inconsistent as real ones.

UIDs are hashes, so that the same subject gives the same bytes. Every header says that the patient is simulated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID

from voxlate.io.atomic import replacing, write_json
from voxlate.io.dicom.write import (
    CT_IMAGE,
    ENHANCED_MR_IMAGE,
    MR_IMAGE,
    set_identity,
    set_pixels,
    slice_plane,
    uid_from_digest,
)
from voxlate.simulation.files.bids import improper_of, session_name, truth_path
from voxlate.simulation.files.dicom_enhanced import complete
from voxlate.simulation.files.dicom_series import SimulatedSeries
from voxlate.simulation.files.header_variants import VENDORS, draw_header_variant, timing_tags
from voxlate.simulation.physics.scan import slices_of
from voxlate.simulation.physics.scanners import scanner_named
from voxlate.simulation.rng import generator
from voxlate.simulation.subject import Subject
from voxlate.volume import Affine, Volume

FOLDER = Path("sourcedata") / "dicom"
_ADC_SCALE = 1000.0  # from 10⁻³ mm²/s to the 10⁻⁶ mm²/s in which scanners store ADC maps
_CT_INTERCEPT = -1024.0  # as CT scanners write it: air (-1000 HU) stays above 0


def write_dicom(root: Path, subject: Subject, session: int) -> list[Path]:
    """Writes each image of a session as one series; returns the paths below the data set.

    A JSON file beside the ground truth lists the true contrast of each series and the variant of its header.

    Args:
        root: folder of the data set.
        subject: the simulated subject.
        session: number from 0.

    Raises:
        CannotWrite, TemporaryFailure: see `voxlate.errors.writing`.
    """
    factors = subject.truth.factors
    scanner = scanner_named(str(factors["scanner"]))
    written: list[Path] = []
    truths: list[dict[str, Any]] = []
    part = "LSPINE" if subject.task == "spine" else "HEAD"
    for number, (shown, volume) in enumerate(subject.images.items(), start=1):
        seed = int(factors["seed"])
        rng = generator(seed, int(factors["subject"]), f"session-{session}", "dicom", shown)
        # Without a dose, T1ce is a second T1w, and its header is drawn as one.
        told = "T1w" if shown == "T1ce" and not factors["dose_mmol_kg"] else shown
        header = draw_header_variant(told, scanner, str(factors.get("agent", "generic")), rng)
        slice_mm, _ = slices_of(scanner, shown, improper_of(subject, shown))
        series = SimulatedSeries(subject.name, session, number, shown, volume, header, scanner, part, slice_mm, seed)
        folder = FOLDER / subject.name / session_name(session) / f"series-{number:03d}"
        written += [_save(root, folder / name, dataset) for name, dataset in _instances(series)]
        truths.append({"folder": folder.as_posix(), "shows": shown, **asdict(header)})
    path = truth_path(subject.name, session, "dicom.json")
    write_json(root / path, truths)
    return [*written, path]


def _save(root: Path, path: Path, dataset: Dataset) -> Path:
    with replacing(root / path) as partial:
        dataset.save_as(partial, enforce_file_format=True)
    return path


def _instances(series: SimulatedSeries) -> Iterator[tuple[str, Dataset]]:
    """Yields name and content of each file of a series: columns point left, rows posterior, slices superior."""
    stored, slope, intercept = _stored(series)
    affine = _flipped(series.volume)
    if series.header.is_enhanced:
        yield "IM_0001.dcm", _enhanced(series, stored, affine, (slope, intercept))
        return
    for k in range(stored.shape[2]):
        dataset = _header(series, CT_IMAGE if series.shows == "CT" else MR_IMAGE, k)
        set_pixels(dataset, stored[:, :, k].T)
        plane = slice_plane(affine, k)
        dataset.ImagePositionPatient = _rounded(plane.position_mm)
        dataset.ImageOrientationPatient = _rounded(plane.orientation)
        dataset.PixelSpacing = list(plane.pixel_spacing_mm)
        dataset.SliceThickness = series.slice_mm or plane.spacing_mm
        if series.slice_mm:
            dataset.SpacingBetweenSlices = plane.spacing_mm
        dataset.InstanceNumber = k + 1
        if series.shows == "CT" or slope != 1:
            dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        yield f"IM_{k + 1:04d}.dcm", dataset


def _stored(series: SimulatedSeries) -> tuple[NDArray[np.uint16], float, float]:
    """Returns the stored values (columns, rows, slices), their slope and intercept."""
    slope, intercept = series.header.slope, _CT_INTERCEPT if series.shows == "CT" else series.header.intercept
    values = series.volume.data[::-1, ::-1].astype(np.float64) * (_ADC_SCALE if series.shows == "ADC" else 1.0)
    return np.clip(np.rint((values - intercept) / slope), 0, 65535).astype("<u2"), slope, intercept


def _flipped(volume: Volume) -> Affine:
    """Returns the affine, voxel index to RAS+ millimetres, of the volume with its first two axes reversed."""
    affine = np.array(volume.affine)
    for axis in (0, 1):
        affine[:3, 3] += affine[:3, axis] * (volume.data.shape[axis] - 1)
        affine[:3, axis] *= -1
    return affine


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 6) for value in values]


def _header(series: SimulatedSeries, sop_class: UID, k: int) -> Dataset:
    is_ct = sop_class == CT_IMAGE
    dataset = Dataset()
    set_identity(dataset, sop_class, series.uid("instance", k))
    study = hashlib.sha256(repr((series.seed, series.subject, series.session)).encode()).digest()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.StudyInstanceUID = uid_from_digest(study[:16])
    dataset.FrameOfReferenceUID = uid_from_digest(study[16:])
    dataset.SeriesInstanceUID = series.uid("series")
    dataset.PatientName, dataset.PatientID = f"SIMULATED^{series.subject}", f"SIM-{series.subject}"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PositionReferenceIndicator = "", "O", ""
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber, dataset.ReferringPhysicianName = "", "", "", ""
    dataset.StudyID, dataset.SeriesNumber = str(series.session + 1), series.number
    dataset.Manufacturer = VENDORS[series.scanner.name]
    dataset.ManufacturerModelName = f"Simulated {series.scanner.name}"
    dataset.InstitutionName = "voxlate simulation"
    dataset.SeriesDescription = series.header.description
    dataset.BodyPartExamined, dataset.PatientPosition = series.body_part, "HFS"
    derived = series.shows == "ADC"
    dataset.ImageType = ["DERIVED" if derived else "ORIGINAL", "PRIMARY", "AXIAL" if is_ct else "M", "SIMULATED"]
    dataset.Modality = "CT" if is_ct else "MR"
    _acquisition(dataset, series, is_ct=is_ct)
    return dataset


def _acquisition(dataset: Dataset, series: SimulatedSeries, *, is_ct: bool) -> None:
    if is_ct:
        dataset.KVP, dataset.AcquisitionNumber = 120, 1
        return
    dataset.MagneticFieldStrength = series.scanner.field_tesla
    dataset.MRAcquisitionType = "2D" if series.slice_mm else "3D"
    for name, value in timing_tags(series.shows, series.scanner).items():
        setattr(dataset, name, value)
    if series.header.agent is not None:
        dataset.ContrastBolusAgent = series.header.agent


def _enhanced(
    series: SimulatedSeries, stored: NDArray[np.uint16], affine: Affine, scale: tuple[float, float]
) -> Dataset:
    """Returns one multi-frame file, with its geometry in functional groups.

    Args:
        series: the series.
        stored: (columns, rows, slices).
        affine: (4, 4), index to RAS+ millimetres.
        scale: slope and intercept.
    """
    dataset = _header(series, ENHANCED_MR_IMAGE, 0)
    set_pixels(dataset, stored.transpose(2, 1, 0))
    planes = [slice_plane(affine, k) for k in range(stored.shape[2])]
    dataset.NumberOfFrames, dataset.InstanceNumber = len(planes), 1
    shared: dict[str, Any] = {"orientation": _rounded(planes[0].orientation), "slope": scale[0], "intercept": scale[1]}
    shared |= {"spacing": list(planes[0].pixel_spacing_mm), "between": planes[0].spacing_mm}
    shared |= {"thickness": series.slice_mm or planes[0].spacing_mm}
    complete(dataset, series, [_rounded(plane.position_mm) for plane in planes], shared)
    return dataset
