"""Estimates and corrects the bias field, the slow change of brightness across a scan that the coils cause, with N4.

N4 (Tustison et al., IEEE TMI 2010;29:1310) is that of SimpleITK, at reduced resolution and with the convergence
threshold of ANTs; SimpleITK's own default stops too early and leaves most of a strong field.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np

from voxlate.errors import InputRefused
from voxlate.preparation.libraries import library
from voxlate.preparation.sitk import from_image, to_image
from voxlate.preparation.steps.grid import coarser
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Array, Grid, Mask, Volume

_WORKING_MM = 4.0  # far finer than the control points; chosen by hand
_ITERATIONS = (30, 30, 30)  # upper limit for each of the three levels; chosen by hand; not tuned
_THRESHOLD = 1e-5  # that of ANTs; see above
_THREADS = 1
"""N4 divides the image among its threads, and its result depends on their number: the logarithm of a field of one scan
differed by up to 0.0002 between one thread and two. With one, all machines agree; it takes five seconds a scan."""


@dataclass(frozen=True)
class Bias:
    """A bias field: positive, with geometric mean 1 inside the mask in which it was fitted.

    Attributes:
        values: (i, j, k), factor by which the coils brighten each voxel.
    """

    values: Array = field(repr=False)

    def apply(self, volume: Volume) -> Volume:
        """Returns the volume divided by the bias field."""
        return volume.with_data(volume.data / self.values)

    def invert(self, volume: Volume) -> Volume:
        """Returns the volume multiplied by the bias field."""
        return volume.with_data(volume.data * self.values)


@dataclass(frozen=True)
class CoarseBias:
    """A bias field as N4 fits it: its logarithm, on voxels of about 4 mm.

    Attributes:
        logarithm: (i, j, k), over the field of view of the scan.
        mean: of the logarithm inside the mask.
    """

    logarithm: Volume
    mean: float

    def on(self, grid: Grid) -> Bias:
        """Returns the bias field on the grid of the scan.

        Raises:
            InputRefused: `BIAS_FIELD` when it is not finite.
        """
        whole = resample(_with_border(self.logarithm), grid, outside=self.mean).data
        if not np.isfinite(whole).all():
            raise InputRefused("BIAS_FIELD", "the bias field is not finite; check the intensities of the scan")
        return Bias(np.exp(whole - np.float32(self.mean)))


def _with_border(volume: Volume) -> Volume:
    """Returns a volume with its outermost voxels repeated: the voxels of 4 mm may end before the scan does."""
    affine = volume.affine.copy()
    affine[:3, 3] -= affine[:3, :3].sum(axis=1)
    return Volume(np.pad(volume.data, 1, mode="edge"), affine, volume.shows)


def fit_bias(volume: Volume, mask: Mask, *, control_mm: float = 60.0) -> Bias:
    """Estimates the bias field of one scan, on its grid; arguments and errors as those of `fit_coarse_bias`."""
    return fit_coarse_bias(volume, mask, control_mm=control_mm).on(volume.grid)


def fit_coarse_bias(volume: Volume, mask: Mask, *, control_mm: float = 60.0) -> CoarseBias:
    """Estimates the bias field of one scan, on voxels of about 4 mm.

    Args:
        volume: (i, j, k); most values inside `mask` are above zero.
        mask: (i, j, k), voxels of tissue: the brain or, better for the whole image, the head.
        control_mm: distance of the control points at the coarsest of three levels; it halves at each level. Clinica's
            `t1-linear` uses 600 (`bspline_fitting_distance`), which gives a nearly linear field.

    Raises:
        InputRefused: `EMPTY_MASK` when fewer than 100 voxels of 4 mm inside the mask are above zero, `BIAS_FIELD`
            when N4 fails.
        MissingLibrary: `MISSING_LIBRARY`.
    """
    grid = coarser(volume.grid, _WORKING_MM)
    small = resample(volume, grid)
    inside = (resample(volume.with_data(mask), grid, interpolation="nearest").data > 0.5) & (small.data > 0)
    if inside.sum() < 100:
        raise InputRefused("EMPTY_MASK", f"{int(inside.sum())} voxels above zero are too few to fit a bias field")
    itk = library("SimpleITK")
    with _few_threads(itk):  # a filter takes the limit of the time when it is made
        filter_ = itk.N4BiasFieldCorrectionImageFilter()
    filter_.SetMaximumNumberOfIterations(_ITERATIONS)
    filter_.SetConvergenceThreshold(_THRESHOLD)
    filter_.SetNumberOfControlPoints([_control_points(n * mm, control_mm) for n, mm in _extents(small)])
    try:
        with _few_threads(itk):
            filter_.Execute(to_image(small), itk.Cast(to_image(small.with_data(inside)), itk.sitkUInt8))
            log_field = filter_.GetLogBiasFieldAsImage(to_image(small))
    except RuntimeError as error:
        raise InputRefused("BIAS_FIELD", "N4 failed on this scan; check its intensities") from error
    log_values = from_image(log_field, small)
    return CoarseBias(log_values, float(log_values.data[inside].mean()))


@contextmanager
def _few_threads(itk: ModuleType) -> Iterator[None]:
    """Limits all filters of SimpleITK to `_THREADS`: N4 uses filters of its own, which its own limit does not reach."""
    before = itk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    itk.ProcessObject.SetGlobalDefaultNumberOfThreads(_THREADS)
    try:
        yield
    finally:
        itk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _extents(volume: Volume) -> list[tuple[int, float]]:
    return list(zip(volume.data.shape, volume.spacing_mm, strict=True))


def _control_points(extent_mm: float, control_mm: float) -> int:
    """Returns the number of control points of a cubic spline whose knots are `control_mm` apart."""
    return max(1, int(np.ceil(extent_mm / control_mm))) + 3
