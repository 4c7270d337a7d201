"""Makes a DICOM series from a synthetic volume: MR slices that are marked as synthetic and name their source.

Only elements on the lists below are copied: no private element, no overlay, no contrast agent, no free text.
Format: DICOM PS3.3, A.4 and C.7.6.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.config import RAISE
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from voxlate.errors import InputRefused
from voxlate.io.dicom.planes import Plane
from voxlate.io.dicom.scan import DicomScan
from voxlate.io.dicom.write import MR_IMAGE, set_identity, set_pixels, slice_plane, uid_from_digest
from voxlate.io.log import warn
from voxlate.io.site_key import site_key
from voxlate.volume import Volume, require_same_grid

SERIES_OFFSET = 9000  # added to the series number of the source, far above the numbers of scanners; chosen by hand
_LARGEST_NUMBER = 2**31 - 1_000_000  # an integer string holds 2^31 - 1; the rest leaves room for taken numbers
_IMPLEMENTATION = UID("2.25.202611250000000000000000000000000001")
_NAMES = ("PatientName", "ReferringPhysicianName")
_PATIENT = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientWeight", "PatientSize"),
    "IssuerOfPatientID",  # a number alone may be that of another person in another hospital
)
_STUDY = ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName")
_FRAME = ("FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition", "BodyPartExamined", "Laterality")
_PRIVACY = ("PatientIdentityRemoved", "DeidentificationMethod", "LongitudinalTemporalInformationModified")
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_EMPTY_ALLOWED = {*_PATIENT[:4], *_STUDY[1:], "PositionReferenceIndicator", "PatientPosition"}
_ACQUISITION = (
    *("ScanningSequence", "SequenceVariant", "ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime"),
    *("EchoTrainLength", "InversionTime", "FlipAngle", "MagneticFieldStrength", "ImagingFrequency"),
    *("NumberOfAverages", "PixelBandwidth", "ImagedNucleus", "EchoNumbers"),
)
_LARGEST_STORED = 65535  # of 16 bits
_LEAST_OF_BRIGHTEST = 255  # a dimmer image is scaled, so that rounding keeps at least 8 bits of detail
_SCALED_LARGEST = 4095.0  # largest stored value after scaling: 12 bits, as scanners write


@dataclass(frozen=True)
class Derivation:
    """How a synthetic volume was made.

    Attributes:
        source, target: contrast of the input and intended contrast of the output.
        model, model_sha256, config_sha256, software: model and program that made it.
        keeps_acquisition: the acquisition parameters of the source also describe the output, as for T1 to T1; otherwise
            the sequence is `RM` (research mode) and no timing is written.
        is_brain_only: the output holds only the brain, so that no face can be recognised.
        has_synthetic_tag: write SyntheticData (0008,001C), which archives from before 2019 may not know.
        warning: what a reader of the images has to know of this scan; empty for nothing.
    """

    source: str
    target: str
    model: str
    model_sha256: str
    config_sha256: str
    software: str
    keeps_acquisition: bool
    is_brain_only: bool = True
    has_synthetic_tag: bool = True
    warning: str = ""


@dataclass(frozen=True)
class Pixels:
    """The 16-bit integers of a volume.

    Attributes:
        stored: (columns, rows, slices).
        scale: value = scale x stored value; 1 unless the values need scaling.
        window: display window, centre and width, in stored values.
    """

    stored: NDArray[np.uint16]
    scale: float
    window: tuple[float, float]


def derived_series(
    volume: Volume,
    scan: DicomScan,
    derivation: Derivation,
    *,
    others: Mapping[str, DicomScan] | None = None,
    taken_numbers: Sequence[int] = (),
) -> list[Dataset]:
    """Returns the slices of a synthetic volume as DICOM data sets; equal input gives equal bytes.

    UIDs are hashes of the UIDs of the source, the model, the voxels, and the secret key of the site (environment
    variable `VOXLATE_UID_SALT`). Other voxels, for example from another runtime or mask, therefore get other UIDs.

    Args:
        volume: the synthetic volume, on the grid of the scan.
        scan: its source.
        derivation: how it was made.
        others: additional sources, on the same grid; they are referenced too.
        taken_numbers: series numbers of the study that must not be reused.

    Raises:
        InputRefused: `GRID_MISMATCH`; `NON_FINITE`.
    """
    require_same_grid(volume, scan.volume, names=("the synthetic volume", "its source"))
    pixels = whole_numbers(volume)
    uids = _UidSource(derivation, scan, hashlib.sha256(pixels.stored.tobytes()).hexdigest())
    series_uid = uids.uid("series")
    common = _common(scan, derivation, pixels, taken_numbers)
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID"):
        if not common.get(keyword):
            setattr(common, keyword, uids.uid(keyword))
    inputs = [scan, *(others or {}).values()]
    for other in inputs[1:]:
        require_same_grid(other.volume, scan.volume, names=("an additional source", "the source"))
    named = [each for each in inputs if _is_named(each)]
    slices = []
    for k, plane in enumerate(scan.planes):
        dataset = Dataset()
        dataset.update(common)
        dataset.SeriesInstanceUID = series_uid
        set_identity(dataset, MR_IMAGE, uids.uid(f"slice {k}"))
        dataset.file_meta.ImplementationClassUID = _IMPLEMENTATION
        dataset.InstanceNumber = k + 1
        _set_plane(dataset, volume, k)
        dataset.SliceThickness = _decimal(plane.thickness_mm or volume.spacing_mm[2])
        _refer(dataset, [each.planes[k] for each in named], named)
        set_pixels(dataset, pixels.stored[:, :, k].T)
        slices.append(dataset)
    return slices


def whole_numbers(volume: Volume) -> Pixels:
    """Returns a volume as unsigned 16-bit integers; values that do not fit or would lose detail are scaled.

    Raises:
        InputRefused: `NON_FINITE`.
    """
    data = volume.data
    if not np.isfinite(data).all():
        raise InputRefused("NON_FINITE", "the synthetic volume holds NaN or infinite values; nothing is written")
    shown = data[data > 0]
    if shown.size == 0:
        return Pixels(np.zeros(data.shape, np.uint16), 1.0, (0.0, 1.0))
    brightest = float(np.percentile(shown, 99.9))
    scale = (
        1.0
        if brightest >= _LEAST_OF_BRIGHTEST and float(data.max()) <= _LARGEST_STORED
        else float(data.max()) / _SCALED_LARGEST
    )
    stored = np.clip(np.rint(data.astype(np.float64) / scale), 0, _LARGEST_STORED).astype(np.uint16)
    low, high = (float(value) for value in np.percentile(stored[data > 0], [1, 99]))
    return Pixels(stored, scale, ((low + high) / 2, max(1.0, high - low)))


def _common(scan: DicomScan, derivation: Derivation, pixels: Pixels, taken: Sequence[int]) -> Dataset:
    """Returns the elements that all slices share."""
    source, dataset = scan.header, Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword in (*_PATIENT, *_STUDY, *_FRAME, *_PRIVACY, *_LOSSY):
        _copy(source, dataset, keyword)
    if "BodyPartExamined" not in dataset and "Laterality" not in dataset:
        dataset.Laterality = ""  # required if the body part, which may be one of a pair, is unknown
    dataset.Modality = "MR"
    dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER", "SYNTHETIC"]
    dataset.ContentQualification = "RESEARCH"
    # a translated head may still show letters in the air around it; a brain alone shows none
    has_letters = not derivation.is_brain_only and str(_value(source, "BurnedInAnnotation") or "").upper() == "YES"
    dataset.BurnedInAnnotation = "YES" if has_letters else "NO"
    if derivation.has_synthetic_tag:
        dataset.SyntheticData = "YES"
    dataset.RecognizableVisualFeatures = "NO" if derivation.is_brain_only else "YES"
    dataset.SeriesNumber = _free_number(source, taken)
    dataset.SeriesDescription = f"SYNTH {derivation.target[:20]} from {derivation.source[:8]} - NOT FOR DIAGNOSIS"
    _sign(dataset, scan, derivation, pixels)
    _acquire(source, dataset, derivation)
    _set_values(dataset, pixels)
    return dataset


def _set_values(dataset: Dataset, pixels: Pixels) -> None:
    """Writes the display window and, for scaled values, the slope that gives them back.

    The slope is an extension of the MR object, which scanners write too. The window is one of values after the slope
    (PS3.3, C.11.2.1.2).
    """
    center, width = pixels.window
    if pixels.scale == 1:
        dataset.WindowCenter, dataset.WindowWidth = round(center, 1), round(width, 1)
        return
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = _decimal(pixels.scale), "0", "US"
    dataset.WindowCenter, dataset.WindowWidth = _decimal(center * pixels.scale), _decimal(width * pixels.scale)
    dataset.VOILUTFunction = "LINEAR_EXACT"  # the default function needs a width of 1 or more


def _copy(source: Dataset, dataset: Dataset, keyword: str) -> None:
    """Copies one element with its text decoded; an empty element only where the standard allows it."""
    value = _value(source, keyword)
    is_copied = False
    if value is not None and value != "":
        text = str(value) if keyword in _NAMES else value
        if isinstance(text, str) and ("�" in text or "\\x" in text or _is_mislabelled(text)):
            warn("CHARACTER_SET", f"{keyword} is not in the character set that the source states")
        is_copied = _set(dataset, keyword, text)
    if not is_copied and keyword in _EMPTY_ALLOWED:
        setattr(dataset, keyword, "")


def _value(source: Dataset, keyword: str) -> Any:
    """Returns an element of the source header; None, with a warning, if it cannot be decoded."""
    try:
        return source.get(keyword)
    except Exception:  # pydicom raises many kinds of errors for damaged elements
        warn("ELEMENT_LEFT_OUT", f"{keyword} of the source is damaged and is left out")
        return None


def _set(dataset: Dataset, keyword: str, value: Any) -> bool:
    """Sets an element and returns True; an element that cannot be written is left out with a warning.

    Reading accepts what writing does not: a weight that is not a number, a UID with letters, a number that is too long.
    """
    try:
        setattr(dataset, keyword, value)
        element = dataset[keyword]
        for text in [element.value] if isinstance(element.value, str) else value if isinstance(value, list) else []:
            validate_value(element.VR, str(text), RAISE)
        trial = DicomBytesIO()
        trial.is_little_endian, trial.is_implicit_VR = True, False
        write_data_element(trial, element, ["utf-8"])
    except Exception:  # as above
        if keyword in dataset:
            del dataset[keyword]
        warn("ELEMENT_LEFT_OUT", f"{keyword} of the source is not valid DICOM and is left out")
        return False
    return True


def _is_mislabelled(text: str) -> bool:
    """Returns whether text that was decoded as Latin-1 is UTF-8: its bytes are valid multi-byte UTF-8."""
    try:
        raw = text.encode("latin-1")
        return not raw.isascii() and bool(raw.decode("utf-8"))
    except UnicodeError:
        return False


def _whole(source: Dataset, keyword: str) -> int:
    """Returns an integer of a header; 0 if it is absent or not a number."""
    try:
        return int(_value(source, keyword) or 0)
    except (TypeError, ValueError, OverflowError):
        return 0


def _sign(dataset: Dataset, scan: DicomScan, derivation: Derivation, pixels: Pixels) -> None:
    """Writes which model and scanner made the image, and how."""
    dataset.Manufacturer, dataset.ManufacturerModelName = "voxlate", derivation.model[:64]
    dataset.SoftwareVersions, dataset.DeviceSerialNumber = derivation.software[:64], derivation.model_sha256[:16]
    scaling = f"; stored numbers are values divided by {pixels.scale:.6g}" if pixels.scale != 1 else ""
    warning = f"; {derivation.warning}" if derivation.warning else ""
    dataset.DerivationDescription = (
        f"{derivation.source} to {derivation.target} by a neural network, {derivation.model}, weights "
        f"{derivation.model_sha256[:16]}, voxlate {derivation.software}. Synthetic: not for diagnosis{warning}{scaling}"
    )[:1024]
    scanner = Dataset()
    for keyword in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions"):
        value = _value(scan.header, keyword)
        if value:
            _set(scanner, keyword, value)
    if "Manufacturer" not in scanner:
        scanner.Manufacturer = "unknown"
    scanner.PurposeOfReferenceCodeSequence = [_code("109101", "Acquisition Equipment")]
    network = Dataset()
    network.Manufacturer, network.ManufacturerModelName = "voxlate", derivation.model[:64]
    network.SoftwareVersions, network.ContributionDescription = derivation.software[:64], "neural network"
    network.PurposeOfReferenceCodeSequence = [_code("109100", "Synthesizing Equipment")]
    dataset.ContributingEquipmentSequence = [scanner, network]


def _acquire(source: Dataset, dataset: Dataset, derivation: Derivation) -> None:
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "RM", "NONE", ""
    dataset.MRAcquisitionType, dataset.EchoTime, dataset.EchoTrainLength = "", None, None
    dataset.RepetitionTime = None
    if derivation.keeps_acquisition and _value(source, "ScanningSequence"):
        for keyword in _ACQUISITION:
            value = _value(source, keyword)
            if value is not None and value != "":
                _set(dataset, keyword, value)


def _set_plane(dataset: Dataset, volume: Volume, k: int) -> None:
    """Writes the position and orientation of a slice, from the affine of the volume."""
    plane = slice_plane(volume.affine, k)
    dataset.ImagePositionPatient = [_decimal(value) for value in plane.position_mm]
    dataset.ImageOrientationPatient = [_decimal(value) for value in plane.orientation]
    dataset.PixelSpacing = [_decimal(value) for value in plane.pixel_spacing_mm]
    dataset.SpacingBetweenSlices = _decimal(plane.spacing_mm)


def _is_named(scan: DicomScan) -> bool:
    """Returns whether the slices of an input have valid UIDs; others cannot be referenced."""
    names = [str(_value(scan.header, key) or "") for key in ("SOPClassUID", "SeriesInstanceUID")]
    is_valid = all(UID(name).is_valid for name in [*names, *(plane.uid for plane in scan.planes)])
    if not is_valid:
        warn("ELEMENT_LEFT_OUT", "a UID of the source is not valid; its slices are not referenced")
    return is_valid


def _refer(dataset: Dataset, planes: Sequence[Plane], inputs: Sequence[DicomScan]) -> None:
    """References the slice of each input at the position of this slice."""
    images, series = [], []
    for plane, scan in zip(planes, inputs, strict=True):
        image = Dataset()
        image.ReferencedSOPClassUID = scan.header.SOPClassUID
        image.ReferencedSOPInstanceUID = plane.uid
        if _whole(scan.header, "NumberOfFrames") > 1:
            image.ReferencedFrameNumber = plane.frame + 1
        listed = Dataset()
        listed.update(image)
        image.PurposeOfReferenceCodeSequence = [_code("121322", "Source image for image processing operation")]
        images.append(image)
        whole = Dataset()
        whole.SeriesInstanceUID, whole.ReferencedInstanceSequence = scan.header.SeriesInstanceUID, [listed]
        series.append(whole)
    if images:
        dataset.SourceImageSequence, dataset.ReferencedSeriesSequence = images, series


@dataclass(frozen=True)
class _UidSource:
    """Makes the UIDs of a derived series; `pixels_sha256` is the hash of the stored values."""

    derivation: Derivation
    scan: DicomScan
    pixels_sha256: str

    def uid(self, part: str) -> str:
        """Returns the UID of a part: equal input gives an equal UID."""
        words = (
            site_key(),
            str(_value(self.scan.header, "SeriesInstanceUID") or ""),
            self.scan.label,
            self.derivation.model,
            self.derivation.model_sha256,
            self.derivation.config_sha256,
            self.derivation.software,
            self.pixels_sha256,
            part,
        )
        return uid_from_digest(hashlib.sha256(repr(words).encode()).digest())


def _free_number(source: Dataset, taken: Sequence[int]) -> int:
    number = SERIES_OFFSET + min(max(_whole(source, "SeriesNumber"), 0), _LARGEST_NUMBER - SERIES_OFFSET)
    while number in taken:
        number += 1
    return number


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def _decimal(value: float) -> str:
    """Returns a number as a DICOM decimal string of at most 16 characters, with as many digits as fit."""
    for digits in range(12, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    return f"{value:.1e}"
