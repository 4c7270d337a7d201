"""A subject's images as DICOM series, with headers as messy as real ones.

UIDs come from a hash of what they name, so that the same subject gives the same bytes. Every header says that the
patient is simulated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voxlate.io.atomic import replacing, write_json
from voxlate.simulation.files.bids import session_name, truth_path
from voxlate.simulation.files.dicom_enhanced import complete
from voxlate.simulation.files.header_variants import VENDORS, Habit, draw_habit, timing_tags
from voxlate.simulation.physics.scanners import Scanner, scanner_named
from voxlate.simulation.rng import generator
from voxlate.simulation.subject import Subject
from voxlate.volume import Affine, Volume

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

FOLDER = Path("sourcedata") / "dicom"
_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "enhanced": "1.2.840.10008.5.1.4.1.1.4.1",
}
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_ADC_SCALE = 1000.0  # ADC maps are stored in 10⁻⁶ mm²/s
_CT_INTERCEPT = -1024.0


@dataclass(frozen=True)
class Series:
    """One series to be written.

    Attributes:
        subject, session, number: which.
        shows: what it truly shows.
        volume: its voxels.
        habit: what its header says.
        scanner: who made it.
        body_part: `HEAD` or `LSPINE`.
    """

    subject: str
    session: int
    number: int
    shows: str
    volume: Volume
    habit: Habit
    scanner: Scanner
    body_part: str

    def uid(self, *words: object) -> str:
        """Returns the identifier of a part of this series: 2.25 and a hash of its name and voxels."""
        digest = hashlib.sha256(self.volume.data.tobytes())
        digest.update(repr((self.subject, self.session, self.number, words)).encode())
        return f"2.25.{int.from_bytes(digest.digest()[:16], 'big')}"


def write_dicom(root: Path, subject: Subject, session: int) -> list[Path]:
    """Writes each image of a session as one series; returns the files, relative to the data set.

    A JSON beside the truth says what each series truly shows and how its header lies.

    Raises:
        CannotWrite, TemporaryFailure: see `voxlate.errors.writing`.
    """
    factors = subject.truth.factors
    scanner = scanner_named(str(factors["scanner"]))
    written: list[Path] = []
    truths: list[dict[str, Any]] = []
    part = "LSPINE" if subject.task == "spine" else "HEAD"
    for number, (shown, volume) in enumerate(subject.images.items(), start=1):
        rng = generator(int(factors["seed"]), int(factors["subject"]), f"session-{session}", "dicom", shown)
        habit = draw_habit(shown, scanner, str(factors.get("agent", "generic")), rng)
        series = Series(subject.name, session, number, shown, volume, habit, scanner, part)
        folder = FOLDER / subject.name / session_name(session) / f"series-{number:03d}"
        written += [_save(root, folder / name, dataset) for name, dataset in _instances(series)]
        truths.append({"folder": folder.as_posix(), "shows": shown, **asdict(habit)})
    path = truth_path(subject.name, session, "dicom.json")
    write_json(root / path, truths)
    return [*written, path]


def _save(root: Path, path: Path, dataset: Dataset) -> Path:
    with replacing(root / path) as partial:
        dataset.save_as(partial, enforce_file_format=True)
    return path


def _instances(series: Series) -> Iterator[tuple[str, Dataset]]:
    """Yields the files of a series: columns run to the patient's left, rows to the back, slices upwards."""
    stored, slope, intercept = _stored(series)
    affine = _flipped(series.volume)
    if series.habit.is_enhanced:
        yield "IM_0001.dcm", _enhanced(series, stored, affine, (slope, intercept))
        return
    for k in range(stored.shape[2]):
        dataset = _header(series, "CT" if series.shows == "CT" else "MR", k)
        _pixels(dataset, stored[:, :, k].T)
        position, orientation, spacing, thickness = _plane(affine, k)
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = position, orientation
        dataset.PixelSpacing, dataset.SliceThickness, dataset.InstanceNumber = spacing, thickness, k + 1
        if series.shows == "CT" or slope != 1:
            dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
        yield f"IM_{k + 1:04d}.dcm", dataset


def _stored(series: Series) -> tuple[NDArray[np.uint16], float, float]:
    """Returns the stored numbers (columns, rows, slices), their slope and intercept."""
    slope, intercept = series.habit.slope, _CT_INTERCEPT if series.shows == "CT" else series.habit.intercept
    values = series.volume.data[::-1, ::-1].astype(np.float64) * (_ADC_SCALE if series.shows == "ADC" else 1.0)
    return np.clip(np.rint((values - intercept) / slope), 0, 65535).astype("<u2"), slope, intercept


def _flipped(volume: Volume) -> Affine:
    """Returns the affine, in LPS millimetres, of the volume with its first two axes reversed."""
    affine = np.array(volume.affine)
    for axis in (0, 1):
        affine[:3, 3] += affine[:3, axis] * (volume.data.shape[axis] - 1)
        affine[:3, axis] *= -1
    return np.asarray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


def _plane(affine: Affine, k: int) -> tuple[list[float], list[float], list[float], float]:
    """Returns position, orientation, pixel spacing (rows, columns) and thickness of a slice."""
    columns, rows, slices = (affine[:3, axis] for axis in range(3))
    lengths = [float(np.linalg.norm(axis)) for axis in (columns, rows, slices)]
    position = [round(float(value), 6) for value in affine[:3, 3] + k * slices]
    orientation = [round(float(value), 6) for value in [*columns / lengths[0], *rows / lengths[1]]]
    return position, orientation, [lengths[1], lengths[0]], lengths[2]


def _header(series: Series, kind: str, k: int) -> Dataset:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(_EXPLICIT_LITTLE_ENDIAN)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(_CLASSES[kind])
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(series.uid("instance", k))
    study = hashlib.sha256(repr((series.subject, series.session)).encode()).digest()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.StudyInstanceUID = f"2.25.{int.from_bytes(study[:16], 'big')}"
    dataset.FrameOfReferenceUID = f"2.25.{int.from_bytes(study[16:], 'big')}"
    dataset.SeriesInstanceUID = series.uid("series")
    dataset.PatientName, dataset.PatientID = f"SIMULATED^{series.subject}", f"SIM-{series.subject}"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PositionReferenceIndicator = "", "O", ""
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber, dataset.ReferringPhysicianName = "", "", "", ""
    dataset.StudyID, dataset.SeriesNumber = str(series.session + 1), series.number
    dataset.Manufacturer = VENDORS[series.scanner.name]
    dataset.ManufacturerModelName = f"Simulated {series.scanner.name}"
    dataset.InstitutionName = "voxlate simulation"
    dataset.SeriesDescription = series.habit.description
    dataset.BodyPartExamined, dataset.PatientPosition = series.body_part, "HFS"
    derived = series.shows == "ADC"
    dataset.ImageType = ["DERIVED" if derived else "ORIGINAL", "PRIMARY", "AXIAL" if kind == "CT" else "M", "SIMULATED"]
    dataset.Modality = "CT" if kind == "CT" else "MR"
    _acquisition(dataset, series, kind)
    return dataset


def _acquisition(dataset: Dataset, series: Series, kind: str) -> None:
    if kind == "CT":
        dataset.KVP, dataset.AcquisitionNumber = 120, 1
        return
    dataset.MagneticFieldStrength = series.scanner.field_tesla
    is_thick = series.scanner.slice_mm > 0 and series.shows in ("T1w", "T1ce")
    dataset.MRAcquisitionType = "2D" if is_thick else "3D"
    for name, value in timing_tags(series.shows, series.scanner).items():
        setattr(dataset, name, value)
    if series.habit.agent is not None:
        dataset.ContrastBolusAgent = series.habit.agent


def _pixels(dataset: Dataset, pixels: NDArray[np.uint16]) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = np.ascontiguousarray(pixels).tobytes()


def _enhanced(series: Series, stored: NDArray[np.uint16], affine: Affine, scale: tuple[float, float]) -> Dataset:
    """Returns one multi-frame file, its geometry in functional groups."""
    dataset = _header(series, "enhanced", 0)
    _pixels(dataset, stored.transpose(2, 1, 0))
    _, orientation, spacing, thickness = _plane(affine, 0)
    dataset.NumberOfFrames, dataset.InstanceNumber = stored.shape[2], 1
    shared = {"orientation": orientation, "spacing": spacing, "thickness": thickness}
    shared |= {"slope": scale[0], "intercept": scale[1]}
    complete(dataset, series, [_plane(affine, k)[0] for k in range(stored.shape[2])], shared)
    return dataset
