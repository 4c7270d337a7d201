"""Builds a section of lumbar spine: three discs, vertebrae, thecal sac, nerve roots, facet joints, muscles and fat.

Template coordinates are millimetres from the centre of the middle disc: x right, y anterior, z superior. The grade of a
disc (Pfirrmann I to IV) sets the T2 of its nucleus; on CT the grade shows only weakly, by a few HU, the height, a bulge
and sometimes gas. Radii and coordinates were chosen by hand to resemble an adult lumbar spine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxlate.simulation.anatomy.partial_volume import Box, Frame, PaintedAnatomy, PartialVolumeMap
from voxlate.simulation.anatomy.shapes import Points, coverage, ellipsoid, smooth_cut, smooth_union, tube
from voxlate.simulation.random_fields import smooth_field
from voxlate.volume import Affine, Array, Shape

LOW_MM, HIGH_MM = (-80.0, -96.0, -48.0), (80.0, 64.0, 48.0)
"""Corners of the grid in template mm."""
LEVEL_MM = 37.0
"""Distance between the centres of neighbouring discs. Prior."""
DISC_LEVELS_MM = (-LEVEL_MM, 0.0, LEVEL_MM)
"""z of the centre of each disc."""
NUCLEUS_SHARE = 0.55
"""Share of a disc's cross-section that is nucleus. Prior."""
_SHELL_MM = 1.0  # thickness of compact bone; prior


@dataclass(frozen=True)
class DiscFactors:
    """One disc.

    Attributes:
        grade: Pfirrmann grade, 1 to 4 for I to IV.
        nucleus_t2_ms: T2 of the nucleus, which depends on the grade.
        nucleus_hu: CT number of the nucleus in HU, which depends weakly on the grade.
        height_mm: height, which depends weakly on the grade.
        bulge_mm: posterior bulge, which depends weakly on the grade.
        has_gas: whether it holds gas (vacuum phenomenon).
        sac_mm: anterior-posterior width of the thecal sac at its level; below 10 mm is a stenosis.
    """

    grade: int
    nucleus_t2_ms: float
    nucleus_hu: float
    height_mm: float
    bulge_mm: float
    has_gas: bool
    sac_mm: float


@dataclass(frozen=True)
class SpineFactors:
    """Random factors of one section of spine.

    Attributes:
        discs: from inferior to superior.
        scale: size over that of the template.
        fat_share: share of fat in the muscles of the back, 0 to 1.
        skin_fat_mm: thickness of the fat under the skin.
        flavum_mm: thickness of the ligamentum flavum.
        shift_mm: position in the scanner, x, y, z.
    """

    discs: tuple[DiscFactors, ...]
    scale: float
    fat_share: float
    skin_fat_mm: float
    flavum_mm: float
    shift_mm: tuple[float, float, float]


def spine_grid(spacing_mm: float) -> tuple[Shape, Affine]:
    """Returns the shape and the affine (4, 4), voxel index to RAS+ mm, of a grid of isotropic voxels."""
    i, j, k = (round((high - low) / spacing_mm) for low, high in zip(LOW_MM, HIGH_MM, strict=True))
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = np.asarray(LOW_MM) + spacing_mm / 2
    return (i, j, k), affine


def draw_spine_factors(discs: tuple[DiscFactors, ...], rng: np.random.Generator) -> SpineFactors:
    """Returns the random factors of one section of spine; the ranges are priors chosen for this project.

    Args:
        discs: from inferior to superior.
        rng: generator of the draws.
    """
    x, y, z = (float(value) for value in rng.normal(0, 1.5, 3))
    return SpineFactors(
        discs=discs,
        scale=float(np.clip(rng.normal(1, 0.05), 0.88, 1.12)),
        fat_share=float(rng.uniform(0.05, 0.50)),
        skin_fat_mm=float(rng.uniform(6, 24)),
        flavum_mm=float(rng.uniform(2, 5)),
        shift_mm=(x, y, z),
    )


def build_spine(factors: SpineFactors, spacing_mm: float, seed: np.random.SeedSequence) -> PaintedAnatomy:
    """Returns a section of spine painted from its factors; the same factors, spacing and seed give the same bytes.

    Args:
        factors: factors of the section.
        spacing_mm: isotropic voxel size.
        seed: seed of the warp, of fat and of nerve roots.
    """
    rng = np.random.default_rng(seed)
    frame = _frame(factors, spacing_mm, rng)
    tissue_map = PartialVolumeMap(frame.shape)
    _paint_discs(tissue_map, frame, factors, rng)
    _paint_canal(tissue_map, frame, factors, rng)
    _paint_joints(tissue_map, frame, factors)
    _paint_bodies(tissue_map, frame, factors)
    column = 1 - tissue_map.free
    _paint_vessels(tissue_map, frame)
    _paint_soft(tissue_map, frame, factors, rng)
    return PaintedAnatomy(tissue_map, frame, column)


def _frame(factors: SpineFactors, spacing_mm: float, rng: np.random.Generator) -> Frame:
    shape, affine = spine_grid(spacing_mm)
    matrix = np.diag([1 / factors.scale] * 3 + [1.0])
    matrix[:3, 3] = -np.asarray(factors.shift_mm) / factors.scale
    matrix = np.asarray(matrix @ affine, dtype=np.float64)
    sway = 1.2 * np.stack([smooth_field(shape, spacing_mm, 70.0, rng) for _ in range(3)])
    index = np.indices(shape, dtype=np.float32, sparse=True)
    x, y, z = (np.float32(matrix[a, a]) * index[a] + np.float32(matrix[a, 3]) + sway[a] for a in range(3))
    return Frame(spacing_mm, affine, (x, y + np.float32(0.004) * z * z, z), np.linalg.inv(matrix))


def _section(points: Points, half_width: float, half_depth: float) -> Array:
    """Returns the signed distance in mm to the outline of a vertebral body or disc, concave towards the canal."""
    x, y, _ = points
    radius = np.sqrt((x / half_width) ** 2 + (y / half_depth) ** 2)
    outline = (radius - 1) * np.float32(min(half_width, half_depth))
    hollow = np.sqrt(x * x + (y + np.float32(half_depth + 11)) ** 2) - np.float32(14)
    return smooth_cut(np.asarray(outline, dtype=np.float32), -hollow, 5)


def _between(z: Array, middle: float, height: float) -> Array:
    """Returns the signed distance in mm to a slab of `height` around z = `middle`."""
    return np.asarray(np.abs(z - np.float32(middle)) - np.float32(height / 2), dtype=np.float32)


def _paint_discs(tissue_map: PartialVolumeMap, frame: Frame, factors: SpineFactors, rng: np.random.Generator) -> None:
    for number, (disc, level) in enumerate(zip(factors.discs, DISC_LEVELS_MM, strict=True), start=1):
        box = frame.box((-32.0, -26.0, level - 8), (32.0, 24.0, level + 8))
        points = frame.points_in(box)
        x, y, z = points
        slab = _between(z, level, disc.height_mm + 1.5)
        back = disc.bulge_mm * np.exp(-((x / 9) ** 2)) * np.clip(-y / 10, 0, 1)
        outline = np.maximum(_section(points, 25, 17) - back, slab)
        inner = np.sqrt(NUCLEUS_SHARE)
        nucleus = np.maximum(_section((x, y + 1, z), 25 * inner, 17 * inner), slab + 1)
        voxel = frame.spacing_mm
        cleft = np.maximum(np.abs(y + 0.1 * x) - 6, np.abs(z - np.float32(level)) - np.float32(0.8)) + np.maximum(
            np.abs(x) - 9, 0
        )
        if disc.has_gas:
            tissue_map.paint("air", coverage(cleft, voxel) * np.float32(0.7), box)
        share = coverage(nucleus, 2.5)
        tissue_map.mix({f"D{number}-nucleus": share, f"D{number}-annulus": 1 - share}, coverage(outline, voxel), box)


def _paint_canal(tissue_map: PartialVolumeMap, frame: Frame, factors: SpineFactors, rng: np.random.Generator) -> None:
    """Paints nerve roots, the fluid of the thecal sac, dura, ligamentum flavum and epidural fat."""
    box = frame.box((-18.0, -46.0, -50.0), (18.0, -12.0, 50.0))
    points = frame.points_in(box)
    x, y, z = points
    voxel = frame.spacing_mm
    width = np.full(z.shape, 14.0, dtype=np.float32)
    for disc, level in zip(factors.discs, DISC_LEVELS_MM, strict=True):
        width += np.float32(disc.sac_mm - 14) * np.exp(-(((z - np.float32(level)) / 9) ** 2))
    middle = np.float32(-18.5) - width / 2
    sac = (np.sqrt((x / 9) ** 2 + ((y - middle) / (width / 2)) ** 2) - 1) * np.minimum(width / 2, 9)
    roots = np.zeros(z.shape, dtype=np.float32)
    for _ in range(16):
        across, depth = rng.uniform(-6.5, 6.5), rng.uniform(-0.1, 0.75)
        lean = rng.normal(0, 0.02)
        distance = np.hypot(
            x - np.float32(across) - np.float32(lean) * z, y - middle + np.float32(depth) * (width / 2 - 1.5)
        )
        drawn = max(0.65, voxel / 2)
        np.maximum(roots, coverage(distance - np.float32(drawn), voxel) * np.float32((0.65 / drawn) ** 2), out=roots)
    inside = coverage(sac, voxel)
    tissue_map.paint("cord", roots * inside, box)
    tissue_map.paint("csf", inside, box)
    tissue_map.paint("dura", coverage(sac - np.float32(0.5), voxel), box)
    at_disc = np.max([np.exp(-(((z - np.float32(level)) / 12) ** 2)) for level in DISC_LEVELS_MM], axis=0)
    roof = (
        np.abs(np.abs(x) * np.float32(0.75) + (y + 40)) * np.float32(0.8) - np.float32(factors.flavum_mm / 2) * at_disc
    )
    roof = np.maximum(roof, np.abs(x) - 14)
    tissue_map.paint("ligament", coverage(roof, voxel) * np.clip(2 * at_disc, 0, 1), box)
    canal = (np.sqrt((x / 13) ** 2 + ((y + 27) / 11) ** 2) - 1) * 11
    tissue_map.paint("fat", coverage(np.asarray(canal, dtype=np.float32), voxel), box)


def _bone(tissue_map: PartialVolumeMap, distance: Array, voxel: float, box: Box, shell_mm: float = _SHELL_MM) -> None:
    """Paints a bone: a compact shell of `shell_mm` around cancellous bone."""
    cover = coverage(distance, voxel)
    inner = np.minimum(coverage(distance + np.float32(shell_mm), voxel) / np.maximum(cover, 1e-3), 1)
    tissue_map.mix({"vertebra": inner, "bone": 1 - inner}, cover, box)


def _paint_joints(tissue_map: PartialVolumeMap, frame: Frame, factors: SpineFactors) -> None:
    """Paints the facet joints at each disc, and laminae and spinous processes between discs."""
    box = frame.box((-40.0, -92.0, -50.0), (40.0, -14.0, 50.0))
    points = frame.points_in(box)
    x, y, z = points
    voxel = frame.spacing_mm
    pair = (np.abs(x), y, z)
    joints = np.full(z.shape, 99.0, dtype=np.float32)
    bones = joints
    for level in DISC_LEVELS_MM:
        gap = np.abs((pair[0] - 20) * np.float32(0.75) - (y + 37) * np.float32(0.66)) - np.float32(0.9)
        lump = ellipsoid(pair, (20, -37, level), (11, 10, 15))
        joints = np.minimum(joints, np.maximum(gap, lump + 2))
        bones = np.minimum(bones, lump)
    for middle in (-1.5 * LEVEL_MM, -0.5 * LEVEL_MM, 0.5 * LEVEL_MM, 1.5 * LEVEL_MM):
        pedicle = tube(pair, [(14, -12, middle + 6), (18, -34, middle + 4)], [6.5, 6.0])
        lamina = tube(pair, [(18, -36, middle), (3, -46, middle - 4)], [4.5, 4.0])
        spinous = tube(points, [(0, -46, middle - 5), (0, -72, middle - 12)], [4.0, 5.0])
        bones = np.minimum(bones, smooth_union(np.minimum(pedicle, spinous), lamina, 3))
    tissue_map.paint("cartilage", coverage(joints, voxel), box)
    _bone(tissue_map, bones, voxel, box, 2.0)


def _paint_bodies(tissue_map: PartialVolumeMap, frame: Frame, factors: SpineFactors) -> None:
    box = frame.box((-34.0, -26.0, -50.0), (34.0, 26.0, 50.0))
    points = frame.points_in(box)
    _, _, z = points
    phase = np.abs(z / np.float32(LEVEL_MM) - np.round(z / np.float32(LEVEL_MM)))
    waist = np.float32(2.2) * np.clip((phase - 0.2) / 0.3, 0, 1)
    section = _section(points, 25.5, 17.5) + waist
    discs = np.min(
        [_between(z, level, disc.height_mm) for disc, level in zip(factors.discs, DISC_LEVELS_MM, strict=True)], axis=0
    )
    _bone(tissue_map, np.maximum(section, -np.asarray(discs, dtype=np.float32)), frame.spacing_mm, box, 0.8)


def _paint_vessels(tissue_map: PartialVolumeMap, frame: Frame) -> None:
    box = frame.box((-30.0, 16.0, -50.0), (34.0, 48.0, 50.0))
    points = frame.points_in(box)
    aorta = tube(points, [(-9, 30, -60), (-7, 29, 60)], [8.5, 9.5])
    cava = tube(points, [(15, 29, -60), (13, 29, 60)], [9.5, 10.5])
    wall = np.minimum(np.abs(aorta), np.abs(cava)) - np.float32(0.7)
    tissue_map.paint("muscle", coverage(wall, frame.spacing_mm), box)
    tissue_map.paint("artery", coverage(np.minimum(aorta, cava), frame.spacing_mm), box)


def _paint_soft(tissue_map: PartialVolumeMap, frame: Frame, factors: SpineFactors, rng: np.random.Generator) -> None:
    x, y, z = frame.points
    voxel = frame.spacing_mm
    pair = (np.abs(x), y, z)
    skin = np.float32(-88) - y + np.float32(0.0016) * x * x - np.float32(4) * np.exp(-((x / 12) ** 2))
    skin = np.asarray(skin, dtype=np.float32)
    psoas = (np.sqrt(((pair[0] - 46) / 17.5) ** 2 + ((y + 4) / 22.5) ** 2) - 1) * 17
    back = (np.sqrt(((pair[0] - 31) / 29) ** 2 + ((y + 60) / 23) ** 2) - 1) * 23
    square = (np.sqrt(((pair[0] - 68) / 14) ** 2 + ((y + 26) / 12) ** 2) - 1) * 12
    wall = np.abs(np.hypot(x / 1.15, y + 10) - 84) - 5
    muscles = np.min([psoas, back, square, wall], axis=0)
    streaks = smooth_field(frame.shape, voxel, 8.0, rng)
    level = float(np.quantile(streaks[:: max(streaks.shape[0] // 40, 1)], 1 - factors.fat_share))
    lean = np.clip(0.5 - (streaks - level) * 1.2, 0, 1) * (0.4 + 0.6 * (back > -20)) + 0.0
    lean = np.where(back < psoas, lean, np.float32(1) - np.float32(0.12) * (streaks > 1.2))
    inside = coverage(skin, voxel)
    tissue_map.paint("skin", inside - coverage(skin + 2, voxel))
    below = coverage(skin + np.float32(2 + factors.skin_fat_mm), voxel)
    lean = np.asarray(lean * coverage(np.asarray(muscles, dtype=np.float32), voxel) * below, dtype=np.float32)
    tissue_map.mix({"muscle": lean, "fat": 1 - lean}, inside)
    tissue_map.paint("air", 1.0)
