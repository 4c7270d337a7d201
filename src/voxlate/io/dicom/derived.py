"""A synthetic volume as a series of MR slices that says what it is and what it was made from (PS3.3, A.4 and C.7.6).

What is not on a list of ours is never copied: no private element, no overlay, no contrast agent, no free text.
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

SERIES_OFFSET = 9000
_LARGEST_NUMBER = 2**31 - 1_000_000  # an integer string holds 2^31 - 1; the rest is room for numbers that are taken
_IMPLEMENTATION = UID("2.25.202611250000000000000000000000000001")
_NAMES = ("PatientName", "ReferringPhysicianName")
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientWeight", "PatientSize")
_STUDY = ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName")
_PLACE = ("FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition", "BodyPartExamined", "Laterality")
_PRIVACY = ("PatientIdentityRemoved", "DeidentificationMethod", "LongitudinalTemporalInformationModified")
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_EMPTY_ALLOWED = {*_PATIENT[:4], *_STUDY[1:], "PositionReferenceIndicator"}
_ACQUISITION = (
    *("ScanningSequence", "SequenceVariant", "ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime"),
    *("EchoTrainLength", "InversionTime", "FlipAngle", "MagneticFieldStrength", "ImagingFrequency"),
    *("NumberOfAverages", "PixelBandwidth", "ImagedNucleus", "EchoNumbers"),
)
_MOST, _LEAST_OF_BRIGHTEST = 65535, 255


@dataclass(frozen=True)
class Derivation:
    """What was done.

    Attributes:
        source, target: what the input shows and what the output is meant to show.
        model, model_sha256, config_sha256, software: who did it.
        keeps_acquisition: whether the acquisition of the source describes the output too, as for T1 to T1; otherwise
            the sequence is called `RM` (research) and no time is invented.
        is_brain_only: nothing but the brain is in the output, so no face can be recognised.
        has_synthetic_tag: write SyntheticData (0008,001C), which archives from before 2019 may not know.
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


@dataclass(frozen=True)
class Pixels:
    """Whole numbers of a volume.

    Attributes:
        stored: (columns, rows, slices).
        scale: value = scale times stored number; 1 unless the values would not fit.
        window: centre and width.
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
    """Returns the slices of a synthetic volume; the same input gives the same bytes.

    Identifiers come from a hash of those of the source and of the model, of the voxels, and of a secret of the site in
    the variable `VOXLATE_UID_SALT`: other voxels, as of another runtime or mask, are another image.

    Args:
        volume: on the grid of the scan.
        scan: what it was made from.
        derivation: how.
        others: additional sources, which are referenced too.
        taken_numbers: series numbers of the study, none of which is used.

    Raises:
        InputRefused: `GRID_MISMATCH`; `NON_FINITE`.
    """
    require_same_grid(volume, scan.volume, names=("the synthetic volume", "its source"))
    pixels = whole_numbers(volume)
    name = _Names(derivation, scan, hashlib.sha256(pixels.stored.tobytes()).hexdigest())
    series_uid = name.uid("series")
    common = _common(scan, derivation, pixels, taken_numbers)
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID"):
        if not common.get(keyword):
            setattr(common, keyword, name.uid(keyword))
    inputs = [scan, *(others or {}).values()]
    for other in inputs[1:]:
        require_same_grid(other.volume, scan.volume, names=("an additional source", "the source"))
    named = [each for each in inputs if _is_named(each)]
    slices = []
    for k, plane in enumerate(scan.planes):
        dataset = Dataset()
        dataset.update(common)
        dataset.SeriesInstanceUID = series_uid
        set_identity(dataset, MR_IMAGE, name.uid(f"slice {k}"))
        dataset.file_meta.ImplementationClassUID = _IMPLEMENTATION
        dataset.InstanceNumber = k + 1
        _place(dataset, volume, k)
        dataset.SliceThickness = _decimal(plane.thickness_mm or volume.spacing_mm[2])
        _refer(dataset, [each.planes[k] for each in named], named)
        set_pixels(dataset, pixels.stored[:, :, k].T)
        slices.append(dataset)
    return slices


def whole_numbers(volume: Volume) -> Pixels:
    """Returns a volume as numbers of 16 bits; values that would not fit or would lose their detail are scaled.

    Raises:
        InputRefused: `NON_FINITE`.
    """
    data = volume.data
    if not np.isfinite(data).all():
        raise InputRefused("NON_FINITE", "the synthetic volume is not finite; nothing is written")
    shown = data[data > 0]
    if shown.size == 0:
        return Pixels(np.zeros(data.shape, np.uint16), 1.0, (0.0, 1.0))
    brightest = float(np.percentile(shown, 99.9))
    scale = 1.0 if brightest >= _LEAST_OF_BRIGHTEST and float(data.max()) <= _MOST else float(data.max()) / 4095.0
    stored = np.clip(np.rint(data.astype(np.float64) / scale), 0, _MOST).astype(np.uint16)
    low, high = (float(value) for value in np.percentile(stored[data > 0], [1, 99]))
    return Pixels(stored, scale, ((low + high) / 2, max(1.0, high - low)))


def _common(scan: DicomScan, derivation: Derivation, pixels: Pixels, taken: Sequence[int]) -> Dataset:
    """Returns what all slices share."""
    source, dataset = scan.header, Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword in (*_PATIENT, *_STUDY, *_PLACE, *_PRIVACY, *_LOSSY):
        _copy(source, dataset, keyword)
    if "BodyPartExamined" not in dataset and "Laterality" not in dataset:
        dataset.Laterality = ""  # it might be one of a pair, for all that the source tells
    if "PatientPosition" not in dataset:
        dataset.PatientPosition = "HFS"
    dataset.Modality = "MR"
    dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER", "SYNTHETIC"]
    dataset.ContentQualification, dataset.BurnedInAnnotation = "RESEARCH", "NO"
    if derivation.has_synthetic_tag:
        dataset.SyntheticData = "YES"
    dataset.RecognizableVisualFeatures = "NO" if derivation.is_brain_only else "YES"
    dataset.SeriesNumber = _free_number(source, taken)
    dataset.SeriesDescription = f"SYNTH {derivation.target[:20]} from {derivation.source[:8]} - NOT FOR DIAGNOSIS"
    _sign(dataset, scan, derivation, pixels)
    _acquire(source, dataset, derivation)
    dataset.WindowCenter, dataset.WindowWidth = (round(value, 1) for value in pixels.window)
    return dataset


def _copy(source: Dataset, dataset: Dataset, keyword: str) -> None:
    """Copies an element of the list, its text decoded; what is empty stays only where the standard lets it."""
    value = _value(source, keyword)
    is_copied = False
    if value is not None and value != "":
        text = str(value) if keyword in _NAMES else value
        if isinstance(text, str) and ("�" in text or "\\x" in text or _is_mislabelled(text)):
            warn("CHARACTER_SET", f"{keyword} is not written in the character set that the source names")
        is_copied = _set(dataset, keyword, text)
    if not is_copied and keyword in _EMPTY_ALLOWED:
        setattr(dataset, keyword, "")


def _value(source: Dataset, keyword: str) -> Any:
    """Returns an element of a header from outside; None, with a warning, when it does not decode."""
    try:
        return source.get(keyword)
    except Exception:  # pydicom answers damage with whatever error it meets
        warn("ELEMENT_LEFT_OUT", f"{keyword} of the source is damaged; it is left out")
        return None


def _set(dataset: Dataset, keyword: str, value: Any) -> bool:
    """Sets an element if it can be written; else leaves it out, names it in a warning, and returns False.

    Reading accepts what writing does not: a weight that is no number, an identifier with letters, a number too long.
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
        warn("ELEMENT_LEFT_OUT", f"{keyword} of the source is not valid DICOM; it is left out")
        return False
    return True


def _is_mislabelled(text: str) -> bool:
    """Tells whether text decoded as Latin-1 was UTF-8: its bytes are valid UTF-8 of more than one byte a letter."""
    try:
        raw = text.encode("latin-1")
        return not raw.isascii() and bool(raw.decode("utf-8"))
    except UnicodeError:
        return False


def _whole(source: Dataset, keyword: str) -> int:
    """Returns a whole number of a header; 0 when it is absent or none."""
    try:
        return int(_value(source, keyword) or 0)
    except (TypeError, ValueError, OverflowError):
        return 0


def _sign(dataset: Dataset, scan: DicomScan, derivation: Derivation, pixels: Pixels) -> None:
    """Says who made the image out of what."""
    dataset.Manufacturer, dataset.ManufacturerModelName = "voxlate", derivation.model[:64]
    dataset.SoftwareVersions, dataset.DeviceSerialNumber = derivation.software[:64], derivation.model_sha256[:16]
    told = f"; stored numbers are values divided by {pixels.scale:.6g}" if pixels.scale != 1 else ""
    dataset.DerivationDescription = (
        f"{derivation.source} to {derivation.target} by a neural network, {derivation.model}, weights "
        f"{derivation.model_sha256[:16]}, voxlate {derivation.software}. Synthetic: not for diagnosis{told}"
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


def _place(dataset: Dataset, volume: Volume, k: int) -> None:
    """Writes where a slice lies, out of the affine of the volume (RAS+ to LPS)."""
    plane = slice_plane(volume.affine, k)
    dataset.ImagePositionPatient = [_decimal(value) for value in plane.position_mm]
    dataset.ImageOrientationPatient = [_decimal(value) for value in plane.orientation]
    dataset.PixelSpacing = [_decimal(value) for value in plane.pixel_spacing_mm]
    dataset.SpacingBetweenSlices = _decimal(plane.spacing_mm)


def _is_named(scan: DicomScan) -> bool:
    """Tells whether the pictures of an input have valid identifiers; those that have not are not referenced."""
    names = [str(_value(scan.header, key) or "") for key in ("SOPClassUID", "SeriesInstanceUID")]
    is_valid = all(UID(name).is_valid for name in [*names, *(plane.uid for plane in scan.planes)])
    if not is_valid:
        warn("ELEMENT_LEFT_OUT", "an identifier of the source is no valid UID; its pictures are not referenced")
    return is_valid


def _refer(dataset: Dataset, planes: Sequence[Plane], inputs: Sequence[DicomScan]) -> None:
    """Names the picture of each input that lies where this slice does."""
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
class _Names:
    """Gives identifiers to what is made of a scan; `pixels_sha256` is of the stored numbers."""

    derivation: Derivation
    scan: DicomScan
    pixels_sha256: str

    def uid(self, part: str) -> str:
        """Returns 2.25 and 128 bits of a hash: the same for the same input, another for any other."""
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
    """Returns a number in the 16 characters of a decimal string."""
    for digits in range(12, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    return f"{value:.1e}"
