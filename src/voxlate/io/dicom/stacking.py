"""Pictures ordered into volumes: which belong together, in which order, and how far apart they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxlate.errors import InputRefused
from voxlate.io.dicom.planes import SEPARATORS, Plane
from voxlate.io.log import warn
from voxlate.volume import Affine

LEAST_SLICES = 4
SAME_DIRECTION = 2e-3
SAME_PLACE_MM = 1e-2
JITTER_TOLD, JITTER_REFUSED = 0.01, 0.05
"""Of the distance between slices: told from here, refused from there."""

SHEAR_REFUSED = 0.01


@dataclass(frozen=True)
class Stack:
    """The pictures of one volume in order along the normal of their plane, and what tells them from others."""

    planes: tuple[Plane, ...]
    label: str


def stacks_of(planes: Sequence[Plane]) -> list[Stack]:
    """Returns the volumes of a series: one, unless directions differ or places repeat.

    Pictures of different directions are volumes of their own. Where several lie at one place, the first fact of
    `SEPARATORS` that tells them apart does.

    Raises:
        InputRefused: `POSITIONS_REPEAT` when none does.
    """
    stacks = []
    for aligned in _by_direction(planes):
        label = f"{_plane_name(aligned[0])} slices" if len(aligned) < len(planes) else ""
        stacks += [
            Stack(tuple(_ordered(part)), " ".join(filter(None, (label, *facts)))) for part, facts in _apart(aligned)
        ]
    return stacks


def affine_of(stack: Stack, name: str) -> Affine:
    """Returns the affine of a volume whose axes are columns, rows and slices, to RAS+ millimetres.

    The distance between slices is the slope of a line through all of them.

    Raises:
        InputRefused: `MATRIX_VARIES`, `SPACING_VARIES`, `TOO_FEW_SLICES`, `SLICE_MISSING`, `SHEAR`.
    """
    planes = stack.planes
    _require_one_matrix(planes, name)
    if len(planes) < LEAST_SLICES:
        raise InputRefused("TOO_FEW_SLICES", f"{name}: {len(planes)} slices are no volume; it may be a localizer")
    places = np.array([plane.position_mm for plane in planes])
    normal = _normal(planes[0])
    along = places @ normal
    _require_regular(along, name)
    steps = np.arange(len(planes)) - (len(planes) - 1) / 2
    step = steps @ (places - places.mean(axis=0)) / (steps @ steps)
    lateral = float(np.linalg.norm(step - (step @ normal) * normal) / np.linalg.norm(step))
    if lateral > SHEAR_REFUSED:
        degrees = np.degrees(np.arcsin(min(1.0, lateral)))
        raise InputRefused(
            "SHEAR", f"{name}: slices shifted against each other, a gantry tilted by {degrees:.1f} degrees"
        )
    rows_mm, columns_mm = planes[0].spacing_mm
    affine = np.eye(4)
    affine[:3, 0] = np.array(planes[0].orientation[:3]) * columns_mm
    affine[:3, 1] = np.array(planes[0].orientation[3:]) * rows_mm
    affine[:3, 2] = step
    affine[:3, 3] = places.mean(axis=0) + steps[0] * step
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
    """Returns groups in which no place is taken twice, each with what tells it from the others."""
    if not _repeats(planes):
        return [(planes, facts)]
    for keyword in SEPARATORS:
        values = sorted({plane.facts[keyword] for plane in planes}, key=_as_number)
        if len(values) < 2:
            continue
        groups = [[plane for plane in planes if plane.facts[keyword] == value] for value in values]
        if _separates(groups, planes):
            named = zip(groups, _shown(keyword, values), strict=True)
            return [found for group, value in named for found in _apart(group, (*facts, f"{keyword}={value}"))]
    raise InputRefused("POSITIONS_REPEAT", f"{len(planes)} slices, several at one place, and nothing tells them apart")


def _shown(keyword: str, values: list[str]) -> list[str]:
    """Returns numbers as they are, and for text and times of day, which may tell of a patient, which of them it is."""
    is_harmless = keyword != "AcquisitionTime"
    return [
        value if is_harmless and _as_number(value)[0] < float("inf") else f"#{k}" for k, value in enumerate(values, 1)
    ]


def _separates(groups: list[list[Plane]], planes: list[Plane]) -> bool:
    """Tells whether no group has a place that another lacks: a true dimension runs over the whole volume."""
    everywhere = _places(planes)
    return all(_places(group) == everywhere for group in groups)


def _places(planes: list[Plane]) -> set[int]:
    normal = _normal(planes[0])
    return {round(float(np.dot(plane.position_mm, normal)) / SAME_PLACE_MM) for plane in planes}


def _repeats(planes: list[Plane]) -> bool:
    normal = _normal(planes[0])
    along = np.sort([float(np.dot(plane.position_mm, normal)) for plane in planes])
    return bool(len(along) > 1 and np.diff(along).min() < SAME_PLACE_MM)


def _ordered(planes: list[Plane]) -> list[Plane]:
    normal = _normal(planes[0])
    return sorted(planes, key=lambda plane: float(np.dot(plane.position_mm, normal)))


def _normal(plane: Plane) -> Affine:
    normal = np.cross(plane.orientation[:3], plane.orientation[3:])
    return np.asarray(normal / np.linalg.norm(normal))


def _require_one_matrix(planes: Sequence[Plane], name: str) -> None:
    shapes = sorted({plane.shape for plane in planes})
    if len(shapes) > 1:
        raise InputRefused("MATRIX_VARIES", f"{name}: pictures of {shapes[0]} and of {shapes[-1]} rows and columns")
    spacings = np.array([plane.spacing_mm for plane in planes])
    if np.ptp(spacings, axis=0).max() > 1e-3 * spacings.min():
        raise InputRefused("SPACING_VARIES", f"{name}: pixels of {spacings.min():g} to {spacings.max():g} mm")


def _require_regular(along: Affine, name: str) -> None:
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    wide = gaps > 1.5 * usual
    multiples = np.abs(gaps[wide] / usual - np.rint(gaps[wide] / usual)) < 2 * JITTER_REFUSED
    if wide.any() and multiples.all() and wide.sum() <= len(gaps) / 4:
        missing = int(np.rint(gaps[wide] / usual).sum() - wide.sum())
        at = int(np.flatnonzero(wide)[0])
        where = f"between {along[at]:.1f} and {along[at + 1]:.1f} mm along the stack"
        raise InputRefused("SLICE_MISSING", f"{name}: {missing} of {len(along) + missing} slices are missing, {where}")
    steps = np.arange(len(along))
    slope, start = np.polyfit(steps, along, 1)
    jitter = float(np.abs(along - (start + slope * steps)).max() / slope)
    if jitter > JITTER_REFUSED:
        raise InputRefused("SPACING_VARIES", f"{name}: gaps of {gaps.min():.3g} to {gaps.max():.3g} mm between slices")
    if jitter > JITTER_TOLD:
        warn("SPACING_JITTER", f"{name}: slices lie up to {100 * jitter:.1f} % of their distance from their place")


def _plane_name(plane: Plane) -> str:
    return ("sagittal", "coronal", "axial")[int(np.abs(_normal(plane)).argmax())]


def _as_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return float("inf"), text
