"""Signs that a slice at an end of a series is missing, where no gap in the positions shows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from voxlate.io.dicom.stacking import Stack
from voxlate.io.log import warn

_STATED: dict[str, str | tuple[int, str, int]] = {
    "ImagesInAcquisition": "ImagesInAcquisition",
    "NumberOfSlices": "NumberOfSlices",
    "LocationsInAcquisition": (0x0021, "GEMS_RELA_01", 0x4F),
    "NumberOfSlicesMR": (0x2001, "Philips Imaging DD 001", 0x18),
}
"""Elements that state a number of slices, of a volume, of several volumes or of several series.

The last two are private, of GE and Philips: group, creator and element.
"""

_MOST_MISSING = 0.25
"""Largest share of a volume that can be missing before it, as for gaps in `stacking`; more are another volume, whose
numbers go on in this one. Chosen by hand."""


def warn_if_incomplete(stack: Stack, headers: Mapping[Path, Dataset], planes: int, name: str) -> None:
    """Warns with `SERIES_INCOMPLETE` when a header states more slices than there are, or the first numbers are absent.

    Parts that are meant give no warning: a volume of several in an acquisition, whose number of images is a multiple of
    its slices; every second image; images that were computed from others (`DERIVED`).

    Args:
        stack: the slices that were read.
        headers: of all files of the series.
        planes: slices of the whole series, of all its volumes.
        name: of the series, for messages.
    """
    first = headers[stack.planes[0].path]
    if str(first.get("ImageType") or "").count("DERIVED"):
        return
    sign = _stated(first, len(headers), len(stack.planes), planes) or _not_from_one(stack, headers)
    if sign:
        warn(
            "SERIES_INCOMPLETE",
            f"{name}: {sign}, so that a slice at an end may be missing; export it again, unless a part of it is meant",
        )


def _stated(header: Dataset, files: int, slices: int, planes: int) -> str:
    """Returns how many slices a header states, if that are more than there are; else an empty text."""
    related = _whole(header, "NumberOfSeriesRelatedInstances")
    if related > files:
        return f"{files} of {related} files (NumberOfSeriesRelatedInstances)"
    for name, element in _STATED.items():
        stated = _whole(header, element)
        if stated > slices and stated % slices and planes % stated:
            return f"{slices} of {stated} slices ({name})"
    return ""


def _not_from_one(stack: Stack, headers: Mapping[Path, Dataset]) -> str:
    """Returns with which instance number the slices begin, if lower ones are missing; else an empty text.

    Only numbers that follow the positions in equal steps tell anything.
    """
    numbers = [_whole(headers[plane.path], "InstanceNumber") for plane in stack.planes]
    steps = set(np.diff(numbers).tolist())
    step = abs(steps.pop())
    if steps or not step:
        return ""
    first = min(numbers)
    if not 0 < (first - 1) // step <= _MOST_MISSING * len(numbers):
        return ""
    others = {_whole(header, "InstanceNumber") for header in headers.values()}
    if others.issuperset(range(first - step, 0, -step)):
        return ""
    return f"its instance numbers begin with {first}"


def _whole(header: Dataset, element: str | tuple[int, str, int]) -> int:
    """Returns a whole number of a header; 0 where it is absent or damaged."""
    try:
        if isinstance(element, str):
            return int(str(header.get(element)))
        group, creator, offset = element
        return int(str(header.private_block(group, creator)[offset].value))
    except Exception:  # whatever pydicom raises for a damaged element
        return 0
