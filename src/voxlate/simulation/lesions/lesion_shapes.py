"""Paints lesions: irregular ellipsoids with a core, oedema in white matter, wedge-shaped infarcts."""

from __future__ import annotations

import numpy as np

from voxlate.errors import UsageError
from voxlate.simulation.anatomy import head_shapes
from voxlate.simulation.anatomy.partial_volume import Box, Frame, PartialVolumeMap
from voxlate.simulation.anatomy.shapes import Points, coverage
from voxlate.simulation.lesions.lesions import LESION_KINDS, Lesion, require_fit
from voxlate.simulation.random_fields import smooth_field
from voxlate.volume import Array

# Amplitude of the irregular outline over the radius, by kind (0.12 for others); chosen by hand, not tuned.
_IRREGULAR = {"glioma": 0.22, "metastasis": 0.10, "meningioma": 0.06, "infarct": 0.15, "haemorrhage": 0.18}


def paint_lesion(
    tissue_map: PartialVolumeMap, frame: Frame, lesion: Lesion, cavity: Array, rng: np.random.Generator
) -> None:
    """Paints a lesion in front of the tissues of a map.

    Args:
        tissue_map: changed in place.
        frame: coordinates of its voxels.
        lesion: lesion with its position.
        cavity: float32 of the volume's shape, fraction of each voxel in which the lesion may grow.
        rng: generator of its outline.

    Raises:
        UsageError: `LESION_DOES_NOT_FIT`.
    """
    require_fit(lesion)
    reach = lesion.diameter_mm * 0.75 + 1.5 * lesion.oedema_mm + 2
    x, y, z = lesion.centre_mm
    box = frame.box((x - reach, y - reach, z - reach), (x + reach, y + reach, z + reach))
    points = frame.points_in(box)
    distance = _outline(lesion, points, frame.spacing_mm, rng)
    if not (distance < frame.spacing_mm).any():
        raise UsageError(
            "LESION_DOES_NOT_FIT", f"lesion {lesion.name} touches no voxel of the grid of {frame.shape} voxels"
        )
    if lesion.oedema_mm > 0.5:
        wavy = smooth_field(distance.shape, frame.spacing_mm, 20.0, rng)
        swelling = coverage(distance - lesion.oedema_mm * np.maximum(1 + 0.45 * wavy, 0.1), 2 * frame.spacing_mm)
        tissue_map.convert("wm", "oedema", swelling * np.float32(0.9), box)
    _paint_solid(tissue_map, frame, lesion, distance, box, cavity, rng)


def _paint_solid(
    tissue_map: PartialVolumeMap,
    frame: Frame,
    lesion: Lesion,
    distance: Array,
    box: Box,
    cavity: Array,
    rng: np.random.Generator,
) -> None:
    """Paints the solid part, and the core in it; `distance` is the signed distance to the outline in mm."""
    inside = _covered(distance, lesion.diameter_mm, frame.spacing_mm)
    hosts = LESION_KINDS[lesion.kind].grows_in
    if hosts:  # what the lesion does not grow in stays as it is
        share = inside * cavity[box] if "csf" in hosts else inside
        for host in hosts:
            tissue_map.convert(host, f"{lesion.name}-solid", share, box)
        return
    inside *= cavity[box]
    if LESION_KINDS[lesion.kind].site in ("white", "ventricle", "surface"):
        inside *= coverage(head_shapes.cerebrum(frame.points_in(box)), frame.spacing_mm)
    tissue_map.overlay(f"{lesion.name}-solid", inside, box)
    if lesion.core_share > 0:
        shrunk = lesion.diameter_mm / 2 * (1 - lesion.core_share ** (1 / 3))
        uneven = smooth_field(distance.shape, frame.spacing_mm, max(lesion.diameter_mm / 3, 4.0), rng)
        filled = coverage(distance + shrunk * np.maximum(1 + 0.3 * uneven, 0.3), frame.spacing_mm)
        tissue_map.convert(f"{lesion.name}-solid", f"{lesion.name}-core", filled, box)


def _outline(lesion: Lesion, points: Points, spacing_mm: float, rng: np.random.Generator) -> Array:
    """Returns the signed distance in mm to the irregular outline of a lesion."""
    x, y, z = (axis - np.float32(at) for axis, at in zip(points, lesion.centre_mm, strict=True))
    radius = np.float32(lesion.diameter_mm / 2)
    stretch = np.exp(rng.normal(0, 0.12, 3)).astype(np.float32)
    if lesion.kind == "plaque":
        stretch = np.array([1.4, 0.8, 0.9], dtype=np.float32)
    distance = np.sqrt((x / stretch[0]) ** 2 + (y / stretch[1]) ** 2 + (z / stretch[2]) ** 2) - radius
    rough = _IRREGULAR.get(lesion.kind, 0.12)
    distance += (
        radius * np.float32(rough) * smooth_field(distance.shape, spacing_mm, max(lesion.diameter_mm / 2, 5.0), rng)
    )
    if lesion.kind == "infarct":
        distance = np.maximum(distance, _wedge(lesion, (x, y, z)))
    return np.asarray(distance, dtype=np.float32)


def _wedge(lesion: Lesion, offsets: Points) -> Array:
    """Returns the signed distance in mm to a cone that widens towards the surface of the brain.

    Args:
        lesion: lesion with its position.
        offsets: x, y and z relative to the centre of the lesion, in mm.
    """
    outwards = np.asarray(lesion.centre_mm) / max(float(np.linalg.norm(lesion.centre_mm)), 1e-6)
    a, b, c = (np.float32(value) for value in outwards)
    x, y, z = offsets
    height = x * a + y * b + z * c + np.float32(lesion.diameter_mm / 2)
    across = np.sqrt(np.maximum(x * x + y * y + z * z - (height - np.float32(lesion.diameter_mm / 2)) ** 2, 0))
    return np.asarray((across - np.float32(0.55) * height) * np.float32(0.88), dtype=np.float32)


def _covered(distance: Array, diameter_mm: float, spacing_mm: float) -> Array:
    """Returns the fraction of each voxel that a lesion fills; a lesion smaller than two voxels keeps its volume.

    Args:
        distance: signed distance to its outline in mm.
        diameter_mm: diameter of the lesion.
        spacing_mm: isotropic voxel size.
    """
    if diameter_mm >= 2 * spacing_mm:
        return coverage(distance, spacing_mm)
    inside = coverage(distance, 2 * spacing_mm)
    voxels = np.pi / 6 * diameter_mm**3 / spacing_mm**3
    filled = inside * np.float32(voxels / max(float(inside.sum()), 1e-6))
    return np.asarray(np.minimum(filled, 1), dtype=np.float32)
