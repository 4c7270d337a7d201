"""Rows and columns of a montage: which images it shows, and the units of their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from voxlate.errors import InputRefused, NoInput
from voxlate.io.documents import read_json
from voxlate.io.nifti import sidecar_path
from voxlate.reference_level import reference_level
from voxlate.reporting.figures.images import Image, in_ras, mask_or_filled
from voxlate.reporting.figures.slices import PLANES

Role = Literal["source", "target", "synthetic", "step"]
Window = tuple[float, float]

PLANE_OF = {plane.name: plane for plane in PLANES}


@dataclass(frozen=True)
class Column:
    """A column of a montage.

    Attributes:
        name: key of the images of a row, and the title.
        role: real input, real target, the image that a system made, or a step of a preparation.
        window: lowest and highest value shown, such as (-200, 300) HU. By default that of the target for target and
            synthetic images, and the image's own for sources and steps.
    """

    name: str
    role: Role = "synthetic"
    window: Window | None = None


@dataclass(frozen=True)
class Row:
    """The images of one case.

    Attributes:
        case: pseudonym, the label of the row.
        images: file or volume by name of the column; a missing one leaves an empty place.
        mask: of the brain or body; without it, the voxels of the target that are not 0.
        labels: label map whose labels above 0 are drawn as a contour.
        levels: divisor by name of the column, see `with_reference_levels`; 1 where none is given.
        at_mm: RAS+ coordinate of the slice along the normal, by name of the plane. By default each plane passes through
            the slice with most labels, else with most of the mask.
        reasons: why an image is missing, by name of the column, such as `diverged`.
        windows: lowest and highest value shown, by name of the column, in place of the column's own window.
        set: test set of the case, such as `Test_good`; it stands before the name.
    """

    case: str
    images: Mapping[str, Image]
    mask: Image | None = None
    labels: Image | None = None
    levels: Mapping[str, float] = field(default_factory=dict, hash=False)
    at_mm: Mapping[str, float] = field(default_factory=dict, hash=False)
    reasons: Mapping[str, str] = field(default_factory=dict, hash=False)
    windows: Mapping[str, Window] = field(default_factory=dict, hash=False)
    set: str = ""


def target_of(columns: Sequence[Column]) -> str:
    """Returns the name of the target's column, or an empty text without one.

    Raises:
        InputRefused: `COLUMNS` for two targets or for two columns of one name.
    """
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        raise InputRefused("COLUMNS", f"columns must differ in name, these are {', '.join(names)}")
    targets = [column.name for column in columns if column.role == "target"]
    if len(targets) > 1:
        raise InputRefused("COLUMNS", f"a montage has one target, not {len(targets)}: {', '.join(targets)}")
    return targets[0] if targets else ""


def with_reference_levels(row: Row, columns: Sequence[Column]) -> Row:
    """Returns a row whose images are shown in relative units, as `evaluate` compares them.

    The target is divided by its median in the mask. A synthetic image is divided by the `ReferenceLevel` that its
    sidecar states, or else, without a sidecar, by the level of the target. Sources have windows of their own and
    stay as they are; a CT may have a median below 0.

    Raises:
        InputRefused: as `reference_level`; `SIDECAR` for a sidecar that cannot be read or states no level.
        VoxlateError: an image cannot be read.
    """
    target = target_of(columns)
    if target not in row.images:
        raise NoInput("NO_INPUT", f"{row.case} has no target; relative units need it")
    reference = in_ras(row.images[target])
    mask = mask_or_filled(row.mask, reference)
    levels = {target: reference_level(reference.data, mask & (reference.data != 0))}
    for column in columns:
        image = row.images.get(column.name)
        if column.role == "synthetic" and image is not None:
            levels[column.name] = _stated_level(image) or levels[target]
    return replace(row, levels=levels)


def _stated_level(image: Image) -> float | None:
    if not isinstance(image, Path) or not sidecar_path(image).is_file():
        return None
    try:
        level = read_json(sidecar_path(image))["Synthetic"]["ReferenceLevel"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputRefused(
            "SIDECAR", f"{sidecar_path(image).name} states no ReferenceLevel; translate it again"
        ) from error
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < np.inf:
        raise InputRefused("SIDECAR", f"{sidecar_path(image).name}: ReferenceLevel {level!r} must be above 0")
    return float(level)
