"""The rigid or affine transform between two scans of a head, found with Greedy and judged by `alignment`.

The search starts from the headers and from the centres of the two brains, whichever leads to the better place: headers
of one session are usually close, those of two sessions often are not, and identical headers prove nothing (a
real pair with equal headers lay 8.5 mm apart).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.preparation.registration.alignment import AlignmentScore, alignment_score, normalised_mutual_information
from voxlate.preparation.registration.greedy import GreedyFailed, Problem, run_greedy
from voxlate.preparation.registration.transform import Transform
from voxlate.preparation.steps.crop import Crop
from voxlate.preparation.steps.grid import coarser
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Affine, Grid, Mask, Volume

Degrees = Literal[6, 12]

_REACH_MM = 8.0
"""What is kept around the brain: enough to see its border, too little for the jaw to matter."""

_RIM_MM = 25.0
"""Zeros around the moving scan, so that a start that is far off still has all of the fixed brain to compare."""

_WORKING_MM = 1.0
"""Finer scans are registered at this voxel size in the end; the search goes on at twice it."""

_COARSE_MM = 4.0
_COARSE, _SCHEDULE, _CAREFUL = "80x0x0", "80x40x15", "20x15"
"""Iterations at a quarter, a half and all of the working resolution; the last starts at a half.

Greedy crashes when the first level has none.
"""


@dataclass(frozen=True)
class Registration:
    """A transform and how good it is."""

    transform: Transform
    score: AlignmentScore


def register(
    fixed: Volume,
    moving: Volume,
    *,
    degrees: Degrees = 6,
    fixed_mask: Mask,
    moving_mask: Mask,
    to_average: bool = False,
    working_mm: float = _WORKING_MM,
) -> Registration:
    """Returns the transform that brings `moving` onto `fixed`, and its score.

    Args:
        fixed: the scan that stays.
        moving: the scan that is moved; any contrast, any orientation.
        degrees: 6 for a rigid transform (one patient), 12 for an affine one (to a template).
        fixed_mask: the brain on `fixed`; what lies beyond 8 mm of it is not looked at.
        moving_mask: the brain on `moving`.
        to_average: `fixed` is an average of many heads, whose edges need not be those of `moving`.
        working_mm: least voxel size to work at; larger is quicker and less exact.

    Raises:
        InputRefused: `EMPTY_MASK`.
        UsageError: `MISSING_LIBRARY`.
    """

    def problem(spacing_mm: float) -> Problem:
        return _problem((fixed, fixed_mask), (moving, moving_mask), spacing_mm, degrees)

    best = _search(problem(2 * working_mm), _starts(fixed, moving, fixed_mask, moving_mask))
    best = _refined(problem(working_mm), best)
    score = alignment_score(fixed, moving, best, fixed_mask=fixed_mask, moving_mask=moving_mask, to_average=to_average)
    return Registration(best, score)


def _search(problem: Problem, starts: Sequence[Transform]) -> Transform:
    """Returns the best of what the optimiser finds, and never a worse place than it started from."""
    agreement = _agreement(problem, _COARSE_MM)
    if len(starts) > 1:
        starts = [*starts, *(_improved(problem, start, _COARSE) for start in starts)]
    start = max(starts, key=agreement)
    found = _improved(problem, start, _SCHEDULE)
    if found is not start and agreement(found) >= agreement(start):
        return found
    return max([start, _improved(problem, start, _CAREFUL)], key=agreement)


def _refined(problem: Problem, start: Transform) -> Transform:
    """Returns a transform found at the finer size, unless both scans then tell less of each other at that size.

    Judged at 4 mm the start would look better: coarse voxels were seen to be half a millimetre off.
    """
    found = _improved(problem, start, _CAREFUL)
    finest = _agreement(problem, 0.0)
    return found if finest(found) >= finest(start) else start


def centre_mm(volume: Volume, mask: Mask) -> Affine:
    """Returns the centre of a mask in RAS+ millimetres."""
    if not mask.any():
        raise InputRefused("EMPTY_MASK", "the mask has no voxel; give the mask of this scan")
    return volume.grid.to_mm([float(middle) for middle in ndimage.center_of_mass(mask)])


def _starts(fixed: Volume, moving: Volume, fixed_mask: Mask, moving_mask: Mask) -> list[Transform]:
    shift = np.eye(4)
    shift[:3, 3] = centre_mm(moving, moving_mask) - centre_mm(fixed, fixed_mask)
    still = Transform.identity()
    apart_mm = float(np.linalg.norm(shift[:3, 3]))
    if apart_mm < 2:
        return [still]
    return [still, Transform(shift)] if apart_mm < 60 else [Transform(shift)]


def _problem(fixed: tuple[Volume, Mask], moving: tuple[Volume, Mask], spacing_mm: float, degrees: Degrees) -> Problem:
    """Returns both scans on cubic voxels about their brains, zeros where there is none.

    Cubic voxels and a rim of zeros keep the optimiser stable: with slices of 5 mm, or with a border that samples can
    leave, it was seen to wander off to where hardly anything overlaps.
    """
    spacing_mm = max(spacing_mm, min(fixed[0].spacing_mm))
    grid = _cubic_about(*fixed, rim_mm=_REACH_MM + spacing_mm, spacing_mm=spacing_mm)
    inside = resample(fixed[0].with_data(fixed[1]), grid, interpolation="nearest").data > 0.5
    near = ndimage.distance_transform_edt(~inside, sampling=grid.spacing_mm) <= _REACH_MM
    around = _cubic_about(*moving, rim_mm=_RIM_MM, spacing_mm=spacing_mm)
    return Problem(resample(fixed[0], grid), near, resample(moving[0], around), degrees)


def _cubic_about(volume: Volume, mask: Mask, *, rim_mm: float, spacing_mm: float) -> Grid:
    """Returns a grid of nearly cubic voxels along the axes of a scan that holds a mask and a rim around it.

    It starts at a voxel, and axes whose spacing is within a quarter of the one wanted keep theirs: interpolating at
    the final size was seen to move the answer by half a millimetre.
    """
    crop = Crop.around(mask, volume.grid, margin_mm=0)
    starts, factors, shape = [], [], []
    for start, stop, mm in zip(crop.start, crop.stop, volume.spacing_mm, strict=True):
        factor = 1.0 if 0.8 <= spacing_mm / mm <= 1.25 else spacing_mm / mm
        rim = int(np.ceil(rim_mm / mm))
        starts.append(start - rim)
        factors.append(factor)
        shape.append(int(np.ceil((stop - start + 2 * rim) / factor)))
    size = shape[0], shape[1], shape[2]
    affine = volume.grid.part(starts, size).affine.copy()
    affine[:3, :3] = affine[:3, :3] * np.array(factors)
    return Grid(size, affine)


def _improved(problem: Problem, start: Transform, schedule: str) -> Transform:
    """Returns what the optimiser finds from `start`; `start` itself when it gives nothing."""
    try:
        return run_greedy(problem, start, schedule)
    except GreedyFailed:
        return start


def _agreement(problem: Problem, spacing_mm: float) -> Callable[[Transform], float]:
    """Returns what tells the mutual information of a transform, at voxels no finer than `spacing_mm`."""
    grid = coarser(problem.fixed.grid, spacing_mm)
    inside = resample(problem.fixed.with_data(problem.reach), grid, interpolation="nearest").data > 0.5
    fixed = resample(problem.fixed, grid).data[inside]
    return lambda transform: normalised_mutual_information(
        fixed, resample(problem.moving, grid, transform).data[inside]
    )
