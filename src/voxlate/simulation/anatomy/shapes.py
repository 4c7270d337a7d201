"""Signed distances to shapes in millimetres: negative inside, zero on the surface, positive outside.

Points are three arrays (x, y, z) in millimetres that broadcast together; a distance is float32 and has their common
shape. The distance to an ellipsoid of radii r is the first-order one, |p/r| (|p/r| - 1) / |p/r²|, which is accurate
near the surface, where partial volumes need it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxlate.volume import Affine, Array

Points = tuple[Array, Array, Array]
"""x, y and z of many points in millimetres, three arrays that broadcast together."""
Point = tuple[float, float, float]
"""x, y and z of one point, or three radii, in millimetres."""


def ellipsoid(points: Points, centre: Point, radii: Point) -> Array:
    """Returns the signed distance in mm to an ellipsoid whose axes are parallel to x, y and z.

    Args:
        points: x, y and z in mm.
        centre: x, y and z of its centre in mm.
        radii: semi-axes along x, y and z in mm.

    Example:
        >>> x = np.array([0.0, 10.0, 12.0], np.float32)
        >>> ellipsoid((x, 0 * x, 0 * x), (0, 0, 0), (10, 10, 10)).round(3).tolist()
        [-10.0, 0.0, 2.0]
    """
    x, y, z = (axis - np.float32(at) for axis, at in zip(points, centre, strict=True))
    a, b, c = (np.float32(1 / r) for r in radii)
    near = np.sqrt((x * a) ** 2 + (y * b) ** 2 + (z * c) ** 2)
    slope = np.sqrt((x * a * a) ** 2 + (y * b * b) ** 2 + (z * c * c) ** 2)
    inner = np.float32(-min(radii))
    return np.asarray(np.where(near < 0.05, inner, near * (near - 1) / np.maximum(slope, 1e-6)), dtype=np.float32)


def tube(points: Points, path: Sequence[Point], radii: Sequence[float]) -> Array:
    """Returns the signed distance in mm to a chain of round segments; the radius changes linearly along each.

    Args:
        points: x, y and z in mm.
        path: two or more points.
        radii: radius in mm at each point of the path.

    Raises:
        ValueError: when the path has fewer than two points.
    """
    nearest: Array | None = None
    for start, end, r0, r1 in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
        segment = _segment(points, start, end, (r0, r1))
        nearest = segment if nearest is None else np.minimum(nearest, segment)
    if nearest is None:
        raise ValueError("a tube needs two points")
    return nearest


def smooth_union(first: Array, second: Array, blend_mm: float) -> Array:
    """Returns the signed distance in mm to the union of two shapes, with a fillet where they meet.

    Args:
        first: signed distance to one shape in mm.
        second: signed distance to the other; it broadcasts with `first`.
        blend_mm: width of the fillet.
    """
    overlap = np.maximum(np.float32(blend_mm) - np.abs(first - second), 0)
    return np.asarray(np.minimum(first, second) - overlap * overlap * np.float32(0.25 / blend_mm), dtype=np.float32)


def smooth_cut(first: Array, second: Array, blend_mm: float) -> Array:
    """Returns the signed distance in mm to the intersection of two shapes, with a rounded edge.

    Args:
        first: signed distance to one shape in mm.
        second: signed distance to the other; it broadcasts with `first`.
        blend_mm: width of the rounding.
    """
    return -smooth_union(-first, -second, blend_mm)


def coverage(distance: Array, voxel_mm: float) -> Array:
    """Returns the fraction of each voxel inside a shape, 0 to 1, float32.

    It is exact for a flat surface parallel to a face of the voxel.

    Args:
        distance: signed distance from the centre of each voxel, in mm.
        voxel_mm: isotropic voxel size; a larger value gives a softer edge.
    """
    return np.asarray(np.clip(np.float32(0.5) - distance * np.float32(1 / voxel_mm), 0, 1), dtype=np.float32)


def rotation(angles_deg: tuple[float, float, float]) -> Affine:
    """Returns the (3, 3) rotation matrix of turns in degrees about x, then y, then z."""
    a, b, c = np.deg2rad(angles_deg)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def _segment(points: Points, start: Point, end: Point, radii: tuple[float, float]) -> Array:
    """Returns the signed distance in mm to one segment whose radius goes from the first to the second of `radii`."""
    along = np.subtract(end, start)
    length = max(float(along @ along), 1e-9)
    x, y, z = (axis - np.float32(at) for axis, at in zip(points, start, strict=True))
    a, b, c = (np.float32(value / length) for value in along)
    share = np.clip(x * a + y * b + z * c, 0, 1)
    u, v, w = (np.float32(value) for value in along)
    distance = np.sqrt((x - share * u) ** 2 + (y - share * v) ** 2 + (z - share * w) ** 2)
    return np.asarray(distance - (np.float32(radii[0]) + share * np.float32(radii[1] - radii[0])), dtype=np.float32)
