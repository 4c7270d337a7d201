"""Samples a label map at the voxels of a head: the fraction of each voxel that each group of labels fills.

A voxel takes the trilinear weights of the eight labels around its centre. Most voxels lie between eight equal labels
and need no weights; those at edges, about a third, are weighted one by one.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from voxlate.simulation.anatomy.label_map import AIR, FIRST_ROW, LabelMap
from voxlate.volume import Array, Mask

_COARSEST_SAMPLING = 1.5  # voxels larger than this many voxels of the map are sampled at 8 points for the thin cortex
_PAD = 2  # voxels of air around the map, so that points beside it need no test
_SLAB = 8  # planes that are sampled at a time, so that the weights of all groups take some 30 MiB


def sample_groups(source: LabelMap, where: list[Array], spacing_mm: float) -> tuple[dict[int, Array], Array]:
    """Returns the fraction of each voxel that each group except air fills, and the fraction inside the dura.

    For voxels larger than the map's the weights of eight points are averaged.

    Args:
        source: label map.
        where: coordinates in map voxels, three arrays of the result's shape.
        spacing_mm: isotropic voxel size of the result.

    Returns:
        Index of each group that is present to its fraction, and the inside; float32 of the shape, 0 to 1.
    """
    shape = where[0].shape
    count = FIRST_ROW + len(source.table.groups)
    fractions = {index: np.zeros(shape, np.float32) for index in range(1, count)}
    inside = np.zeros(shape, np.float32)
    present: set[int] = set()
    offsets = _offsets(where, source, spacing_mm)
    for start in range(0, shape[0], _SLAB):
        slab = slice(start, min(start + _SLAB, shape[0]))
        parts = {index: fraction[slab].ravel() for index, fraction in fractions.items()}
        for offset in offsets:
            points = [axis[slab].ravel() + step for axis, step in zip(where, offset, strict=True)]
            present |= _add(parts, inside[slab].ravel(), source, points, 1 / len(offsets))
    return {index: fractions[index] for index in sorted(present)}, inside


def _add(parts: dict[int, Array], inside: Array, source: LabelMap, points: list[Array], scale: float) -> set[int]:
    """Adds the weights at some points, times `scale`, in place; returns the groups that were found.

    Args:
        parts: group to its fraction at the points, (points,).
        inside: fraction inside the dura at the points, (points,).
        source: label map.
        points: coordinates in map voxels, (points,) along each axis.
        scale: factor on all weights.
    """
    codes, is_even = _lattice(source)
    shape = codes.shape
    first = [np.clip(np.floor(axis), -_PAD, n - _PAD - 2) for axis, n in zip(points, shape, strict=True)]
    i, j, k = ((axis + np.float32(_PAD)).astype(np.int32) for axis in first)
    index = (i * np.int32(shape[1]) + j) * np.int32(shape[2]) + k
    code, even = codes.ravel()[index], is_even.ravel()[index]
    found = set()
    groups = np.where(even, code >> 1, np.uint16(AIR))
    inside += np.float32(scale) * (even & (code & 1 == 1))
    for group in np.flatnonzero(np.bincount(groups)).tolist():
        if group != AIR:
            parts[group] += np.float32(scale) * (groups == group)
            found.add(group)
    edge = np.flatnonzero(~even)
    if edge.size:
        remainder = [(axis - low)[edge] for axis, low in zip(points, first, strict=True)]
        total, held = _weights(codes, index[edge], remainder, FIRST_ROW + len(source.table.groups))
        inside[edge] += np.float32(scale) * held
        for group in np.flatnonzero(total.any(axis=0)).tolist():
            if group != AIR:
                parts[group][edge] += np.float32(scale) * total[:, group]
                found.add(group)
    return found


def _weights(
    codes: NDArray[np.uint16], index: NDArray[np.int32], part: list[Array], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the weight of each group at each point, (points, count), and of the inside of the dura, (points,).

    Args:
        codes: see `_lattice`.
        index: (points,), flat index of the first of the eight voxels around each point.
        part: position between these voxels along each axis, 0 to 1, (points,) each.
        count: number of groups.
    """
    size = index.size
    total, inside = np.zeros(size * count), np.zeros(size)
    row = np.arange(size) * count
    steps = (codes.shape[1] * codes.shape[2], codes.shape[2], 1)
    flat = codes.ravel()
    for corner in np.ndindex(2, 2, 2):
        weight = np.ones(size, np.float32)
        for axis, step in enumerate(corner):
            weight *= part[axis] if step else 1 - part[axis]
        code = flat[index + np.int32(sum(a * b for a, b in zip(corner, steps, strict=True)))]
        total += np.bincount(row + (code >> 1), weight, minlength=size * count)
        inside += weight * (code & 1)
    return total.reshape(size, count), inside


@lru_cache(maxsize=2)
def _lattice(source: LabelMap) -> tuple[NDArray[np.uint16], Mask]:
    """Returns the padded map, and whether the eight voxels from each one on are equal.

    A code is twice the index of the group, plus one inside the dura.
    """
    codes = np.pad(source.groups.astype(np.uint16) * 2 + source.inside, _PAD)
    even = np.ones(codes.shape, np.bool_)
    for corner in np.ndindex(2, 2, 2):
        even &= np.roll(codes, [-step for step in corner], axis=(0, 1, 2)) == codes
    return codes, even


def _offsets(where: list[Array], source: LabelMap, spacing_mm: float) -> list[NDArray[np.float32]]:
    """Returns the points of a voxel that are sampled, (3,) each, relative to its centre, in map voxels."""
    if spacing_mm <= _COARSEST_SAMPLING * float(np.prod(source.spacing_mm)) ** (1 / 3):
        return [np.zeros(3, np.float32)]
    steps = np.array([[np.diff(w, axis=axis).mean() for axis in range(3)] for w in where])
    corners = np.array(np.meshgrid(*[[-0.25, 0.25]] * 3)).reshape(3, -1).T
    return [np.asarray(steps @ corner, dtype=np.float32) for corner in corners]
