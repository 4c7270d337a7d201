"""Smooth random fields: white noise on a coarse lattice, joined by cubic B-splines.

A lattice of step h carries structure down to wavelengths of about 2 h; the splines are evaluated axis by axis with
four taps, without a matrix product, so that the same numbers come out on any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from voxlate.volume import Array, Shape

_BORDER = 3
_AXIS_VARIANCE = 151 / 315  # mean over a cell of the sum of squared cubic B-spline weights


def smooth_field(shape: Shape, spacing_mm: float, wavelength_mm: float, rng: np.random.Generator) -> Array:
    """Returns a field of zero mean and unit variance whose shortest waves are about `wavelength_mm`.

    Args:
        shape: voxels of the field.
        spacing_mm: size of a voxel.
        wavelength_mm: twice the step of the lattice.
        rng: source of the lattice.
    """
    step = max(wavelength_mm / 2 / spacing_mm, 1.0)
    lattice_shape = [int(np.ceil((n - 1) / step)) + 1 + _BORDER for n in shape]
    lattice = rng.standard_normal(lattice_shape, dtype=np.float32) / np.float32(_AXIS_VARIANCE**1.5)
    positions = [np.arange(n) / step + 1 for n in shape]
    return evaluate_splines(lattice, positions)


def spline_field(control: Array, shape: Shape) -> Array:
    """Returns cubic B-splines whose control points span the whole of `shape`, one beyond each face."""
    positions = [np.linspace(1, n - 2, size) for n, size in zip(control.shape, shape, strict=True)]
    return evaluate_splines(np.asarray(control, dtype=np.float32), positions)


def evaluate_splines(control: Array, positions: Sequence[np.ndarray]) -> Array:
    """Returns the splines with coefficients `control` at the tensor product of `positions`, in lattice units.

    Positions lie in 1 to n - 2, so that all four taps exist.
    """
    values = control
    for axis, place in enumerate(positions):
        values = _along(values, axis, np.asarray(place, dtype=np.float64))
    return values


def _along(control: Array, axis: int, place: np.ndarray) -> Array:
    first = np.clip(np.floor(place).astype(np.intp), 1, control.shape[axis] - 3)
    taps = _weights((place - first).astype(np.float32))
    along = [1] * control.ndim
    along[axis] = -1
    total = np.take(control, first - 1, axis=axis) * taps[0].reshape(along)
    for k in (1, 2, 3):
        total += np.take(control, first - 1 + k, axis=axis) * taps[k].reshape(along)
    return np.asarray(total, dtype=np.float32)


def _weights(t: Array) -> list[Array]:
    s = 1 - t
    taps = (s**3 / 6, (4 - 6 * t**2 + 3 * t**3) / 6, (4 - 6 * s**2 + 3 * s**3) / 6, t**3 / 6)
    return [np.asarray(tap, dtype=np.float32) for tap in taps]


class PeriodicNoise:
    """Periodic noise of unit variance that can be asked at any place, such as one bent with the anatomy."""

    def __init__(self, wavelength_mm: float, rng: np.random.Generator, period: int = 24) -> None:
        """Draws a cube of `period` lattice points per axis, a third of the dominant wavelength apart."""
        self.step_mm = wavelength_mm / 3
        self.coefficients = rng.standard_normal((period,) * 3, dtype=np.float32) / np.float32(_AXIS_VARIANCE**1.5)

    def at(self, x: Array, y: Array, z: Array) -> Array:
        """Returns the noise at points in millimetres."""
        points = np.stack([axis / np.float32(self.step_mm) for axis in (x, y, z)])
        values = ndimage.map_coordinates(
            self.coefficients, points, order=3, prefilter=False, mode="grid-wrap", output=np.float32
        )
        return np.asarray(values, dtype=np.float32)
