"""Registers CT and T2w of a lumbar spine, and takes the two slices through each disc.

There is no brain mask here. Registration is rigid and by mutual information, within the mask that is given, else around
the labels, else around the bone of the CT.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from voxlate.errors import InputRefused
from voxlate.preparation.masks.components import largest_component
from voxlate.preparation.masks.ct_mask import AIR_OUTSIDE_HU, BONE_HU
from voxlate.preparation.registration.alignment import PAIR_EDGES, alignment_score
from voxlate.preparation.registration.registration import Registration, register
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.spine.labels import SpineLabels, find_discs
from voxlate.preparation.spine.planes import (
    Plane,
    disc_grid,
    disc_plane,
    disc_slice,
    lumbar_crop,
    paired_slice,
    slice_plane,
)
from voxlate.preparation.steps.grid import resized
from voxlate.preparation.steps.orientation import ToRas
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Affine, Grid, Mask, Volume

_SAC_BEHIND_DISC_MM = 9.0
"""Centre of the thecal sac behind the dorsal edge of a disc where no canal is labelled: half the sagittal diameter of
the lumbar canal, 15 to 20 mm."""

_CANAL_REACH_MM = 4.0  # canal within this distance of the slice, the usual slice thickness, counts; chosen by hand
_MIDLINE_MM = 6.0  # half width of the strip in which the dorsal edge of the disc is looked for; chosen by hand
_LEAST_OVERLAP = 0.02
"""Least share of the spine of the CT that the T2w covers: axial stacks show single discs only. Chosen by hand."""

_LEAST_COVERED = 0.98  # share of the pixels of a slice that each scan must cover; chosen by hand


class SpineSettings(BaseModel):
    """Settings of the slices of a cohort.

    Attributes:
        labels: values of the label maps.
        slices: `parallel` cuts both scans through the middle of the disc, parallel to its endplates. `acquired` takes
            the T2w slice that was acquired nearest to it, as Lee et al. did. It refuses a disc against which the T2w
            slices are tilted by more than 10 degrees, or when those of CT and T2w differ by more than 5 degrees.
        is_registered: register T2w to CT; otherwise they are aligned already.
        size: pixels of a slice along each axis.
        least_discs: a patient with fewer discs is refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: SpineLabels
    slices: Literal["parallel", "acquired"] = "parallel"
    is_registered: bool = True
    size: int = Field(default=256, ge=32)
    least_discs: int = Field(default=1, ge=1)


@dataclass(frozen=True)
class DiscPair:
    """The two slices through one disc, (size, size, 1) on one grid, axes right and anterior.

    Attributes:
        source: CT, in HU.
        target: T2w, values as stored.
        tilt_deg: angle between the slice and the middle plane of the disc.
    """

    source: Volume = field(repr=False)
    target: Volume = field(repr=False)
    tilt_deg: float


@dataclass(frozen=True)
class SpinePair:
    """The slices of one patient.

    Attributes:
        registration: RAS+ millimetres of the CT to those of the T2w, and its score.
        discs: slices by the name of the disc, from inferior to superior.
        refused: code and message of discs without slices, by name.
    """

    registration: Registration
    discs: dict[str, DiscPair]
    refused: dict[str, tuple[str, str]]


def prepare_spine(
    source: Volume, target: Volume, labels: Volume, settings: SpineSettings, *, mask: Mask | None = None
) -> SpinePair:
    """Registers a pair and takes the slices through its discs.

    Args:
        source: CT in HU, (i, j, k).
        target: T2w of the same patient, on its own grid.
        labels: label map on the grid of the source or of the target.
        settings: see `SpineSettings`.
        mask: of the spine, on the grid of the source, (i, j, k); registration is limited to it and 8 mm around it.

    Raises:
        InputRefused: `GRID_MISMATCH` for labels on neither grid, `NO_DISC_LABELS`, `NO_SPINE`, `MISREGISTERED`,
            `TOO_FEW_DISCS` with the reason for each disc.
        MissingLibrary: `MISSING_LIBRARY`.
    """
    is_on_target = _is_on_target(source, target, labels)
    masks = find_discs(labels, settings.labels)
    found = _registered(source, target, labels, mask, settings, is_on_target=is_on_target)
    placed = found.transform.inverse.carry(labels) if is_on_target else labels
    discs: dict[str, DiscPair] = {}
    refused: dict[str, tuple[str, str]] = {}
    for name, disc in masks.items():
        try:
            discs[name] = disc_pair(source, target, found.transform, (placed, disc), settings)
        except InputRefused as error:
            refused[name] = (error.code, error.message)
    if len(discs) < settings.least_discs:
        reasons = "; ".join(f"{name}: {code} {message}" for name, (code, message) in refused.items())
        raise InputRefused(
            "TOO_FEW_DISCS",
            f"{len(discs)} discs have slices, {settings.least_discs} are needed; {reasons or 'no others'}",
        )
    return SpinePair(found, discs, refused)


def disc_pair(
    source: Volume, target: Volume, transform: Transform, disc: tuple[Volume, Mask], settings: SpineSettings
) -> DiscPair:
    """Returns the two slices through a disc, cropped as Lee et al. did and resampled to `settings.size` pixels.

    The scans are averaged over the thickness of the T2w slices.

    Args:
        source: CT in HU, (i, j, k).
        target: T2w.
        transform: RAS+ millimetres of the source to those of the target.
        disc: label map at its place in the source's millimetres, and the mask of the disc on its grid.
        settings: see `SpineSettings`.

    Raises:
        InputRefused: `EMPTY_MASK`, `DISC_SHAPE`, `SLICE_TILTED`, `SLICE_ABSENT`, `LANDMARKS`, `SLICE_CUT` when the
            slice exceeds one of the scans.
    """
    labels, mask = disc
    middle = disc_plane(labels, mask)
    plane = middle if settings.slices == "parallel" else _acquired(source, target, transform, middle)
    wide = disc_grid(plane)
    ventral, sac = _landmarks(labels, mask, plane, wide, settings.labels)
    across, along = lumbar_crop(wide, ventral_mm=ventral, sac_mm=sac)
    box = wide.part((across.start, along.start, 0), (across.stop - across.start, along.stop - along.start, 1))
    thickness_mm = ToRas(target.grid).grid.spacing_mm[2]
    grid = _thick(resized(box, (settings.size, settings.size, 1)), thickness_mm)
    return DiscPair(
        _covered("CT", resample(source, grid, outside=np.nan), outside=AIR_OUTSIDE_HU),
        _covered("T2w", resample(target, grid, transform, outside=np.nan), outside=0.0),
        plane.angle_deg(middle),
    )


def _covered(name: str, section: Volume, *, outside: float) -> Volume:
    """Returns a slice with a value in place of NaN, which marks what the scan does not cover, if it covers enough."""
    is_outside = np.isnan(section.data)
    seen = 1 - float(is_outside.mean())
    if seen < _LEAST_COVERED:
        raise InputRefused("SLICE_CUT", f"the {name} covers only {seen:.0%} of the slice")
    return section.with_data(np.where(is_outside, outside, section.data))


def _is_on_target(source: Volume, target: Volume, labels: Volume) -> bool:
    """Returns whether the labels lie on the grid of the target and not on that of the source."""
    if labels.grid.matches(source.grid):
        return False
    if labels.grid.matches(target.grid):
        return True
    raise InputRefused(
        "GRID_MISMATCH",
        "the label map lies on the grid of neither the CT nor the T2w; resample it to one of them",
    )


def _registered(
    source: Volume, target: Volume, labels: Volume, mask: Mask | None, settings: SpineSettings, *, is_on_target: bool
) -> Registration:
    labelled = labels.data > 0
    inside = _spine_of_ct(source) if mask is None and is_on_target else labelled if mask is None else mask
    transform = Transform.identity()
    if settings.is_registered:
        moving = labelled if is_on_target else _carried(source, inside, target)
        transform = register(source, target, degrees=6, fixed_mask=inside, moving_mask=moving).transform
    score = alignment_score(source, target, transform, fixed_mask=inside)
    if score.edge_agreement < PAIR_EDGES[1] or score.coverage < _LEAST_OVERLAP:
        raise InputRefused(
            "MISREGISTERED",
            f"CT and T2w do not fit: the edge agreement in the spine is {score.edge_agreement:.2f}, at least "
            f"{PAIR_EDGES[1]:.2f} is expected, and the T2w covers {score.coverage:.0%} of it; is it one patient?",
        )
    return Registration(transform, score)


def _spine_of_ct(source: Volume) -> Mask:
    bone = source.data > BONE_HU
    if not bone.any():
        raise InputRefused("NO_SPINE", f"no voxel of the CT is above {BONE_HU:g} HU; give a mask of the spine")
    return largest_component(bone)


def _carried(source: Volume, inside: Mask, target: Volume) -> Mask:
    """Returns the mask on the grid of the target by the headers alone, or all of the target where they do not meet."""
    moved: Mask = resample(source.with_data(inside), target.grid, interpolation="nearest").data > 0.5
    return moved if moved.any() else np.ones_like(moved)


def _acquired(source: Volume, target: Volume, transform: Transform, middle: Plane) -> Plane:
    """Returns the plane of the acquired T2w slice nearest to a disc, at the disc, in millimetres of the source."""
    upright = ToRas(target.grid).apply(target)
    index = disc_slice(upright, middle.moved(transform))
    paired_slice(upright.grid, index, ToRas(source.grid).grid, transform.inverse)  # refuses tilted or absent slices
    section = slice_plane(upright.grid, index).moved(transform.inverse)
    return Plane(middle.centre_mm - section.height_mm(middle.centre_mm) * section.normal, section.normal)


def _landmarks(labels: Volume, mask: Mask, plane: Plane, grid: Grid, values: SpineLabels) -> tuple[Affine, Affine]:
    """Returns the most ventral point of the disc, taken for that of the body, and the centre of the sac, each (3,)."""
    right, anterior = (grid.affine[:3, axis] / np.linalg.norm(grid.affine[:3, axis]) for axis in (0, 1))
    points = labels.grid.to_mm(np.argwhere(mask)) - plane.centre_mm
    forward = points @ anterior
    ventral = plane.centre_mm + forward.max() * anterior
    canal = labels.grid.to_mm(np.argwhere(np.isin(labels.data, values.canal))) - plane.centre_mm
    near = canal[np.abs(canal @ plane.normal) < _CANAL_REACH_MM] if len(canal) else canal
    if len(near):
        return ventral, plane.centre_mm + near.mean(axis=0)
    dorsal = forward[np.abs(points @ right) < _MIDLINE_MM].min()
    return ventral, plane.centre_mm + (dorsal - _SAC_BEHIND_DISC_MM) * anterior


def _thick(grid: Grid, thickness_mm: float) -> Grid:
    affine = grid.affine.copy()
    affine[:3, 2] *= thickness_mm / np.linalg.norm(affine[:3, 2])
    return Grid(grid.shape, affine)
