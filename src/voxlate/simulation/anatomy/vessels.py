"""Arteries, veins and dural sinuses: named trunks, and trees grown by random walks.

A vessel thinner than a voxel fills a fraction of the voxel equal to its share of the cross-section. Where a tree forks,
the radii follow Murray's law, r0³ = r1³ + r2³ (Murray, Proc Natl Acad Sci 1926;12:207). Coordinates are template
millimetres, as in `head_shapes`; paths and radii of the trunks were chosen by hand to resemble an adult's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxlate.simulation.anatomy.partial_volume import Frame
from voxlate.simulation.anatomy.shapes import Point, coverage, tube
from voxlate.volume import Array

_STEP_MM = 4.0  # step of the random walk; chosen by hand, not tuned
_SMALLEST_RADIUS_MM = 0.25  # thinner branches are not grown; they would fill less than 5 % of a voxel of 2 mm


@dataclass(frozen=True)
class Branch:
    """A chain of points in template mm with a radius in mm at each."""

    path: list[Point]
    radii: list[float]


def sinuses(fluid_mm: float) -> list[Branch]:
    """Returns the dural sinuses and the great deep veins.

    Args:
        fluid_mm: thickness of the fluid between brain and dura; the sagittal sinus lies 1.5 mm outside it.
    """
    arc = np.linspace(np.deg2rad(20), np.deg2rad(193), 24)
    crest = [(0.0, *_on_vault(angle, fluid_mm + 1.5)) for angle in arc]
    torcula: Point = crest[-1]
    branches = [
        Branch(crest, list(np.linspace(1.8, 4.2, len(crest)))),
        Branch([(0, -26, 3), (0, -42, 0), (0, -64, -10), torcula], [1.6, 2.2, 2.4, 2.6]),
    ]
    for side in (-1.0, 1.0):
        width = 3.8 if side > 0 else 3.2
        lateral = [(18, -82, -27), (42, -66, -31), (58, -42, -33), (56, -30, -44), (40, -22, -58), (32, -16, -66)]
        neck = [(34, -14, -84), (36, -14, -112)]
        path = [torcula, *((side * x, float(y), float(z)) for x, y, z in lateral + neck)]
        branches.append(Branch(path, [3.6, width, width, width, width, width, width, 4.5, 5.0]))
        deep = [(side * 2.0, 22.0, 4.0), (side * 2.0, -6.0, 5.0), (0.0, -26.0, 3.0)]
        branches.append(Branch(deep, [0.8, 1.1, 1.6]))
    return branches


def arteries() -> list[Branch]:
    """Returns carotid, basilar and vertebral arteries and the first sections of the cerebral arteries."""
    branches = [Branch([(0, 4, -54), (0, 8, -44), (0, 8, -30)], [1.6, 1.6, 1.5])]
    for side in (-1.0, 1.0):
        siphon = [(34, 4, -112), (32, 2, -80), (28, 2, -56), (18, 8, -48), (12, 20, -42), (12, 24, -36), (14, 14, -31)]
        middle = [(14, 14, -31), (26, 12, -29), (36, 12, -26), (41, 6, -18), (42, -6, -10), (48, -22, -2)]
        front = [(14, 14, -31), (3, 26, -27), (1.5, 46, -14), (1.5, 54, 2), (1.5, 42, 18), (1.5, 16, 25)]
        back = [(0, 8, -30), (10, 4, -28), (20, -8, -24), (16, -30, -12), (8, -58, -6)]
        spine = [(0, 4, -54), (8, -2, -66), (20, -14, -86), (20, -12, -112)]
        for path, radii in (
            (siphon, [2.6, 2.5, 2.4, 2.3, 2.2, 2.0, 1.8]),
            (middle, [1.5, 1.4, 1.2, 1.0, 0.8, 0.6]),
            (front, [1.2, 1.1, 0.9, 0.8, 0.6, 0.5]),
            (back, [1.2, 1.1, 1.0, 0.8, 0.6]),
            (spine, [1.2, 1.4, 1.5, 1.5]),
        ):
            branches.append(Branch([(side * x, float(y), float(z)) for x, y, z in path], list(radii)))
    return branches


def cortical_veins(rng: np.random.Generator, count: int, fluid_mm: float) -> list[Branch]:
    """Returns veins that run in the fluid over the hemispheres, from the sagittal sinus downwards.

    Args:
        rng: generator of the paths.
        count: number of veins at the sinus; each forks at most three times.
        fluid_mm: thickness of the fluid between brain and dura.
    """
    branches: list[Branch] = []
    for _ in range(count):
        angle = np.deg2rad(rng.uniform(45, 165))
        side = rng.choice([-1.0, 1.0])
        radius = rng.uniform(0.7, 1.5)
        y, z = _on_vault(angle, fluid_mm)
        _grow(branches, np.array([side * 3.0, y, z]), np.array([side, rng.normal(0, 0.5), -0.3]), (radius, 0), rng)
    return branches


def _grow(
    branches: list[Branch], start: np.ndarray, heading: np.ndarray, state: tuple[float, int], rng: np.random.Generator
) -> None:
    """Adds a random walk along the hull of the cerebrum, then its forks.

    Args:
        branches: list that the branches are added to.
        start: (3,), template mm.
        heading: (3,), first direction.
        state: radius in mm and number of forks so far.
        rng: generator of the path.
    """
    radius, depth = state
    points, direction = [start], heading / np.linalg.norm(heading)
    for _ in range(int(rng.integers(4, 9))):
        direction = direction + rng.normal(0, 0.35, 3)
        following = _onto_hull(points[-1] + _STEP_MM * direction / np.linalg.norm(direction))
        direction = (following - points[-1]) / max(float(np.linalg.norm(following - points[-1])), 1e-6)
        points.append(following)
    path: list[Point] = [(float(x), float(y), float(z)) for x, y, z in points]
    branches.append(Branch(path, list(np.linspace(radius, 0.85 * radius, len(path)))))
    share = rng.uniform(0.35, 0.65)
    for part in (share, 1 - share):
        smaller = 0.85 * radius * part ** (1 / 3)
        if smaller >= _SMALLEST_RADIUS_MM and depth < 3:
            _grow(branches, points[-1], direction + rng.normal(0, 0.7, 3), (smaller, depth + 1), rng)


def perforators(rng: np.random.Generator, count: int) -> list[Branch]:
    """Returns straight vessels with radii of 0.15 to 0.4 mm that run through white matter to the ventricles.

    Args:
        rng: generator of the paths.
        count: number of vessels.
    """
    branches = []
    for _ in range(count):
        side = rng.choice([-1.0, 1.0])
        end = np.array([side * rng.uniform(12, 22), rng.uniform(-40, 40), rng.uniform(4, 18)])
        out = np.array([side * rng.uniform(0.3, 1), rng.normal(0, 0.3), rng.uniform(0.2, 1)])
        start = end + out / np.linalg.norm(out) * rng.uniform(12, 26)
        radius = float(rng.uniform(0.15, 0.4))
        ends: list[Point] = [(float(p[0]), float(p[1]), float(p[2])) for p in (start, end)]
        branches.append(Branch(ends, [radius, radius]))
    return branches


def vessel_share(frame: Frame, branches: Sequence[Branch]) -> Array:
    """Returns the fraction of each voxel that vessels fill, float32 of the frame's shape.

    Where several vessels meet in a voxel the largest fraction counts.

    Args:
        frame: coordinates of the voxels.
        branches: vessels.
    """
    share = np.zeros(frame.shape, dtype=np.float32)
    for branch in branches:
        for start, end, r0, r1 in zip(
            branch.path[:-1], branch.path[1:], branch.radii[:-1], branch.radii[1:], strict=True
        ):
            _add_segment(share, frame, (start, end), (r0, r1))
    return share


def _add_segment(share: Array, frame: Frame, ends: tuple[Point, Point], radii: tuple[float, float]) -> None:
    """Adds one segment to `share` in place; a thin one is drawn a voxel wide and weighted by its cross-section."""
    reach = max(radii) + frame.spacing_mm
    corners = np.array(ends)
    low, high = corners.min(axis=0) - reach, corners.max(axis=0) + reach
    box = frame.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    drawn = [max(r, frame.spacing_mm / 2) for r in radii]
    thin = np.float32((sum(radii) / sum(drawn)) ** 2)
    inside = coverage(tube(frame.points_in(box), ends, drawn), frame.spacing_mm) * thin
    np.maximum(share[box], inside, out=share[box])


def _on_vault(angle: float, outside_mm: float) -> tuple[float, float]:
    """Returns (y, z) in template mm of a point in the sagittal plane, above the ellipsoid of the cerebrum.

    Args:
        angle: radians, 0 at the front, counted over the vertex.
        outside_mm: distance from the ellipsoid.
    """
    y, z = 86 * np.cos(angle), 61 * np.sin(angle)
    normal = np.array([np.cos(angle) / 86, np.sin(angle) / 61])
    normal /= np.linalg.norm(normal)
    return float(y + outside_mm * normal[0]), float(4 + z + outside_mm * normal[1])


def _onto_hull(point: np.ndarray) -> np.ndarray:
    """Returns a point (3,), template mm, moved along its ray from the brain's centre onto the hull of the cerebrum."""
    radii, centre = np.array([68.5, 86.5, 61.5]), np.array([0.0, 0.0, 4.0])
    offset = point - centre
    return np.asarray(centre + offset / max(float(np.linalg.norm(offset / radii)), 1e-6))
