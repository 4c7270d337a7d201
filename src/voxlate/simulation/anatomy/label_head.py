"""Builds a head from a label map of a real one: positioned, mirrored and deformed anew for every subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from voxlate.simulation.anatomy import head_shapes, vessels
from voxlate.simulation.anatomy.ageing import lost_cortex, widen_ventricles
from voxlate.simulation.anatomy.formula_head import head_grid, triple
from voxlate.simulation.anatomy.label_map import BONE, DURA, FIRST_ROW, SOFT, LabelMap
from voxlate.simulation.anatomy.partial_volume import Box, Frame, PaintedAnatomy, Part, PartialVolumeMap
from voxlate.simulation.anatomy.sampling import sample_groups
from voxlate.simulation.anatomy.shapes import rotation
from voxlate.simulation.random_fields import smooth_field
from voxlate.volume import Array, Shape

BENDING_MM = ((36.0, 1.6), (14.0, 0.5))
"""Wavelength and standard deviation of the displacement of a map of a real head. The determinant of the deformation
stays above 0.2 (the smallest of eight draws was 0.22), so that no tissue folds over."""
STRONG_BENDING_MM = ((110.0, 3.0), (50.0, 1.1), (24.0, 0.6))
"""The same for the one head of the package, so that its patients differ in size and shape as people do."""
EMBEDDED_SCALE = 0.92
"""Mean size over that of the map: the ICBM template is larger than people's brains by a quarter of their volume."""


@dataclass(frozen=True)
class LabelHeadFactors:
    """Random factors of one head from a label map.

    Attributes:
        anatomy: first 12 digits of the map's SHA-256.
        is_mirrored: whether left and right are exchanged.
        scale: size over that of the map: right-left, anterior-posterior, superior-inferior.
        shift_mm: position of the head in the scanner, x, y, z.
        turn_deg: rotation of the head about x, y, z.
        shares: group to the share of its first tissue, 0 to 1.
        veins: number of cortical veins.
        fluid_mm: thickness of the layer between brain and dura that holds sinuses and veins.
        age_years: age, or None for a map of a real head, whose age is not known.
        ventricle_mm: distance that the walls of the ventricles lie outside those of the map.
        atrophy: 0 for the sulci of the map, to 1 for the widest.
        bending_mm: wavelength and standard deviation of each part of the displacement.
    """

    anatomy: str
    is_mirrored: bool
    scale: tuple[float, float, float]
    shift_mm: tuple[float, float, float]
    turn_deg: tuple[float, float, float]
    shares: dict[str, float]
    veins: int
    fluid_mm: float
    age_years: float | None = None
    ventricle_mm: float = 0.0
    atrophy: float = 0.0
    bending_mm: tuple[tuple[float, float], ...] = BENDING_MM


def draw_label_head_factors(rng: np.random.Generator, source: LabelMap) -> LabelHeadFactors:
    """Returns the random factors of one head.

    Args:
        rng: generator of the draws.
        source: label map of the head.
    """
    is_mirrored = bool(rng.random() < 0.5)
    scale = triple(rng, 0.05)
    return LabelHeadFactors(
        anatomy=source.name,
        is_mirrored=is_mirrored,
        # Adult heads differ by some 5 % along an axis, and their position in a coil by a few millimetres and degrees.
        scale=(1 + scale[0], 1 + scale[1], 1 + scale[2]),
        shift_mm=triple(rng, 2.5),
        turn_deg=triple(rng, 4.0),
        shares={
            name: next(iter(group.tissues.values())) + group.varies * float(rng.uniform(-1, 1))
            for name, group in source.table.groups.items()
        },
        veins=int(rng.integers(18, 35)),
        fluid_mm=float(rng.uniform(1.0, 2.5)),
    )


def draw_embedded_head_factors(rng: np.random.Generator, source: LabelMap) -> LabelHeadFactors:
    """Returns the random factors of one head from the map of the package; ventricles and sulci widen with age.

    Args:
        rng: generator of the draws.
        source: the map of the package.
    """
    drawn = draw_label_head_factors(rng, source)
    age = float(rng.uniform(20, 85))
    loss = (age - 20) / 65
    ventricle, atrophy, _ = triple(rng, 1.0)
    scale = [EMBEDDED_SCALE + 0.8 * (side - 1) for side in drawn.scale]
    return replace(
        drawn,
        scale=(scale[0], scale[1], scale[2]),
        age_years=age,
        # Priors chosen by eye: from slit-like ventricles at 20 years to some 60 ml at 85, twice those of the map.
        ventricle_mm=float(np.clip(-0.8 + 4.0 * loss**1.5 + 0.7 * ventricle, -1.5, 5.0)),
        atrophy=float(np.clip(0.05 + 0.6 * loss + 0.12 * atrophy, 0, 1)),
        bending_mm=STRONG_BENDING_MM,
    )


def build_label_head(
    factors: LabelHeadFactors, source: LabelMap, spacing_mm: float, seed: np.random.SeedSequence
) -> PaintedAnatomy:
    """Returns a head painted from a label map; the same factors, map, spacing and seed give the same bytes.

    Vessels and lesions are placed in template coordinates. The map is scaled so that its cerebrum, without the
    outermost 0.2 % on each side, fills the bounding box of the template's cerebrum. With the outermost voxels more of
    the sinuses would lie in bone.

    Args:
        factors: factors of the head.
        source: label map that they were drawn for.
        spacing_mm: isotropic voxel size of the result.
        seed: seed of the deformation, vessels and soft tissue.

    Raises:
        UsageError: `GRID_TOO_SMALL`; see `head_grid`.
    """
    bend_rng, vessel_rng, soft_rng = (np.random.default_rng(s) for s in seed.spawn(3))
    frame, where = _frame(factors, source, spacing_mm, bend_rng)
    widen_ventricles(source, where, factors.ventricle_mm)
    fractions, inside = sample_groups(source, where, spacing_mm)
    ventricles = _sum(frame.shape, fractions, source.table.rows("ventricle"))
    lost = _lost_cortex(factors, source, fractions, frame)
    tissue_map = PartialVolumeMap(frame.shape)
    for index in list(fractions):
        # Popped so that its memory, some 30 MiB at 1 mm, is freed once it is painted.
        _paint_group(tissue_map, frame, factors, source, (index, fractions.pop(index)), soft_rng)
    tissue_map.parts.append(Part("air", tissue_map.whole, tissue_map.free.copy()))
    tissue_map.free[:] = 0
    if lost is not None:
        tissue_map.convert("gm", "csf", lost, tissue_map.whole)
    _paint_vessels(tissue_map, frame, factors, vessel_rng)
    return PaintedAnatomy(tissue_map, frame, inside, ventricles)


def _paint_group(
    tissue_map: PartialVolumeMap,
    frame: Frame,
    factors: LabelHeadFactors,
    source: LabelMap,
    group: tuple[int, Array],
    rng: np.random.Generator,
) -> None:
    """Fills the voxels of one group with its tissues.

    Args:
        tissue_map: changed in place.
        frame: coordinates of its voxels.
        factors: factors of the head, which hold the shares of the tissues.
        source: label map.
        group: index of the group, and the fraction of each voxel that it fills, of the volume's shape.
        rng: generator of fat and muscle.
    """
    index, fraction = group
    box = _box_of(fraction)
    amount = fraction[box]
    tissue_map.free[box] -= amount
    if index == SOFT:
        shares = _fat_and_muscle(frame, box, rng)
    elif index in (BONE, DURA):
        shares = {"bone" if index == BONE else "dura": np.float32(1)}
    else:
        name, row = list(source.table.groups.items())[index - FIRST_ROW]
        names = list(row.tissues)
        values = list(row.tissues.values())
        moved = factors.shares[name] - values[0]
        values[0] += moved
        if len(values) > 1:
            values[1] -= moved
        shares = {tissue: np.float32(value) for tissue, value in zip(names, values, strict=True)}
    tissue_map.parts.extend(Part(name, box, np.asarray(amount * share, np.float32)) for name, share in shares.items())


def _fat_and_muscle(frame: Frame, box: Box, rng: np.random.Generator) -> dict[str, Array | np.float32]:
    """Returns the shares of fat and muscle in a box: fat over the vault, layers of fat between muscles below."""
    # Shares and scale were chosen by eye on sagittal T1w: layers of some 1 cm, a little more fat than muscle.
    planes = smooth_field(frame.shape, frame.spacing_mm, 22.0, rng)[box]
    _, _, z = frame.points_in(box)
    over_vault = np.clip((z - 20) / 20, 0, 1)  # 2 to 4 cm above the brain's centre the muscles end
    between = np.clip(np.float32(0.55) + np.float32(0.9) * planes, 0.05, 0.95)
    fat = np.asarray(np.maximum(between, over_vault * np.float32(0.9)), dtype=np.float32)
    return {"fat": fat, "muscle": 1 - fat}


def _paint_vessels(
    tissue_map: PartialVolumeMap, frame: Frame, factors: LabelHeadFactors, rng: np.random.Generator
) -> None:
    """Turns fluid and dura into blood where the template's vessels run, and white matter along the perforators."""
    fluid = factors.fluid_mm
    veins = [*vessels.sinuses(fluid), *vessels.cortical_veins(rng, factors.veins, fluid)]
    share = vessels.vessel_share(frame, veins)
    for tissue in ("csf", "dura"):
        tissue_map.convert(tissue, "blood", share, tissue_map.whole)
    tissue_map.convert("wm", "blood", vessels.vessel_share(frame, vessels.perforators(rng, 60)), tissue_map.whole)
    tissue_map.convert("csf", "artery", vessels.vessel_share(frame, vessels.arteries()), tissue_map.whole)


def _frame(
    factors: LabelHeadFactors, source: LabelMap, spacing_mm: float, rng: np.random.Generator
) -> tuple[Frame, list[Array]]:
    """Returns the frame, and the coordinates of its voxels in the map: three arrays of its shape, in map voxels."""
    low, high = _template_box()
    ratio = (source.high_mm - source.low_mm) / (high - low)
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag(1 / (ratio * factors.scale)) @ rotation(factors.turn_deg)
    matrix[:3, 3] = -matrix[:3, :3] @ np.asarray(factors.shift_mm)
    shape, affine = head_grid(spacing_mm)
    to_template = matrix @ affine
    bent = [_displacement(shape, spacing_mm, factors.bending_mm, rng) for _ in range(3)]
    index = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij", sparse=True)
    points = [_affine_row(row, index) + axis for row, axis in zip(to_template[:3], bent, strict=True)]
    sign = np.array([-1.0 if factors.is_mirrored else 1.0, 1.0, 1.0])
    to_map = np.eye(4)
    to_map[:3, :3] = np.diag(ratio * sign)
    to_map[:3, 3] = (source.low_mm + source.high_mm) / 2 - to_map[:3, :3] @ ((low + high) / 2)
    to_voxel = np.linalg.inv(source.affine) @ to_map
    where = [_affine_row(row, points) for row in to_voxel[:3]]
    frame = Frame(spacing_mm, affine, (points[0], points[1], points[2]), np.asarray(np.linalg.inv(to_template)))
    return frame, where


def _affine_row(row: NDArray[np.float64], points: Sequence[Array]) -> Array:
    """Returns one coordinate of transformed points, float32; the points are three arrays that broadcast together.

    Coefficients below 1e-9 are left out: the grids of most maps are parallel to the axes.
    """
    terms = [np.float32(row[a]) * points[a] for a in range(3) if abs(row[a]) > 1e-9]
    total = terms[0] + np.float32(row[3])
    for term in terms[1:]:
        total = total + term
    return np.asarray(total, dtype=np.float32)


def _displacement(
    shape: Shape, spacing_mm: float, bending_mm: tuple[tuple[float, float], ...], rng: np.random.Generator
) -> Array:
    """Returns the random displacement along one axis in mm, float32 of `shape`."""
    total = np.zeros(shape, np.float32)
    for wavelength, deviation in bending_mm:
        total += np.float32(deviation) * smooth_field(shape, spacing_mm, wavelength, rng)
    return total


@lru_cache(maxsize=1)
def _template_box() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the corners, (3,) each, of the bounding box of the template's cerebrum in template mm."""
    axes = [np.arange(-100, 101, 1.0, dtype=np.float32).reshape(at) for at in ((-1, 1, 1), (1, -1, 1), (1, 1, -1))]
    x, y, z = np.broadcast_arrays(*axes)
    index = np.argwhere(head_shapes.cerebrum((x, y, z)) < 0) - 100.0
    return index.min(axis=0), index.max(axis=0)


def _box_of(fraction: Array) -> Box:
    """Returns the smallest box that holds all voxels above zero; there is at least one."""
    rows = np.flatnonzero(fraction.any(axis=(1, 2)))
    i = slice(int(rows[0]), int(rows[-1]) + 1)
    plane = fraction[i].max(axis=0)
    j, k = (np.flatnonzero(plane.any(axis=axis)) for axis in (1, 0))
    return i, slice(int(j[0]), int(j[-1]) + 1), slice(int(k[0]), int(k[-1]) + 1)


def _sum(shape: Shape, fractions: dict[int, Array], chosen: list[int]) -> Array:
    """Returns the summed fractions of some groups, float32 of `shape`; a group that is not present adds nothing."""
    total = np.zeros(shape, np.float32)
    for index in chosen:
        if index in fractions:
            total += fractions[index]
    return total


def _lost_cortex(
    factors: LabelHeadFactors, source: LabelMap, fractions: dict[int, Array], frame: Frame
) -> Array | None:
    """Returns the share of the cortex that the atrophy turns into fluid, of the frame's shape; None without atrophy."""
    if not factors.atrophy:
        return None
    rows = list(enumerate(source.table.groups.values(), start=FIRST_ROW))
    cortex = [i for i, group in rows if group.cerebrum and "gm" in group.tissues]
    fluid = [i for i, group in rows if group.inside and not group.ventricle and "csf" in group.tissues]
    held, wet = (_sum(frame.shape, fractions, chosen) for chosen in (cortex, fluid))
    return lost_cortex(held, wet, factors.atrophy, frame.spacing_mm)
