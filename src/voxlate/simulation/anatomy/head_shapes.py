"""Outlines of the structures of a head in a template.

Template coordinates are millimetres from the centre of the brain: x right, y anterior, z superior. Each function takes
points (x, y and z, three arrays that broadcast together) and returns the signed distance in mm, float32, negative
inside. Paired structures are defined once, on the absolute value of x; the warp of a subject makes the sides differ.
The coordinates and radii were chosen by hand to resemble an adult head.
"""

from __future__ import annotations

import numpy as np

from voxlate.simulation.anatomy.shapes import Points, ellipsoid, smooth_cut, smooth_union, tube
from voxlate.volume import Array

LOW_MM = (-96.0, -120.0, -108.0)
HIGH_MM = (96.0, 120.0, 84.0)
"""Corners of the grid in template mm: the head and a margin of air."""

CALLOSUM = [(0.0, 40.0, -10.0), (0.0, 49.0, -1.0), (0.0, 40.0, 13.0), (0.0, 18.0, 20.0), (0.0, -8.0, 18.0)]
CALLOSUM += [(0.0, -24.0, 7.0), (0.0, -20.0, 2.0)]
"""Path of the corpus callosum in template mm, from the rostrum to the splenium."""
CORD = [(0.0, -20.0, -56.0), (0.0, -26.0, -74.0), (0.0, -30.0, -112.0)]
"""Path of the upper spinal cord in template mm."""


def mirrored(points: Points) -> Points:
    """Returns the points with the left half mirrored onto the right one: |x|, y, z."""
    x, y, z = points
    return np.abs(x), y, z


def cerebrum(points: Points) -> Array:
    """Returns the signed distance in mm to the hull of both hemispheres, fissures and sulci filled."""
    x, y, z = mirrored(points)
    upper = ellipsoid((x, y, z), (0, 0, 4), (68, 86, 61))
    floor = np.float32(-27) - z - np.float32(0.06) * (y + 10)
    upper = smooth_cut(upper, floor, 14)
    temporal = ellipsoid((x, y, z + np.float32(0.18) * y), (43, 2, -28), (22, 41, 19))
    return smooth_union(upper, temporal, 8)


def cerebellum(points: Points) -> Array:
    """Returns the signed distance in mm to the hull of the cerebellum."""
    x, y, z = mirrored(points)
    hemisphere = ellipsoid((x, y, z), (21, -50, -46), (31, 29, 21))
    vermis = ellipsoid((x, y, z), (0, -46, -42), (9, 26, 22))
    return smooth_union(hemisphere, vermis, 6)


def stem(points: Points) -> Array:
    """Returns the signed distance in mm to midbrain, pons, medulla and the upper cord."""
    axis = tube(points, [(0, -4, -14), (0, -9, -28), (0, -16, -52), *CORD], [15, 12, 10, 7, 6, 5.5])
    return smooth_union(axis, ellipsoid(points, (0, -6, -39), (17, 12, 13)), 6)


def core(points: Points) -> Array:
    """Returns the signed distance in mm to the corpus callosum and the block around the third ventricle."""
    block = ellipsoid(points, (0, 4, -10), (34, 27, 17))
    return smooth_union(tube(points, CALLOSUM, [3.0, 4.5, 3.5, 3.0, 3.0, 5.0, 4.0]), block, 3)


def cavity(points: Points) -> Array:
    """Returns the signed distance in mm to the cranial cavity before the layer of fluid around the brain is added."""
    brain = smooth_union(cerebrum(points), cerebellum(points), 18)
    brain = smooth_union(brain, stem(points), 10)
    return smooth_union(brain, tube(points, CORD, [11, 9.5, 8.5]), 6)


def head(points: Points, vault: Array) -> Array:
    """Returns the signed distance in mm to the skin.

    Args:
        points: x, y and z in template mm.
        vault: signed distance in mm to the outside of the scalp over the braincase, of the points' shape.
    """
    pair = mirrored(points)
    x, y, z = pair
    jaw = ellipsoid(pair, (0, 36, -104), (47, 46, 34))
    face = smooth_union(ellipsoid(pair, (0, 44, -58), (61, 50, 52)), jaw, 22)
    nose = tube(pair, [(0, 92, -36), (0, 108, -62), (0, 100, -68)], [5, 6, 8])
    nose = smooth_union(nose, ellipsoid(pair, (9, 98, -67), (6, 9, 7)), 4)
    face = smooth_union(face, nose, 9)
    lips = ellipsoid(pair, (0, 88, -88), (22, 9, 10))
    neck = (np.sqrt((x / 60) ** 2 + ((y + 24) / 58) ** 2) - 1) * np.float32(58)
    neck = smooth_cut(neck, z + np.float32(48), 20)
    body = smooth_union(smooth_union(vault, smooth_union(face, lips, 8), 18), neck, 24)
    sockets = ellipsoid(pair, (33, 98, -33), (15, 12, 9))
    ears = smooth_cut(ellipsoid(pair, (80, -12, -40), (7, 17, 29)), -ellipsoid(pair, (86, -8, -38), (6, 10, 19)), 3)
    return smooth_union(smooth_cut(body, -sockets, 10), ears, 5)
