"""Sorts the slices of a series into volumes and computes the affine of each volume.

Positions are along the slice normal, in millimetres. Values are not read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from voxlate.errors import InputRefused
from voxlate.io.dicom.planes import SEPARATORS, Plane
from voxlate.io.log import warn
from voxlate.volume import Affine

LEAST_SLICES = 4
"""Fewer slices are a localizer, not a volume; chosen by hand."""

EXPORT_AGAIN = "; export the series again"

SAME_DIRECTION = 2e-3
"""Largest difference between the direction cosines of slices with one orientation (0.1 degrees); chosen by hand."""

SAME_POSITION_MM = 1e-2
"""Slices closer than this are at the same position; chosen by hand."""

JITTER_WARNED, JITTER_REFUSED = 0.01, 0.05
"""Deviation of a slice from equal spacing, as a fraction of the slice distance: the first warns, the second refuses.

Chosen by hand.
"""

SHEAR_REFUSED = 0.01
"""Largest sideways shift from slice to slice, as a fraction of the slice distance: a gantry tilt of 0.6 degrees."""

ECHOES = ("EchoTime", "EffectiveEchoTime", "EchoNumbers")
"""Attributes that tell the echoes of a sequence apart, in the order in which they are tried."""

SAME_ECHO = 0.1
"""Largest difference between echo times (ms), or numbers, of one echo: above the rounding of headers, and below the
distance of two echoes of a sequence. Chosen by hand."""


@dataclass(frozen=True)
class Stack:
    """The slices of one volume, sorted along their normal, and the attributes that distinguish it from the others."""

    planes: tuple[Plane, ...]
    label: str


def stacks_of(planes: Sequence[Plane]) -> list[Stack]:
    """Returns the volumes of a series: one, unless orientations or echoes differ, or positions repeat.

    Slices of different orientation are separate volumes, and so are those of different echoes. Where several slices
    share a position, the first attribute of `SEPARATORS` that distinguishes them splits the series.

    Raises:
        InputRefused: `POSITIONS_REPEAT` when no attribute distinguishes them.
    """
    stacks = []
    for aligned in _by_direction(planes):
        label = f"{_plane_name(aligned[0])} slices" if len(aligned) < len(planes) else ""
        stacks += [
            Stack(tuple(_ordered(part)), " ".join(filter(None, (label, *facts)))) for part, facts in _apart(aligned)
        ]
    return stacks


def affine_of(stack: Stack, name: str) -> Affine:
    """Returns the affine, (4, 4): index (column, row, slice) to RAS+ millimetres.

    The distance between slices is the slope of a line that is fitted through all positions.

    Args:
        stack: the slices of one volume.
        name: of the series, for messages.

    Raises:
        InputRefused: `MATRIX_VARIES`, `SPACING_VARIES`, `TOO_FEW_SLICES`, `SLICE_MISSING`, `SHEAR`.
    """
    planes = stack.planes
    _require_one_matrix(planes, name)
    if len(planes) < LEAST_SLICES:
        raise InputRefused(
            "TOO_FEW_SLICES", f"{name}: {len(planes)} slices are too few for a volume; it may be a localizer"
        )
    positions = np.array([plane.position_mm for plane in planes])
    normal = _normal(planes[0])
    along = positions @ normal
    _require_regular(along, name)
    steps = np.arange(len(planes)) - (len(planes) - 1) / 2
    step = steps @ (positions - positions.mean(axis=0)) / (steps @ steps)
    lateral = float(np.linalg.norm(step - (step @ normal) * normal) / np.linalg.norm(step))
    if lateral > SHEAR_REFUSED:
        degrees = np.degrees(np.arcsin(min(1.0, lateral)))
        raise InputRefused("SHEAR", f"{name}: the slices are sheared, as with a gantry tilted by {degrees:.1f} degrees")
    rows_mm, columns_mm = planes[0].spacing_mm
    affine = np.eye(4)
    affine[:3, 0] = np.array(planes[0].orientation[:3]) * columns_mm
    affine[:3, 1] = np.array(planes[0].orientation[3:]) * rows_mm
    affine[:3, 2] = step
    affine[:3, 3] = positions.mean(axis=0) + steps[0] * step
    return np.asarray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


def _by_direction(planes: Sequence[Plane]) -> list[list[Plane]]:
    groups: list[list[Plane]] = []
    for plane in planes:
        for group in groups:
            if np.abs(np.subtract(plane.orientation, group[0].orientation)).max() < SAME_DIRECTION:
                group.append(plane)
                break
        else:
            groups.append([plane])
    return groups


def _apart(planes: list[Plane], facts: tuple[str, ...] = ()) -> list[tuple[list[Plane], tuple[str, ...]]]:
    """Returns groups of one echo without repeated positions, each with the attributes that distinguish it."""
    if not _repeats(planes):
        return _by_echo(planes, facts)
    for keyword in SEPARATORS:
        values = sorted({plane.facts[keyword] for plane in planes}, key=_as_number)
        if len(values) < 2:
            continue
        groups = [[plane for plane in planes if plane.facts[keyword] == value] for value in values]
        if _separates(groups, planes):
            named = zip(groups, _shown(keyword, values), strict=True)
            return [part for group, value in named for part in _apart(group, (*facts, f"{keyword}={value}"))]
    raise InputRefused(
        "POSITIONS_REPEAT",
        f"several of {len(planes)} slices share a position, and no attribute distinguishes them; export each volume "
        "as a series of its own",
    )


def _by_echo(planes: list[Plane], facts: tuple[str, ...]) -> list[tuple[list[Plane], tuple[str, ...]]]:
    """Returns the slices of each echo; those of two echoes may alternate, so that no position repeats."""
    for keyword in ECHOES:
        values = sorted({plane.facts[keyword] for plane in planes}, key=_as_number)
        if "" in values:
            continue
        later = [
            k for k in range(1, len(values)) if _as_number(values[k])[0] - _as_number(values[k - 1])[0] > SAME_ECHO
        ]
        if later:
            echoes = [values[start:end] for start, end in pairwise([0, *later, len(values)])]
            groups = [[plane for plane in planes if plane.facts[keyword] in echo] for echo in echoes]
            shown = _shown(keyword, [echo[0] for echo in echoes])
            return [(group, (*facts, f"{keyword}={value}")) for group, value in zip(groups, shown, strict=True)]
    return [(planes, facts)]


def _shown(keyword: str, values: list[str]) -> list[str]:
    """Returns labels: numbers unchanged; text and times of day, which may identify a patient, as `#1`, `#2`, ..."""
    is_harmless = keyword != "AcquisitionTime"
    return [
        value if is_harmless and _as_number(value)[0] < float("inf") else f"#{k}" for k, value in enumerate(values, 1)
    ]


def _separates(groups: list[list[Plane]], planes: list[Plane]) -> bool:
    """Returns whether all groups have the same positions, as those of a true dimension do."""
    positions = _positions(planes)
    return all(_positions(group) == positions for group in groups)


def _positions(planes: list[Plane]) -> set[int]:
    normal = _normal(planes[0])
    return {round(float(np.dot(plane.position_mm, normal)) / SAME_POSITION_MM) for plane in planes}


def _repeats(planes: list[Plane]) -> bool:
    normal = _normal(planes[0])
    along = np.sort([float(np.dot(plane.position_mm, normal)) for plane in planes])
    return bool(len(along) > 1 and np.diff(along).min() < SAME_POSITION_MM)


def _ordered(planes: list[Plane]) -> list[Plane]:
    normal = _normal(planes[0])
    return sorted(planes, key=lambda plane: float(np.dot(plane.position_mm, normal)))


def _normal(plane: Plane) -> Affine:
    normal = np.cross(plane.orientation[:3], plane.orientation[3:])
    return np.asarray(normal / np.linalg.norm(normal))


def _require_one_matrix(planes: Sequence[Plane], name: str) -> None:
    shapes = sorted({plane.shape for plane in planes})
    if len(shapes) > 1:
        raise InputRefused(
            "MATRIX_VARIES",
            f"{name}: slices of {shapes[0]} and of {shapes[-1]} rows and columns; export them as different series",
        )
    spacings = np.array([plane.spacing_mm for plane in planes])
    if np.ptp(spacings, axis=0).max() > 1e-3 * spacings.min():  # above the rounding of headers; chosen by hand
        raise InputRefused("SPACING_VARIES", f"{name}: pixel spacings from {spacings.min():g} to {spacings.max():g} mm")


def _require_regular(along: Affine, name: str) -> None:
    # Missing slices: at most a quarter of the gaps, and each wide gap a multiple of the usual one. Chosen by hand.
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    wide = gaps > 1.5 * usual
    multiples = np.abs(gaps[wide] / usual - np.rint(gaps[wide] / usual)) < 2 * JITTER_REFUSED
    if wide.any() and multiples.all() and wide.sum() <= len(gaps) / 4:
        missing = int(np.rint(gaps[wide] / usual).sum() - wide.sum())
        at = int(np.flatnonzero(wide)[0])
        where = f"between {along[at]:.1f} and {along[at + 1]:.1f} mm along the stack"
        raise InputRefused(
            "SLICE_MISSING",
            f"{name}: {missing} of {len(along) + missing} slices are missing, {where}{EXPORT_AGAIN}",
        )
    steps = np.arange(len(along))
    slope, start = np.polyfit(steps, along, 1)
    jitter = float(np.abs(along - (start + slope * steps)).max() / slope)
    if jitter > JITTER_REFUSED:
        raise InputRefused("SPACING_VARIES", f"{name}: slice distances from {gaps.min():.3g} to {gaps.max():.3g} mm")
    if jitter > JITTER_WARNED:
        warn(
            "SPACING_JITTER",
            f"{name}: slices deviate from equal spacing by up to {100 * jitter:.1f} % of their distance",
        )


def _plane_name(plane: Plane) -> str:
    return ("sagittal", "coronal", "axial")[int(np.abs(_normal(plane)).argmax())]


def _as_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return float("inf"), text
