"""Paints the brain: a folded cortex over white matter, ventricles, deep grey matter, cerebellum and brain stem.

Sulci lie on the level sets of a band-limited noise. The noise hardly changes along rays from the centre of the brain,
so that sulci are perpendicular to the surface; their depth varies over the surface. Grey matter is a ribbon below the
hull and on both sides of each sulcus. Coordinates are template millimetres, as in `head_shapes`; radii and coordinates
of structures were chosen by hand to resemble an adult brain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxlate.simulation.anatomy import head_shapes
from voxlate.simulation.anatomy.partial_volume import Box, Frame, PartialVolumeMap
from voxlate.simulation.anatomy.shapes import Points, coverage, ellipsoid, smooth_union, tube
from voxlate.simulation.random_fields import PeriodicNoise, smooth_field
from voxlate.volume import Array

OCTAVES_MM = ((24.0, 6.0), (12.0, 3.0), (6.0, 0.4))
"""Wavelength and amplitude of the noise that folds the cortex, one pair per octave. Prior, chosen for this project."""
# Sulci are all level sets this far apart in the noise's amplitude, so that no stretch of cortex stays smooth. Chosen by
# hand; not tuned.
_LEVEL_STEP_MM = 13.0
_DEEPEST_MM = 32.0  # no sulcus reaches further below the surface; chosen by hand, not tuned
DEEP_GREY = {"gm": 0.6, "wm": 0.4}
"""Caudate, putamen and thalamus as a mixture: their T1 lies between that of cortex and of white matter. Prior."""
# Boxes in template mm that hold the brain and the ventricles with room for their surface.
_BRAIN_LOW, _BRAIN_HIGH = (-76.0, -94.0, -76.0), (76.0, 92.0, 70.0)
_VENTRICLE_LOW, _VENTRICLE_HIGH = (-46.0, -62.0, -58.0), (46.0, 58.0, 32.0)


@dataclass(frozen=True)
class BrainFactors:
    """Measures that differ between the brains of subjects.

    Attributes:
        cortex_mm: thickness of the cortex.
        sulcus_mm: mean width of a sulcus.
        ventricle_ml: volume of the ventricles.
    """

    cortex_mm: float
    sulcus_mm: float
    ventricle_ml: float


def paint_brain(tissue_map: PartialVolumeMap, frame: Frame, factors: BrainFactors, rng: np.random.Generator) -> None:
    """Paints ventricles, choroid plexus, deep grey matter, brain stem, cerebellum and cerebrum, in this order.

    Args:
        tissue_map: changed in place.
        frame: coordinates of its voxels.
        factors: measures of the subject's brain.
        rng: generator of the folds.
    """
    _paint_ventricles(tissue_map, frame, factors)
    _paint_deep_grey(tissue_map, frame)
    box = frame.box(_BRAIN_LOW, _BRAIN_HIGH)
    points = frame.points_in(box)
    _paint_stem(tissue_map, frame)
    _paint_cerebellum(tissue_map, frame, box, rng)
    depth = pial_depth(points, frame.spacing_mm, factors.sulcus_mm, rng)
    voxel = frame.spacing_mm
    covered = coverage(-depth, voxel)
    thickness = factors.cortex_mm + 0.35 * smooth_field(depth.shape, voxel, 30.0, rng)
    white = np.minimum(coverage(thickness - depth, voxel) / np.maximum(covered, 1e-3), 1)
    tissue_map.mix({"wm": white, "gm": 1 - white}, covered, box)


def pial_depth(points: Points, spacing_mm: float, sulcus_mm: float, rng: np.random.Generator) -> Array:
    """Returns the depth below the folded surface of the cerebrum in mm, positive in the brain, float32.

    Args:
        points: x, y and z in template mm, three arrays of one shape, a dense box of voxels.
        spacing_mm: isotropic voxel size.
        sulcus_mm: mean width of a sulcus.
        rng: generator of the folds.
    """
    hull = -head_shapes.cerebrum(points)
    shape = hull.shape
    sway = smooth_field(shape, spacing_mm, 60.0, rng)
    inner = np.maximum(-head_shapes.core(points), 0)
    surface = np.minimum(hull, np.abs(points[0] + sway * np.float32(0.8)) - np.float32(0.9) + 3 * inner)
    reach = 17 + 3 * smooth_field(shape, spacing_mm, 40.0, rng)
    width = sulcus_mm * (1 + 0.35 * smooth_field(shape, spacing_mm, 30.0, rng)) * (1.25 - 0.03 * hull)
    folds = _sheet_distance(points, surface, spacing_mm, rng)
    folds += np.maximum(surface - reach, 0) - np.maximum(width, np.float32(0.3)) / 2
    return np.asarray(np.minimum(np.minimum(surface, folds), _sylvian(points, sway)), dtype=np.float32)


def _sylvian(points: Points, sway: Array) -> Array:
    """Returns the signed distance in mm to the Sylvian fissure and the insula, negative in the fluid."""
    x, y, z = head_shapes.mirrored(points)
    sheet = np.abs(z - (np.float32(-9) - np.float32(0.32) * y + 2.5 * sway)) - np.float32(1.2)
    sheet = sheet + np.maximum(40 - x, 0) + np.maximum(np.abs(y - 6) - 34, 0) * np.float32(0.7)
    bowl = np.float32(37) + np.float32(0.012) * ((y - 8) ** 2 + (z + 8) ** 2) + 1.5 * sway
    insula = np.abs(x - bowl) - np.float32(0.6)
    beside = np.maximum(np.abs(y - 8) - 17, 0) + np.maximum(np.abs(z + 8) - 10, 0)
    return np.asarray(np.minimum(sheet, insula + beside), dtype=np.float32)


def _sheet_distance(points: Points, surface: Array, spacing_mm: float, rng: np.random.Generator) -> Array:
    """Returns the distance in mm to the nearest level set of the folding noise; a sulcus lies on each level set.

    Args:
        points: x, y and z in template mm.
        surface: depth below the hull in mm.
        spacing_mm: isotropic voxel size.
        rng: generator of the noise.
    """
    near = (surface > -2 * spacing_mm) & (surface < _DEEPEST_MM)
    x, y, z = (axis[near] for axis in points)
    radius = np.sqrt((x / 68) ** 2 + (y / 86) ** 2 + (z / 61) ** 2)
    along = np.float32(0.35) + np.float32(0.65) / np.maximum(radius, np.float32(0.62))
    bent = [np.asarray(axis * along, dtype=np.float32) for axis in (x, y, z)]
    noise = np.zeros(x.shape, dtype=np.float32)
    for wavelength_mm, amplitude_mm in OCTAVES_MM:
        lattice = PeriodicNoise(wavelength_mm, rng)
        if wavelength_mm > 3 * spacing_mm:
            noise += np.float32(amplitude_mm) * lattice.at(*bent)
    total = np.zeros(surface.shape, dtype=np.float32)
    total[near] = noise
    slope = np.sqrt(sum(np.square(part) for part in np.gradient(total, spacing_mm)))
    least = np.float32(0.35) * slope[near].mean()
    total -= _LEVEL_STEP_MM * np.round(total / _LEVEL_STEP_MM)
    sheets = np.where(near, np.abs(total) / np.maximum(slope, least), np.float32(_DEEPEST_MM))
    sheets[near] += 60 * np.maximum(np.float32(0.58) - radius, 0)
    return sheets


def ventricle_distance(points: Points) -> Array:
    """Returns the signed distance in mm to the ventricles of the template, whose volume is about 25 mL."""
    pair = head_shapes.mirrored(points)
    body = [(5.0, 40.0, -6.0), (8.0, 33.0, 3.0), (8.0, 18.0, 10.0), (11.0, -4.0, 13.0), (20.0, -22.0, 8.0)]
    lateral = tube(pair, body, [2.5, 5.0, 4.5, 4.5, 7.0])
    occipital = tube(pair, [(20, -22, 8), (25, -38, 0), (22, -56, -2)], [7, 4.5, 1.5])
    temporal = tube(pair, [(22, -22, 6), (32, -16, -14), (34, 8, -26)], [6, 3.2, 1.8])
    lateral = smooth_union(smooth_union(lateral, occipital, 4), temporal, 4)
    third = ellipsoid(points, (0, 8, -8), (2.6, 14, 10))
    aqueduct = tube(points, [(0, -4, -14), (0, -16, -30)], [1.2, 1.0])
    fourth = ellipsoid(points, (0, -22, -42), (7, 5, 12))
    return np.minimum(np.minimum(lateral, third), np.minimum(aqueduct, fourth))


def _paint_ventricles(tissue_map: PartialVolumeMap, frame: Frame, factors: BrainFactors) -> None:
    """Paints choroid plexus and fluid; the ventricles grow or shrink to the volume of the subject."""
    box = frame.box(_VENTRICLE_LOW, _VENTRICLE_HIGH)
    points = frame.points_in(box)
    distance = ventricle_distance(points)
    level = level_of_volume(distance, factors.ventricle_ml * 1000 / frame.spacing_mm**3)
    inside = coverage(distance - level, frame.spacing_mm)
    pair = head_shapes.mirrored(points)
    plexus = tube(pair, [(13, -12, 10), (21, -24, 6), (28, -19, -8)], [1.0, 2.4, 1.0])
    tissue_map.paint("choroid", coverage(plexus, frame.spacing_mm) * inside * np.float32(0.8), box)
    tissue_map.paint("csf", inside, box)


def level_of_volume(distance: Array, voxels: float) -> float:
    """Returns the level of a distance map below which a number of voxels lie.

    Args:
        distance: signed distances in mm, of any shape.
        voxels: number of voxels, more than zero and fewer than `distance` holds.

    Raises:
        ValueError: when `voxels` is outside this range.
    """
    if not 0 < voxels < distance.size:
        raise ValueError(f"{voxels:g} voxels were asked for; the map has {distance.size}")
    return float(np.partition(distance.ravel(), int(voxels))[int(voxels)])


def _paint_deep_grey(tissue_map: PartialVolumeMap, frame: Frame) -> None:
    """Paints caudate, thalamus, putamen and pallidum; the pallidum holds more white matter (0.7), as a prior."""
    box = frame.box((-36.0, -22.0, -24.0), (36.0, 48.0, 26.0))
    points = frame.points_in(box)
    pair = head_shapes.mirrored(points)
    caudate = tube(pair, [(12, 36, -5), (14, 28, 5), (17, 10, 13), (20, -8, 13)], [5.5, 5.0, 3.0, 2.0])
    thalamus = ellipsoid(pair, (11, -1, -1), (8, 15, 9))
    x, y, z = pair
    bowed = np.asarray(x - np.float32(0.10) * np.abs(y - 16), dtype=np.float32)
    lentiform = ellipsoid((bowed, y, z), (26, 16, -5), (5.5, 16, 10))
    nuclei = np.minimum(np.minimum(caudate, thalamus), lentiform)
    pallidum = ellipsoid(pair, (18, 13, -6), (4, 9, 7))
    tissue_map.mix({"gm": 0.3, "wm": 0.7}, coverage(pallidum, frame.spacing_mm), box)
    tissue_map.mix(dict(DEEP_GREY), coverage(nuclei, frame.spacing_mm), box)


def _paint_stem(tissue_map: PartialVolumeMap, frame: Frame) -> None:
    """Paints the brain stem, a mixture of grey (0.3) and white matter (0.7), as a prior."""
    box = frame.box((-20.0, -42.0, -112.0), (20.0, 12.0, -6.0))
    tissue_map.mix({"gm": 0.3, "wm": 0.7}, coverage(head_shapes.stem(frame.points_in(box)), frame.spacing_mm), box)


def _paint_cerebellum(tissue_map: PartialVolumeMap, frame: Frame, whole: Box, rng: np.random.Generator) -> None:
    """Paints the cerebellum with parallel folia and a branching white matter."""
    box = frame.box((-56.0, -84.0, -72.0), (56.0, -16.0, -20.0))
    points = frame.points_in(box)
    depth = -head_shapes.cerebellum(points)
    x, y, z = points
    wobble = smooth_field(depth.shape, frame.spacing_mm, 14.0, rng)
    radius = np.sqrt((0.55 * x) ** 2 + (y + 20) ** 2 + (z + 38) ** 2) + 1.2 * wobble
    sheet = np.abs(radius / 5.5 - np.round(radius / 5.5)) * 5.5
    folded = np.minimum(depth, sheet - np.float32(0.45) + np.maximum(depth - 6, 0))
    branch = np.abs(radius / 11 - np.floor(radius / 11) - 0.5) * 11 - np.float32(1.0)
    white = coverage(np.minimum(11.5 + wobble - depth, np.maximum(branch, 4 - depth)), frame.spacing_mm)
    tissue_map.mix({"wm": white, "gm": 1 - white}, coverage(-folded, frame.spacing_mm), box)
