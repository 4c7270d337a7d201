"""Finds the rigid or affine transform between two scans of a head with Greedy, and scores it with `alignment`.

The search starts from the headers and from the centres of the two brains, and keeps the better result. Headers of one
session usually agree, those of two sessions often do not, and equal headers prove nothing: one real pair with equal
headers was misaligned by 8.5 mm.
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
"""Margin around the brain: it holds the border of the brain but little of the jaw; chosen by hand."""

_RIM_MM = 25.0
"""Zeros around the moving scan, so that a start far from the optimum still covers the fixed brain; chosen by hand."""

_WORKING_MM = 1.0
"""Finest voxel size of the registration; the search works at twice this size."""

_COARSE_MM = 4.0  # voxel size at which starts are compared; chosen by hand
_COARSE, _SCHEDULE, _CAREFUL = "80x0x0", "80x40x15", "20x15"
"""Iterations per level, at 1/4, 1/2 and 1 of the working resolution; the last schedule starts at 1/2. Chosen by hand.

Greedy crashes if the first level has no iterations.
"""


@dataclass(frozen=True)
class Registration:
    """A transform and its score."""

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
    """Registers `moving` to `fixed`; returns the transform and its score.

    Args:
        fixed: the fixed scan, (i, j, k).
        moving: the moving scan, of any contrast and orientation, on its own grid.
        degrees: degrees of freedom: 6 for a rigid transform (one patient), 12 for an affine one (to a template).
        fixed_mask: brain on the grid of `fixed`; voxels farther than 8 mm from it are ignored.
        moving_mask: brain on the grid of `moving`.
        to_average: `fixed` is an average of many heads, so a lower edge agreement is expected.
        working_mm: finest voxel size; larger is faster and less accurate.

    Returns:
        The transform takes RAS+ millimetres of `fixed` to those of `moving`.

    Raises:
        InputRefused: `EMPTY_MASK`.
        MissingLibrary: `MISSING_LIBRARY`.
    """

    def problem(spacing_mm: float) -> Problem:
        return _problem((fixed, fixed_mask), (moving, moving_mask), spacing_mm, degrees)

    best = _search(problem(2 * working_mm), _starts(fixed, moving, fixed_mask, moving_mask))
    best = _refined(problem(working_mm), best)
    score = alignment_score(fixed, moving, best, fixed_mask=fixed_mask, moving_mask=moving_mask, to_average=to_average)
    return Registration(best, score)


def refine_affine(
    fixed: Volume, moving: Volume, rigid: Registration, *, fixed_mask: Mask, moving_mask: Mask
) -> Registration:
    """Returns an affine registration that begins with a rigid one, or the rigid one if its edges agree better.

    Between CT and MR, mutual information alone let an affine search shrink a head by a third; edges do not.

    Args:
        fixed: as in `register`, as all other arguments.
        moving: likewise.
        rigid: result of `register` with 6 degrees of freedom.
        fixed_mask: likewise.
        moving_mask: likewise.
    """
    problem = _problem((fixed, fixed_mask), (moving, moving_mask), _WORKING_MM, 12)
    transform = _refined(problem, rigid.transform)
    score = alignment_score(fixed, moving, transform, fixed_mask=fixed_mask, moving_mask=moving_mask)
    return Registration(transform, score) if score.edge_agreement >= rigid.score.edge_agreement else rigid


def _search(problem: Problem, starts: Sequence[Transform]) -> Transform:
    """Returns the best transform that the optimiser finds, never a worse one than its start."""
    agreement = _agreement(problem, _COARSE_MM)
    if len(starts) > 1:
        starts = [*starts, *(_improved(problem, start, _COARSE) for start in starts)]
    start = max(starts, key=agreement)
    improved = _improved(problem, start, _SCHEDULE)
    if improved is not start and agreement(improved) >= agreement(start):
        return improved
    return max([start, _improved(problem, start, _CAREFUL)], key=agreement)


def _refined(problem: Problem, start: Transform) -> Transform:
    """Returns the transform refined at the fine voxel size, or the start if its mutual information there is higher.

    The comparison is at the fine size, because at 4 mm the optimum was up to half a millimetre off.
    """
    refined = _improved(problem, start, _CAREFUL)
    finest = _agreement(problem, 0.0)
    return refined if finest(refined) >= finest(start) else start


def centre_mm(volume: Volume, mask: Mask) -> Affine:
    """Returns the centre of a mask, (3,), in RAS+ millimetres.

    Args:
        volume: the scan; only its affine is used.
        mask: (i, j, k), on the grid of the scan.

    Raises:
        InputRefused: `EMPTY_MASK`.
    """
    if not mask.any():
        raise InputRefused("EMPTY_MASK", "the mask is empty; give the mask of this scan")
    return volume.grid.to_mm([float(middle) for middle in ndimage.center_of_mass(mask)])


def _starts(fixed: Volume, moving: Volume, fixed_mask: Mask, moving_mask: Mask) -> list[Transform]:
    shift = np.eye(4)
    shift[:3, 3] = centre_mm(moving, moving_mask) - centre_mm(fixed, fixed_mask)
    identity = Transform.identity()
    apart_mm = float(np.linalg.norm(shift[:3, 3]))
    if apart_mm < 2:  # this limit and the 60 mm below are chosen by hand
        return [identity]
    return [identity, Transform(shift)] if apart_mm < 60 else [Transform(shift)]


def _problem(fixed: tuple[Volume, Mask], moving: tuple[Volume, Mask], spacing_mm: float, degrees: Degrees) -> Problem:
    """Returns both scans on cubic voxels around their brains, padded with zeros.

    Cubic voxels and zero padding keep the optimiser stable: with 5 mm slices, or with samples outside the image, it
    drifted to transforms with hardly any overlap.
    """
    spacing_mm = max(spacing_mm, min(fixed[0].spacing_mm))
    grid = _cubic_about(*fixed, rim_mm=_REACH_MM + spacing_mm, spacing_mm=spacing_mm)
    inside = resample(fixed[0].with_data(fixed[1]), grid, interpolation="nearest").data > 0.5
    near = ndimage.distance_transform_edt(~inside, sampling=grid.spacing_mm) <= _REACH_MM
    around = _cubic_about(*moving, rim_mm=_RIM_MM, spacing_mm=spacing_mm)
    return Problem(resample(fixed[0], grid), near, resample(moving[0], around), degrees)


def _cubic_about(volume: Volume, mask: Mask, *, rim_mm: float, spacing_mm: float) -> Grid:
    """Returns a grid of nearly cubic voxels, along the axes of a scan, that covers a mask and a rim around it.

    The first voxel is one of the scan, and axes whose spacing is within a quarter of `spacing_mm` keep their spacing:
    interpolation at the final size moved the result by half a millimetre.
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
    """Returns the transform that the optimiser finds from `start`; `start` itself if the optimiser fails."""
    try:
        return run_greedy(problem, start, schedule)
    except GreedyFailed:
        return start


def _agreement(problem: Problem, spacing_mm: float) -> Callable[[Transform], float]:
    """Returns a function: transform to normalised mutual information, at voxels no finer than `spacing_mm`."""
    grid = coarser(problem.fixed.grid, spacing_mm)
    inside = resample(problem.fixed.with_data(problem.reach), grid, interpolation="nearest").data > 0.5
    fixed = resample(problem.fixed, grid).data[inside]
    return lambda transform: normalised_mutual_information(
        fixed, resample(problem.moving, grid, transform).data[inside]
    )
