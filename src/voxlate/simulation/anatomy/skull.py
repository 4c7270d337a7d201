"""Paints what surrounds the brain: fluid, dura, falx and tentorium, bone and marrow, air cells, face and scalp.

Coordinates are template millimetres, as in `head_shapes`; radii and coordinates of structures were chosen by hand to
resemble an adult head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxlate.simulation.anatomy import head_shapes
from voxlate.simulation.anatomy.partial_volume import Frame, PartialVolumeMap
from voxlate.simulation.anatomy.shapes import Point, coverage, ellipsoid, smooth_union, tube
from voxlate.simulation.random_fields import smooth_field
from voxlate.volume import Array

SKIN_MM = 2.0
"""Thickness of the skin. Prior."""
TABLE_MM = 1.5
"""Thickness of the outer and of the inner table of the skull. Prior."""


@dataclass(frozen=True)
class SkullFactors:
    """Thicknesses that differ between the heads of subjects.

    Attributes:
        fluid_mm: mean thickness of the fluid between brain and dura.
        bone_mm: mean thickness of the skull vault.
        scalp_mm: mean thickness of the fat under the skin.
    """

    fluid_mm: float
    bone_mm: float
    scalp_mm: float


@dataclass(frozen=True)
class Envelope:
    """Surfaces of a head, each a float32 array of the volume's shape, in mm.

    Attributes:
        dura: signed distance to the inside of the dura, negative in the cranial cavity.
        bone_mm: thickness of the bone.
        skin: signed distance to the skin, negative in the head.
    """

    dura: Array
    bone_mm: Array
    skin: Array


def envelope(frame: Frame, factors: SkullFactors, rng: np.random.Generator) -> Envelope:
    """Returns the surfaces of a head.

    Args:
        frame: coordinates of the voxels.
        factors: mean thicknesses.
        rng: generator of their variation over the head.
    """
    x, y, z = head_shapes.mirrored(frame.points)
    shape, voxel = frame.shape, frame.spacing_mm
    fluid = np.clip(factors.fluid_mm * (1 + 0.3 * smooth_field(shape, voxel, 50.0, rng)), 0.8, 4.0)
    dura = head_shapes.cavity(frame.points) - fluid
    bone = np.clip(factors.bone_mm * (1 + 0.2 * smooth_field(shape, voxel, 60.0, rng)), 3.0, 8.0)
    fat = np.clip(factors.scalp_mm * (1 + 0.25 * smooth_field(shape, voxel, 60.0, rng)), 2.0, 6.0)
    temple = np.exp(-(((y - 22) / 26) ** 2 + ((z + 16) / 24) ** 2)) * np.clip((x - 30) / 20, 0, 1)
    vault = dura - (1 + bone + fat + SKIN_MM + 8 * temple)
    return Envelope(dura, np.asarray(bone, dtype=np.float32), head_shapes.head(frame.points, vault))


def paint_membranes(tissue_map: PartialVolumeMap, frame: Frame, shells: Envelope) -> None:
    """Paints falx and tentorium, then fluid in the rest of the cranial cavity, then the dura around it.

    Args:
        tissue_map: changed in place; the brain must have been painted.
        frame: coordinates of its voxels.
        shells: surfaces of the head.
    """
    voxel = frame.spacing_mm
    inside = coverage(shells.dura, voxel)
    box = frame.box((-70.0, -96.0, -50.0), (70.0, 92.0, 70.0))
    points = frame.points_in(box)
    x, y, z = points
    outside_core = coverage(6 - head_shapes.core(points), voxel) * coverage(-z - 14, voxel)
    falx = coverage(np.abs(x) - np.float32(0.5), voxel) * outside_core
    under, over = head_shapes.cerebellum(points), head_shapes.cerebrum(points)
    between = np.maximum(np.abs(over - under) / 2 - np.float32(0.5), np.maximum(np.minimum(over, under) - 6, y + 14))
    tissue_map.paint("dura", np.maximum(falx, coverage(between, voxel)) * inside[box], box)
    tissue_map.paint("csf", inside)
    tissue_map.paint("dura", coverage(shells.dura - 1, voxel))


def paint_bone(tissue_map: PartialVolumeMap, frame: Frame, shells: Envelope, rng: np.random.Generator) -> None:
    """Paints the skull vault: two tables of bone with marrow between them.

    Args:
        tissue_map: changed in place.
        frame: coordinates of its voxels.
        shells: surfaces of the head.
        rng: generator of the variation of the marrow.
    """
    voxel = frame.spacing_mm
    outer = shells.dura - 1 - shells.bone_mm
    marrow = np.maximum(outer + TABLE_MM, 1 + TABLE_MM - shells.dura)
    patch = np.clip(0.75 + 0.25 * smooth_field(frame.shape, voxel, 9.0, rng), 0, 1)
    cover = coverage(outer, voxel)
    share = np.minimum(coverage(marrow, voxel) / np.maximum(cover, 1e-3), 1) * patch
    tissue_map.mix({"marrow": share, "bone": 1 - share}, cover * coverage(shells.skin + SKIN_MM, voxel))


def _paint_pituitary(tissue_map: PartialVolumeMap, frame: Frame) -> None:
    box = frame.box((-9.0, 14.0, -48.0), (9.0, 30.0, -34.0))
    points = frame.points_in(box)
    gland = ellipsoid(points, (0, 21, -41), (6, 4.5, 3))
    stalk = tube(points, [(0, 21, -39), (0, 15, -29)], [1.2, 1.5])
    tissue_map.paint("pituitary", coverage(np.minimum(gland, stalk), frame.spacing_mm), box)


def _paint_air_cells(tissue_map: PartialVolumeMap, frame: Frame, rng: np.random.Generator) -> None:
    """Paints mastoid air cells, ear canal and petrous bone."""
    box = frame.box((-66.0, -48.0, -66.0), (66.0, 10.0, -26.0))
    pair = head_shapes.mirrored(frame.points_in(box))
    cells = ellipsoid(pair, (58, -24, -50), (9, 12, 14))
    pattern = smooth_field(cells.shape, frame.spacing_mm, 5.0, rng)
    tissue_map.paint("air", coverage(cells, frame.spacing_mm) * np.clip(0.6 + 0.5 * pattern, 0, 1), box)
    petrous = tube(pair, [(58, -22, -46), (20, 0, -45)], [9, 6])
    canal = tube(pair, [(78, -12, -44), (56, -12, -44)], [3, 3])
    tissue_map.paint("air", coverage(canal, frame.spacing_mm), box)
    tissue_map.paint("bone", coverage(petrous, frame.spacing_mm), box)


def paint_hollows(tissue_map: PartialVolumeMap, frame: Frame, rng: np.random.Generator) -> None:
    """Paints pituitary, ears, eyes, nose and the paranasal sinuses with their mucosa.

    Args:
        tissue_map: changed in place.
        frame: coordinates of its voxels.
        rng: generator of air cells and mucosa.
    """
    _paint_pituitary(tissue_map, frame)
    _paint_air_cells(tissue_map, frame, rng)
    _paint_eyes(tissue_map, frame)
    _paint_airways(tissue_map, frame, rng)


def paint_scalp(tissue_map: PartialVolumeMap, frame: Frame, shells: Envelope, rng: np.random.Generator) -> None:
    """Paints jaw and upper vertebrae, then skin, fat and muscle, then the air around the head.

    Args:
        tissue_map: changed in place.
        frame: coordinates of its voxels.
        shells: surfaces of the head.
        rng: generator of fat and muscle.
    """
    _paint_bones_of_face(tissue_map, frame)
    voxel = frame.spacing_mm
    within = coverage(shells.skin, voxel)
    deeper = coverage(shells.skin + SKIN_MM, voxel)
    tissue_map.paint("skin", within - deeper)
    layer = 4 + 1.5 * smooth_field(frame.shape, voxel, 40.0, rng)
    outer_fat = coverage(-(shells.skin + SKIN_MM + layer), voxel)
    _, y, z = head_shapes.mirrored(frame.points)
    planes = smooth_field(frame.shape, voxel, 22.0, rng)
    streaks = coverage((np.abs(planes) - np.float32(0.13)) * 8, voxel)
    vault = np.clip((z + 30) / 10, 0, 1) * (1 - np.exp(-(((y - 22) / 30) ** 2 + ((z + 16) / 26) ** 2)))
    fat = np.clip(np.maximum(np.maximum(outer_fat, streaks), vault), 0, 1)
    tissue_map.mix({"fat": fat, "muscle": 1 - fat}, within)
    tissue_map.paint("air", 1.0)


def _paint_eyes(tissue_map: PartialVolumeMap, frame: Frame) -> None:
    box = frame.box((-52.0, 30.0, -52.0), (52.0, 100.0, -14.0))
    pair = head_shapes.mirrored(frame.points_in(box))
    voxel = frame.spacing_mm
    globe = ellipsoid(pair, (32, 76, -33), (12, 12, 12))
    tissue_map.paint("lens", coverage(ellipsoid(pair, (32, 84.5, -33), (4.5, 2, 4.5)), voxel), box)
    tissue_map.paint("vitreous", coverage(globe + 1, voxel), box)
    tissue_map.paint("muscle", coverage(globe, voxel), box)
    nerve = tube(pair, [(30, 65, -33), (12, 32, -31)], [2.2, 2.0])
    tissue_map.mix({"wm": 0.8, "csf": 0.2}, coverage(nerve, voxel), box)
    for centre in ((32, 58, -24), (32, 58, -42), (41, 58, -33), (22, 58, -33)):
        end: Point = (20, 38, -33)
        tissue_map.paint(
            "muscle", coverage(tube(pair, [(centre[0], 74, centre[2]), centre, end], [2, 2.4, 1.2]), voxel), box
        )
    orbit = smooth_union(globe, tube(pair, [(32, 72, -33), (18, 36, -33)], [16, 3]), 6)
    tissue_map.paint("fat", coverage(orbit, voxel), box)
    tissue_map.paint("bone", coverage(orbit - 2, voxel) * coverage(pair[1] - 76, voxel), box)


def _paint_airways(tissue_map: PartialVolumeMap, frame: Frame, rng: np.random.Generator) -> None:
    """Paints nasal cavity, paranasal sinuses and throat: air with a lining of mucosa, thin bone around the sinuses."""
    box = frame.box((-48.0, 0.0, -112.0), (48.0, 112.0, -8.0))
    points = frame.points_in(box)
    pair = head_shapes.mirrored(points)
    voxel = frame.spacing_mm
    maxillary = ellipsoid(pair, (29, 58, -64), (14, 17, 16))
    frontal = ellipsoid(pair, (13, 84, -18), (10, 5, 9))
    sphenoid = ellipsoid(pair, (9, 32, -47), (9, 12, 8))
    ethmoid = ellipsoid(pair, (8, 60, -36), (7, 20, 9))
    nasal = smooth_union(
        ellipsoid(pair, (8, 58, -62), (8, 32, 20)), tube(pair, [(6, 88, -66), (7, 104, -72)], [6, 4]), 4
    )
    throat = tube(points, [(0, 28, -66), (0, 16, -82), (0, 10, -114)], [10, 8, 9])
    walled = np.minimum(np.minimum(maxillary, frontal), np.minimum(sphenoid, ethmoid))
    hollow = np.minimum(walled, np.minimum(nasal, throat))
    x, y, z = pair
    wavy = smooth_field(hollow.shape, voxel, 12.0, rng)
    turbinates = np.abs(np.mod(z + 1.5 * wavy, 11) - 5.5) - np.float32(2.6) + np.maximum(nasal + 1, 0)
    cells = np.abs(np.mod(y, 8) - 4) - np.float32(0.7) + np.maximum(ethmoid + 1, 0)
    septum = x - np.float32(1.0) + np.maximum(nasal, 0)
    lining = np.maximum(-hollow - (1.6 + 0.7 * wavy), np.float32(-3))
    soft = coverage(np.minimum(np.minimum(lining, turbinates), np.minimum(cells, septum)), voxel)
    inside = coverage(hollow, voxel)
    tissue_map.mix({"mucosa": soft, "air": 1 - soft}, inside, box)
    tissue_map.paint("bone", coverage(walled - np.float32(1.5), voxel), box)


def _paint_bones_of_face(tissue_map: PartialVolumeMap, frame: Frame) -> None:
    voxel = frame.spacing_mm
    box = frame.box((-62.0, -60.0, -114.0), (62.0, 96.0, -36.0))
    points = frame.points_in(box)
    pair = head_shapes.mirrored(points)
    jaw = tube(pair, [(50, 4, -60), (46, 16, -98), (26, 60, -104), (0, 76, -106)], [4.5, 5.5, 6, 6.5])
    palate = smooth_union(
        ellipsoid(pair, (0, 66, -83), (24, 22, 2.5)),
        tube(pair, [(24, 50, -84), (18, 74, -84), (0, 84, -84)], [4, 4.5, 4.5]),
        3,
    )
    zygoma = tube(pair, [(58, 0, -50), (60, 30, -52), (44, 66, -54)], [2.5, 2.5, 5])
    dens = tube(points, [(0, -6, -72), (0, -8, -114)], [6, 9])
    arch = tube(pair, [(10, -12, -82), (22, -24, -84), (12, -44, -86), (0, -48, -86)], [6, 6, 4, 4])
    second = tube(pair, [(10, -12, -104), (20, -24, -106), (10, -46, -108), (0, -52, -108)], [6, 6, 4, 5])
    bones = np.min([jaw, palate, zygoma, dens, arch, second], axis=0)
    cover = coverage(bones, voxel)
    marrow = np.minimum(coverage(bones + TABLE_MM, voxel) / np.maximum(cover, 1e-3), 1)
    tissue_map.mix({"marrow": marrow, "bone": 1 - marrow}, cover, box)
