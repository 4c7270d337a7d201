"""Gaussian filter as a product with a banded matrix along each axis.

The values are those of `scipy.ndimage.gaussian_filter`: the same weights, cut off at the same radius. SciPy convolves
one line at a time in double precision; here BLAS multiplies blocks of a volume in the type of the array, which takes
less processor time (`benchmarks/bench_evaluate_case.py` measures a whole case).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from voxlate.evaluation.similarity.arrays import Image

Beyond = Literal["reflect", "zero"]
"""What lies beyond the edge of an image: its mirror image, the edge voxel repeated (d c b a | a b c d), or zeros."""

_TRUNCATE = 4.0
"""Standard deviations at which a Gaussian is cut off unless a radius is given, as in SciPy."""

_BLOCK = 32
"""Rows of a block. A block reads 2 radii more than it writes; of 16, 32, 48 and 64 rows 32 was the fastest."""


def gaussian_mean(
    image: Image,
    sigma: float | Sequence[float],
    *,
    radius: int | None = None,
    axes: Sequence[int] | None = None,
    beyond: Beyond = "reflect",
) -> Image:
    """Returns the Gaussian mean around each voxel, an array of the same shape and type.

    Args:
        image: of any shape and floating type, all values finite.
        sigma: standard deviation in voxels, above 0; one for all axes, or one for each.
        radius: voxels from the centre at which the Gaussian is cut off; None for 4 standard deviations.
        axes: filtered axes; None for all.
        beyond: what lies beyond the edge of the image.

    Example:
        >>> gaussian_mean(np.array([0.0, 0.0, 1.0, 0.0, 0.0]), 0.5, radius=1).round(2)
        array([0.  , 0.11, 0.79, 0.11, 0.  ])
    """
    axes = range(image.ndim) if axes is None else axes
    for axis, own in zip(axes, np.broadcast_to(sigma, len(axes)), strict=True):
        weights = _weights(float(own), int(_TRUNCATE * float(own) + 0.5) if radius is None else radius)
        matrix = _matrix(image.shape[axis], weights, beyond).astype(image.dtype)
        image = _multiplied(image, matrix, axis=axis, radius=weights.size // 2)
    return image


def _weights(sigma: float, radius: int) -> NDArray[np.float64]:
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _matrix(size: int, weights: NDArray[np.float64], beyond: Beyond) -> NDArray[np.float64]:
    """Returns the matrix (size, size) whose product with a line of voxels is the filtered line."""
    radius = weights.size // 2
    row, offset = np.meshgrid(np.arange(size), np.arange(-radius, radius + 1), indexing="ij")
    column = row + offset
    if beyond == "reflect":
        column %= 2 * size
        column = np.minimum(column, 2 * size - 1 - column)
    is_inside = (column >= 0) & (column < size)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (row[is_inside], column[is_inside]), np.broadcast_to(weights, row.shape)[is_inside])
    return matrix


def _multiplied(image: Image, matrix: Image, *, axis: int, radius: int) -> Image:
    """Returns the product of a banded matrix and every line of voxels along an axis, block by block."""
    size = image.shape[axis]
    lines = np.ascontiguousarray(image).reshape(int(np.prod(image.shape[:axis])), size, -1)
    result = np.empty_like(lines)
    for start in range(0, size, _BLOCK):
        rows = slice(start, min(start + _BLOCK, size))
        near = slice(max(start - radius, 0), min(rows.stop + radius, size))
        if lines.shape[-1] == 1:  # along the last axis the lines themselves are the rows of a matrix
            np.matmul(lines[:, near, 0], matrix[rows, near].T, out=result[:, rows, 0])
        else:
            np.matmul(matrix[rows, near], lines[:, near], out=result[:, rows])
    return result.reshape(image.shape)
