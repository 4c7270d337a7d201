"""Signed distances in millimetres: negative inside, zero on the surface, positive outside.

Each takes points as three arrays that broadcast together and returns float32. The distance of an ellipsoid is the
first-order one, |p/r| (|p/r| - 1) / |p/r²|, exact on the surface to first order, which is where it is used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxlate.volume import Affine, Array

Points = tuple[Array, Array, Array]
Point = tuple[float, float, float]


def ellipsoid(points: Points, centre: Point, radii: Point) -> Array:
    """Returns the distance to an ellipsoid whose axes lie along the coordinates."""
    x, y, z = (place - np.float32(at) for place, at in zip(points, centre, strict=True))
    a, b, c = (np.float32(1 / r) for r in radii)
    near = np.sqrt((x * a) ** 2 + (y * b) ** 2 + (z * c) ** 2)
    slope = np.sqrt((x * a * a) ** 2 + (y * b * b) ** 2 + (z * c * c) ** 2)
    inner = np.float32(-min(radii))
    return np.asarray(np.where(near < 0.05, inner, near * (near - 1) / np.maximum(slope, 1e-6)), dtype=np.float32)


def tube(points: Points, path: Sequence[Point], radii: Sequence[float]) -> Array:
    """Returns the distance to a chain of segments whose radius changes linearly from point to point."""
    nearest: Array | None = None
    for start, end, r0, r1 in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
        segment = _segment(points, start, end, (r0, r1))
        nearest = segment if nearest is None else np.minimum(nearest, segment)
    if nearest is None:
        raise ValueError("a tube needs two points")
    return nearest


def smooth_union(first: Array, second: Array, blend_mm: float) -> Array:
    """Returns the union of two shapes, with a fillet of about `blend_mm` where they meet."""
    overlap = np.maximum(np.float32(blend_mm) - np.abs(first - second), 0)
    return np.asarray(np.minimum(first, second) - overlap * overlap * np.float32(0.25 / blend_mm), dtype=np.float32)


def smooth_cut(first: Array, second: Array, blend_mm: float) -> Array:
    """Returns the part common to two shapes, with a rounded edge."""
    return -smooth_union(-first, -second, blend_mm)


def coverage(distance: Array, voxel_mm: float) -> Array:
    """Returns the part of each voxel inside a shape: exact for a flat surface that faces a voxel."""
    return np.asarray(np.clip(np.float32(0.5) - distance * np.float32(1 / voxel_mm), 0, 1), dtype=np.float32)


def rotation(angles_deg: tuple[float, float, float]) -> Affine:
    """Returns the (3, 3) rotation about x, then y, then z."""
    a, b, c = np.deg2rad(angles_deg)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def _segment(points: Points, start: Point, end: Point, radii: tuple[float, float]) -> Array:
    along = np.subtract(end, start)
    length = max(float(along @ along), 1e-9)
    x, y, z = (place - np.float32(at) for place, at in zip(points, start, strict=True))
    a, b, c = (np.float32(value / length) for value in along)
    share = np.clip(x * a + y * b + z * c, 0, 1)
    u, v, w = (np.float32(value) for value in along)
    distance = np.sqrt((x - share * u) ** 2 + (y - share * v) ** 2 + (z - share * w) ** 2)
    return np.asarray(distance - (np.float32(radii[0]) + share * np.float32(radii[1] - radii[0])), dtype=np.float32)
