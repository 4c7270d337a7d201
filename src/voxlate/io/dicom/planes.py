"""Reads the position, orientation and rescaling of each frame of a DICOM file.

Coordinates are DICOM's own: patient left, posterior, superior (LPS), in millimetres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from voxlate.errors import InputRefused
from voxlate.io.dicom.parse import file_label, refusing_damage

_UNIT_TOLERANCE = 1e-3  # of lengths and of the cosine between rows and columns; rounded headers pass; chosen by hand
_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "StackID": "FrameContentSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "DimensionIndexValues": "FrameContentSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "DiffusionBValue": "MRDiffusionSequence",
    "ComplexImageComponent": "MRImageFrameTypeSequence",
}
SEPARATORS = (
    "StackID",
    "EchoTime",
    "EffectiveEchoTime",
    "EchoNumbers",
    "DiffusionBValue",
    "ComplexImageComponent",
    "ImageType",
    "TemporalPositionIndex",
    "TemporalPositionIdentifier",
    "FrameAcquisitionNumber",
    "AcquisitionNumber",
    "AcquisitionTime",
    "TriggerTime",
    "DimensionIndexValues",
)
"""Attributes that can distinguish frames at the same position, in the order in which they are tried."""


@dataclass(frozen=True)
class Plane:
    """One frame of a series.

    Attributes:
        path, frame: file, and number of the frame in it, from 0.
        uid: SOP instance UID of the file.
        position_mm: (3,), centre of the first pixel, LPS.
        orientation: (6,), direction along a row, then down a column, as direction cosines in LPS.
        spacing_mm: (2,), between rows, then between columns.
        thickness_mm: slice thickness; 0 if it is not given.
        shape: rows, columns.
        slope, intercept: value = slope x stored value + intercept.
        facts: values of `SEPARATORS`, as text.
    """

    path: Path
    frame: int
    uid: str
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing_mm: tuple[float, ...]
    thickness_mm: float
    shape: tuple[int, int]
    slope: float
    intercept: float
    facts: dict[str, str]


def planes_of(dataset: Dataset, path: Path) -> list[Plane]:
    """Returns the frames of a data set; its pixels are not needed.

    Raises:
        InputRefused: `NOT_AN_IMAGE`, `COLOUR`, `MOSAIC`, `GEOMETRY_ABSENT`, `GEOMETRY_INVALID`, `SPACING_INVALID`,
            `SCALING`, `UNREADABLE`.
    """
    with refusing_damage(path):
        return _planes(dataset, path)


def _planes(dataset: Dataset, path: Path) -> list[Plane]:
    if not isinstance(dataset.get("Rows"), int) or not isinstance(dataset.get("Columns"), int):
        raise InputRefused(
            "NOT_AN_IMAGE", f"{file_label(path)} holds no image; it may be a report or a presentation state"
        )
    if int(dataset.get("SamplesPerPixel") or 1) != 1:
        raise InputRefused(
            "COLOUR", f"{file_label(path)} is a colour image, such as a screenshot; its values cannot be translated"
        )
    if "MOSAIC" in _text(dataset.get("ImageType")).split("\\"):
        raise InputRefused(
            "MOSAIC",
            f"{file_label(path)} packs many slices into one mosaic image; export it as enhanced DICOM or as slices",
        )
    frames = _frames(dataset, path)
    shared = _first(dataset.get("SharedFunctionalGroupsSequence"))
    return [_plane(_Source(dataset, shared, frame, path), path, k) for k, frame in enumerate(frames)]


@dataclass(frozen=True)
class _Source:
    """Looks up an attribute: first in the frame's functional groups, then in the shared ones, then in the file."""

    dataset: Dataset
    shared: Dataset | None
    frame: Dataset | None
    path: Path

    def get(self, keyword: str) -> Any:
        """Returns an attribute, or None."""
        for groups in (self.frame, self.shared):
            inner = None if groups is None else _first(groups.get(_GROUPS.get(keyword, "")))
            if inner is not None and inner.get(keyword) is not None:
                return inner.get(keyword)
        return self.dataset.get(keyword)

    def numbers(self, keyword: str, count: int, default: Sequence[float] | None = None) -> tuple[float, ...]:
        """Returns `count` finite numbers of an attribute, or the default if the attribute is absent.

        Raises:
            InputRefused: `GEOMETRY_ABSENT` without attribute and default, `GEOMETRY_INVALID` for other values.
        """
        try:
            value = self.get(keyword)
            if value is None or value == "":
                if default is None:
                    raise InputRefused(
                        "GEOMETRY_ABSENT",
                        f"{file_label(self.path)} has no {keyword}, and the position is never guessed; export it again",
                    )
                return tuple(default)
            values = [float(value) for value in ([value] if isinstance(value, int | float | str) else value)]
        except (TypeError, ValueError) as error:
            raise InputRefused("GEOMETRY_INVALID", f"{file_label(self.path)}: {keyword} is not a number") from error
        if len(values) != count or not all(math.isfinite(value) for value in values):
            raise InputRefused("GEOMETRY_INVALID", f"{file_label(self.path)}: {keyword} needs {count} finite numbers")
        return tuple(values)


def _frames(dataset: Dataset, path: Path) -> list[Dataset | None]:
    count = int(dataset.get("NumberOfFrames") or 1)
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if groups is None:
        if count > 1:
            raise InputRefused("GEOMETRY_ABSENT", f"{file_label(path)} has {count} frames without their positions")
        return [None]
    if len(groups) != count:
        raise InputRefused(
            "GEOMETRY_INVALID", f"{file_label(path)} has {count} frames, but functional groups for {len(groups)}"
        )
    return list(groups)


def _plane(source: _Source, path: Path, frame: int) -> Plane:
    position = source.numbers("ImagePositionPatient", 3)
    orientation = source.numbers("ImageOrientationPatient", 6)
    _require_directions(orientation, source.path)
    spacing = source.numbers("PixelSpacing", 2)
    if min(spacing) <= 0:
        raise InputRefused(
            "SPACING_INVALID",
            f"{file_label(source.path)}: its pixel spacing is {spacing[0]:g} x {spacing[1]:g} mm; it must be above 0",
        )
    slope = source.numbers("RescaleSlope", 1, default=[1.0])[0]
    intercept = source.numbers("RescaleIntercept", 1, default=[0.0])[0]
    if slope == 0:
        raise InputRefused(
            "SCALING", f"{file_label(source.path)}: its rescale slope is 0, so all values would be equal"
        )
    dataset = source.dataset
    facts = {keyword: _text(source.get(keyword)) for keyword in SEPARATORS}
    facts["DimensionIndexValues"] = _other_dimensions(source)
    return Plane(
        path,
        frame,
        str(dataset.get("SOPInstanceUID", "")),
        position,
        orientation,
        spacing,
        source.numbers("SliceThickness", 1, default=[0.0])[0],
        (int(dataset.Rows), int(dataset.Columns)),
        slope,
        intercept,
        facts,
    )


def _require_directions(orientation: Sequence[float], path: Path) -> None:
    row, column = orientation[:3], orientation[3:]
    lengths = [math.hypot(*row), math.hypot(*column)]
    across = sum(a * b for a, b in zip(row, column, strict=True))
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(across)) > _UNIT_TOLERANCE:
        raise InputRefused("GEOMETRY_INVALID", f"{file_label(path)}: its rows and columns are not at right angles")


def _other_dimensions(source: _Source) -> str:
    """Returns the dimension indices of a frame, without those that describe its position."""
    values = source.get("DimensionIndexValues")
    if values is None:
        return ""
    indices = [int(value) for value in ([values] if isinstance(values, int) else values)]
    meanings = [
        int(item.get("DimensionIndexPointer") or 0) for item in source.dataset.get("DimensionIndexSequence") or []
    ]
    # InStackPositionNumber, ImagePositionPatient, StackID and SliceLocation describe the position.
    positions = {0x00209057, 0x00200032, 0x00209056, 0x00201041}
    kept = [str(index) for index, meaning in zip(indices, meanings, strict=False) if meaning not in positions]
    return "\\".join(kept)


def _first(sequence: Any) -> Dataset | None:
    return sequence[0] if sequence is not None and len(sequence) else None


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else "\\".join(map(str, value)) if hasattr(value, "__iter__") else str(value)
