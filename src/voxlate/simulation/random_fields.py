"""Smooth random fields: white noise on a coarse lattice, interpolated by cubic B-splines.

A lattice with a step of h holds wavelengths down to about 2 h. The splines are evaluated axis by axis with four taps
and without a matrix product, so that the result does not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from voxlate.volume import Array, Shape

_BORDER = 3  # control points added so that all four taps of a cubic spline exist at the first and last voxel
_AXIS_VARIANCE = 151 / 315  # mean over a cell of the sum of squared cubic B-spline weights


def smooth_field(shape: Shape, spacing_mm: float, wavelength_mm: float, rng: np.random.Generator) -> Array:
    """Returns a random field of `shape`, float32, without unit, with mean 0 and variance 1 over many draws.

    Args:
        shape: voxels along each axis.
        spacing_mm: isotropic voxel size.
        wavelength_mm: shortest wavelength, twice the step of the lattice.
        rng: generator of the lattice.

    Example:
        >>> smooth_field((4, 5, 6), 2.0, 12.0, np.random.default_rng(0)).shape
        (4, 5, 6)
    """
    step = max(wavelength_mm / 2 / spacing_mm, 1.0)
    lattice_shape = [int(np.ceil((n - 1) / step)) + 1 + _BORDER for n in shape]
    lattice = rng.standard_normal(lattice_shape, dtype=np.float32) / np.float32(_AXIS_VARIANCE**1.5)
    positions = [np.arange(n) / step + 1 for n in shape]
    return evaluate_splines(lattice, positions)


def spline_field(control: Array, shape: Shape) -> Array:
    """Returns cubic B-splines stretched over a grid, float32.

    Args:
        control: (n, m, l), coefficients; one control point lies beyond each face of the grid.
        shape: voxels of the result along each axis.
    """
    positions = [np.linspace(1, n - 2, size) for n, size in zip(control.shape, shape, strict=True)]
    return evaluate_splines(np.asarray(control, dtype=np.float32), positions)


def evaluate_splines(control: Array, positions: Sequence[np.ndarray]) -> Array:
    """Returns cubic B-splines at the tensor product of positions, float32, one axis per array of positions.

    Args:
        control: coefficients on the lattice, n of them along an axis.
        positions: for each axis (size,), in steps of the lattice, 1 to n - 2, so that all four taps exist.
    """
    values = control
    for axis in reversed(range(len(positions))):  # the last and largest step then copies whole planes
        values = _along(values, axis, np.asarray(positions[axis], dtype=np.float64))
    return values


def _along(control: Array, axis: int, position: np.ndarray) -> Array:
    """Returns the splines evaluated along one axis at `position`, (size,), in steps of the lattice."""
    first = np.clip(np.floor(position).astype(np.intp), 1, control.shape[axis] - 3)
    taps = _weights((position - first).astype(np.float32))
    result = np.empty((*control.shape[:axis], position.size, *control.shape[axis + 1 :]), np.float32)
    planes, made = np.moveaxis(control, axis, 0), np.moveaxis(result, axis, 0)
    product = np.empty(planes.shape[1:], np.float32)
    for n, start in enumerate(first - 1):  # plane by plane, so that what is added stays in the processor's cache
        np.multiply(planes[start], taps[0][n], out=made[n])
        for k in (1, 2, 3):
            made[n] += np.multiply(planes[start + k], taps[k][n], out=product)
    return result


def _weights(t: Array) -> list[Array]:
    """Returns the four weights of a cubic B-spline at `t`, 0 to 1, between its second and third control point."""
    s = 1 - t
    taps = (s**3 / 6, (4 - 6 * t**2 + 3 * t**3) / 6, (4 - 6 * s**2 + 3 * s**3) / 6, t**3 / 6)
    return [np.asarray(tap, dtype=np.float32) for tap in taps]


class PeriodicNoise:
    """Periodic noise with mean 0 and variance 1 that can be evaluated at any point, so that it can follow the anatomy.

    Attributes:
        step_mm: step of the lattice.
        coefficients: (period, period, period), float32.
    """

    def __init__(self, wavelength_mm: float, rng: np.random.Generator, period: int = 24) -> None:
        """Draws the lattice.

        Args:
            wavelength_mm: dominant wavelength; the step is a third of it (chosen by hand; not tuned).
            rng: generator of the lattice.
            period: lattice points along each axis, after which the noise repeats.
        """
        self.step_mm = wavelength_mm / 3
        self.coefficients = rng.standard_normal((period,) * 3, dtype=np.float32) / np.float32(_AXIS_VARIANCE**1.5)

    def at(self, x: Array, y: Array, z: Array) -> Array:
        """Returns the noise at points, float32 of their shape.

        Args:
            x: coordinate in mm along the first axis; all three arrays have one shape.
            y: along the second axis.
            z: along the third axis.
        """
        points = np.stack([axis / np.float32(self.step_mm) for axis in (x, y, z)])
        values = ndimage.map_coordinates(
            self.coefficients, points, order=3, prefilter=False, mode="grid-wrap", output=np.float32
        )
        return np.asarray(values, dtype=np.float32)
