"""Adds the modules and functional groups of an enhanced multi-frame MR image (DICOM PS3.3, A.36.2).

A simulated scan has no coils, no duration and no acquisition time. Where the standard requires them, neutral values are
written; times are the first second of the year 2000.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset

from voxlate.simulation.files.dicom_series import SimulatedSeries

_DATE, _TIME = "20000101", "000000"
_REGIONS = {"HEAD": ("69536005", "Head"), "LSPINE": ("122496007", "Lumbar spine")}
_FRAME_TYPE = ["PRIMARY", "OTHER", "NONE"]
_COMPLEX = {"ComplexImageComponent": "MAGNITUDE", "AcquisitionContrast": "UNKNOWN"}
_PIXELS = {
    "PixelPresentation": "MONOCHROME",
    "VolumetricProperties": "VOLUME",
    "VolumeBasedCalculationTechnique": "NONE",
}
_OF_ONE_FRAME = (
    *("RepetitionTime", "EchoTime", "FlipAngle", "EchoTrainLength", "InversionTime"),
    *("ScanningSequence", "SequenceVariant", "ScanOptions"),
)
"""Elements of the header of a single frame; an enhanced image has them in its functional groups, or not at all."""


def complete(
    dataset: Dataset, series: SimulatedSeries, positions: Sequence[list[float]], shared: dict[str, Any]
) -> None:
    """Adds all modules that a multi-frame image needs besides its header and pixels.

    Args:
        dataset: the image with its header and the pixels of all frames.
        series: the series.
        positions: (3,) for each frame, centre of its first pixel, LPS millimetres.
        shared: `orientation`, `spacing` in the plane, `thickness`, `between` slices, `slope` and `intercept` of all
            frames.
    """
    first = "DERIVED" if series.shows == "ADC" else "ORIGINAL"
    organisation = series.uid("dimensions")
    _describe_image(dataset, first)
    dataset.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organisation)]
    dataset.DimensionIndexSequence = [
        _item(DimensionOrganizationUID=organisation, DimensionIndexPointer=tag, FunctionalGroupPointer=0x00209111)
        for tag in (0x00209056, 0x00209057)
    ]
    dataset.SharedFunctionalGroupsSequence = [_shared_groups(dataset, series, first, shared)]
    dataset.PerFrameFunctionalGroupsSequence = [
        _item(
            PlanePositionSequence=[_item(ImagePositionPatient=position)],
            FrameContentSequence=[_frame_content(k)],
        )
        for k, position in enumerate(positions, start=1)
    ]
    for name in _OF_ONE_FRAME:
        if name in dataset:
            delattr(dataset, name)


def _describe_image(dataset: Dataset, first: str) -> None:
    dataset.ImageType = [first, *_FRAME_TYPE]
    dataset.ContentDate, dataset.ContentTime = _DATE, _TIME
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "SIMULATED", "voxlate"
    dataset.AcquisitionNumber, dataset.AcquisitionDuration = 1, 0.0
    dataset.AcquisitionDateTime = _DATE + _TIME
    dataset.ContentQualification, dataset.BurnedInAnnotation = "RESEARCH", "NO"
    dataset.LossyImageCompression, dataset.PresentationLUTShape = "00", "IDENTITY"
    dataset.AcquisitionContextSequence = []
    for name, value in (_COMPLEX | _PIXELS).items():
        setattr(dataset, name, value)
    dataset.ResonantNucleus, dataset.KSpaceFiltering, dataset.ApplicableSafetyStandardAgency = "1H", "NONE", "IEC"
    if first == "ORIGINAL":
        _describe_pulses(dataset)
    elif "MRAcquisitionType" in dataset:
        del dataset.MRAcquisitionType


def _describe_pulses(dataset: Dataset) -> None:
    """Adds the pulse sequence module, which only an original image has."""
    is_gradient = "GR" in dataset.get("ScanningSequence", "")
    dataset.PulseSequenceName, dataset.EchoPulseSequence = "simulated", "GRADIENT" if is_gradient else "SPIN"
    if not is_gradient:
        dataset.MultipleSpinEcho = "NO"
    dataset.SpectrallySelectedSuppression, dataset.MultiPlanarExcitation = "NONE", "NO"
    dataset.PhaseContrast, dataset.TimeOfFlightContrast, dataset.SaturationRecovery = "NO", "NO", "NO"
    dataset.SteadyStatePulseSequence, dataset.EchoPlanarPulseSequence = "NONE", "NO"
    dataset.OversamplingPhase, dataset.GeometryOfKSpaceTraversal = "NONE", "RECTILINEAR"
    dataset.RectilinearPhaseEncodeReordering, dataset.SegmentedKSpaceTraversal = "LINEAR", "SINGLE"
    dataset.CoverageOfKSpace, dataset.NumberOfKSpaceTrajectories = "FULL", 1


def _shared_groups(dataset: Dataset, series: SimulatedSeries, first: str, shared: dict[str, Any]) -> Dataset:
    code, meaning = _REGIONS[series.body_part]
    region = _item(CodeValue=code, CodingSchemeDesignator="SCT", CodeMeaning=meaning)
    spacing, thickness, between = shared["spacing"], shared["thickness"], shared["between"]
    return _item(
        PixelMeasuresSequence=[_item(PixelSpacing=spacing, SliceThickness=thickness, SpacingBetweenSlices=between)],
        PlaneOrientationSequence=[_item(ImageOrientationPatient=shared["orientation"])],
        PixelValueTransformationSequence=[
            _item(RescaleSlope=shared["slope"], RescaleIntercept=shared["intercept"], RescaleType="US")
        ],
        FrameAnatomySequence=[_item(FrameLaterality="U", AnatomicRegionSequence=[region])],
        MRImageFrameTypeSequence=[_item(FrameType=[first, *_FRAME_TYPE], **_COMPLEX, **_PIXELS)],
        MREchoSequence=[_item(EffectiveEchoTime=float(dataset.get("EchoTime", 0) or 0))],
        MRAveragesSequence=[_item(NumberOfAverages=1)],
        **_hardware_groups(),
        MRTimingAndRelatedParametersSequence=[_timing(dataset)],
        MRImagingModifierSequence=[
            _item(
                MagnetizationTransfer="NONE",
                BloodSignalNulling="NO",
                Tagging="NONE",
                TransmitterFrequency=42.577 * series.scanner.field_tesla,
                PixelBandwidth=200.0,
            )
        ],
        MRModifierSequence=[
            _item(
                InversionRecovery="YES" if dataset.get("InversionTime") else "NO",
                FlowCompensation="NONE",
                Spoiling="RF",
                T2Preparation="NO",
                SpectrallySelectedExcitation="NONE",
                SpatialPresaturation="NONE",
                PartialFourier="NO",
                ParallelAcquisition="NO",
                **({"InversionTimes": [float(dataset.InversionTime)]} if dataset.get("InversionTime") else {}),
            )
        ],
    )


def _hardware_groups() -> dict[str, Any]:
    coil = {"ReceiveCoilName": "simulated", "ReceiveCoilManufacturerName": "voxlate", "ReceiveCoilType": "VOLUME"}
    transmit = {"TransmitCoilName": "simulated", "TransmitCoilManufacturerName": "voxlate", "TransmitCoilType": "BODY"}
    return {
        "MRReceiveCoilSequence": [_item(**coil, QuadratureReceiveCoil="YES")],
        "MRTransmitCoilSequence": [_item(**transmit)],
        "MRFOVGeometrySequence": [
            _item(
                InPlanePhaseEncodingDirection="ROW",
                MRAcquisitionFrequencyEncodingSteps=1,
                MRAcquisitionPhaseEncodingStepsInPlane=1,
                PercentSampling=100.0,
                PercentPhaseFieldOfView=100.0,
            )
        ],
    }


def _timing(dataset: Dataset) -> Dataset:
    train = int(dataset.get("EchoTrainLength", 1) or 1)
    return _item(
        RepetitionTime=float(dataset.get("RepetitionTime", 0) or 0),
        FlipAngle=float(dataset.get("FlipAngle", 90) or 90),
        EchoTrainLength=train,
        RFEchoTrainLength=train,
        GradientEchoTrainLength=1,
        OperatingModeSequence=[_item(OperatingModeType="RF", OperatingMode="IEC_NORMAL")],
        SpecificAbsorptionRateSequence=[
            _item(SpecificAbsorptionRateDefinition="IEC_WHOLE_BODY", SpecificAbsorptionRateValue=0.0)
        ],
        GradientOutputType="DB_DT",
        GradientOutput=0.0,
    )


def _frame_content(k: int) -> Dataset:
    return _item(
        FrameAcquisitionNumber=1,
        FrameReferenceDateTime=_DATE + _TIME,
        FrameAcquisitionDateTime=_DATE + _TIME,
        FrameAcquisitionDuration=0.0,
        DimensionIndexValues=[1, k],
        StackID="1",
        InStackPositionNumber=k,
    )


def _item(**elements: Any) -> Dataset:
    made = Dataset()
    for name, value in elements.items():
        setattr(made, name, value)
    return made
