"""Builds a head from a label map of a real one: positioned, mirrored and deformed anew for every subject."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from voxlate.simulation.anatomy import head_shapes, vessels
from voxlate.simulation.anatomy.formula_head import head_grid, triple
from voxlate.simulation.anatomy.label_map import AIR, BONE, DURA, FIRST_ROW, SOFT, LabelMap
from voxlate.simulation.anatomy.partial_volume import Box, Frame, PaintedAnatomy, Part, PartialVolumeMap
from voxlate.simulation.anatomy.shapes import rotation
from voxlate.simulation.random_fields import smooth_field
from voxlate.volume import Array, Shape

BENDING_MM = ((36.0, 1.6), (14.0, 0.5))
"""Wavelength and standard deviation of the displacement. The determinant of the deformation stays above 0.2 (the
smallest of eight draws was 0.22), so that no tissue folds over."""

_COARSEST_SAMPLING = 1.5
"""Voxels larger than this many voxels of the map are sampled at 8 points, so that thin cortex is not missed."""

_SLAB = 4
"""Planes that are sampled at a time, so that the weights of all groups take some 30 MiB."""


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
    """

    anatomy: str
    is_mirrored: bool
    scale: tuple[float, float, float]
    shift_mm: tuple[float, float, float]
    turn_deg: tuple[float, float, float]
    shares: dict[str, float]
    veins: int
    fluid_mm: float


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
    fractions, inside = _sample(source, where, spacing_mm)
    ventricles = _sum(frame.shape, fractions, [i for i in fractions if _is_ventricle(source, i)])
    tissue_map = PartialVolumeMap(frame.shape)
    for index in list(fractions):
        # Popped so that its memory, some 30 MiB at 1 mm, is freed once it is painted.
        _paint_group(tissue_map, frame, factors, source, (index, fractions.pop(index)), soft_rng)
    tissue_map.parts.append(Part("air", tissue_map.whole, tissue_map.free.copy()))
    tissue_map.free[:] = 0
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
    i, j, k = ndimage.find_objects((fraction > 0).view(np.int8))[0]
    box: Box = (i, j, k)
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
    bent = [_displacement(shape, spacing_mm, rng) for _ in range(3)]
    index = np.ogrid[tuple(slice(0, n) for n in shape)]
    points = [
        np.asarray(sum(row[a] * index[a] for a in range(3)) + row[3] + axis, dtype=np.float32)
        for row, axis in zip(to_template[:3], bent, strict=True)
    ]
    sign = np.array([-1.0 if factors.is_mirrored else 1.0, 1.0, 1.0])
    to_map = np.eye(4)
    to_map[:3, :3] = np.diag(ratio * sign)
    to_map[:3, 3] = (source.low_mm + source.high_mm) / 2 - to_map[:3, :3] @ ((low + high) / 2)
    to_voxel = np.linalg.inv(source.affine) @ to_map
    where = [
        np.asarray(sum(np.float32(row[a]) * points[a] for a in range(3)) + np.float32(row[3]), dtype=np.float32)
        for row in to_voxel[:3]
    ]
    frame = Frame(spacing_mm, affine, (points[0], points[1], points[2]), np.asarray(np.linalg.inv(to_template)))
    return frame, where


def _displacement(shape: Shape, spacing_mm: float, rng: np.random.Generator) -> Array:
    """Returns the random displacement along one axis in mm, float32 of `shape`."""
    total = np.zeros(shape, np.float32)
    for wavelength, deviation in BENDING_MM:
        total += np.float32(deviation) * smooth_field(shape, spacing_mm, wavelength, rng)
    return total


@lru_cache(maxsize=1)
def _template_box() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the corners, (3,) each, of the bounding box of the template's cerebrum in template mm."""
    axes = [np.arange(-100, 101, 1.0, dtype=np.float32).reshape(at) for at in ((-1, 1, 1), (1, -1, 1), (1, 1, -1))]
    x, y, z = np.broadcast_arrays(*axes)
    index = np.argwhere(head_shapes.cerebrum((x, y, z)) < 0) - 100.0
    return index.min(axis=0), index.max(axis=0)


def _sample(source: LabelMap, where: list[Array], spacing_mm: float) -> tuple[dict[int, Array], Array]:
    """Returns the fraction of each voxel that each group except air fills, and the fraction inside the dura.

    Labels are weighted trilinearly; for voxels larger than the map's the weights of eight points are averaged.

    Args:
        source: label map.
        where: coordinates in map voxels, three arrays of the result's shape.
        spacing_mm: isotropic voxel size of the result.
    """
    shape = where[0].shape
    size = np.array(source.groups.shape).reshape(3, 1)
    count = FIRST_ROW + len(source.table.groups)
    fractions = {index: np.zeros(shape, np.float32) for index in range(1, count)}
    inside = np.zeros(shape, np.float32)
    offsets = _offsets(where, source, spacing_mm)
    for start in range(0, shape[0], _SLAB):
        slab = slice(start, min(start + _SLAB, shape[0]))
        points = np.stack([axis[slab].ravel() for axis in where])
        nearest = np.rint(points).astype(np.int32)
        i, j, k = np.clip(nearest, 0, size - 1)
        chosen = source.near[i, j, k] & ((nearest >= -1) & (nearest <= size)).all(axis=0)
        if not chosen.any():
            continue
        total, held = _weights(points[:, chosen], source, offsets, count)
        is_chosen = chosen.reshape(inside[slab].shape)
        inside[slab][is_chosen] = held
        for index in np.flatnonzero(total.any(axis=0)):
            if index != AIR:
                fractions[int(index)][slab][is_chosen] = total[:, index]
    return {index: fraction for index, fraction in fractions.items() if fraction.any()}, inside


def _offsets(where: list[Array], source: LabelMap, spacing_mm: float) -> list[NDArray[np.float32]]:
    """Returns the points of a voxel that are sampled, (3,) each, relative to its centre, in map voxels."""
    map_mm = float(np.abs(np.linalg.det(source.affine[:3, :3]))) ** (1 / 3)
    if spacing_mm <= _COARSEST_SAMPLING * map_mm:
        return [np.zeros(3, np.float32)]
    steps = np.array([[np.diff(w, axis=axis).mean() for axis in range(3)] for w in where])
    corners = np.array(np.meshgrid(*[[-0.25, 0.25]] * 3)).reshape(3, -1).T
    return [np.asarray(steps @ corner, dtype=np.float32) for corner in corners]


def _weights(
    where: NDArray[np.float32], source: LabelMap, offsets: list[NDArray[np.float32]], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the weight of each group at each point, (points, groups), and of the inside of the dura, (points,).

    Args:
        where: (3, points), in map voxels.
        source: label map.
        offsets: relative positions that are averaged, (3,) each, in map voxels.
        count: number of groups, those outside the table included.
    """
    size = where.shape[1]
    shape = np.array(source.groups.shape)
    flat, hull = source.groups.ravel(), source.inside.ravel()
    total, inside = np.zeros(size * count), np.zeros(size)
    row = np.arange(size) * count
    for offset in offsets:
        points = [axis + step for axis, step in zip(where, offset, strict=True)]
        base = [np.floor(axis).astype(np.int32) for axis in points]
        part = [axis - first for axis, first in zip(points, base, strict=True)]
        for corner in np.ndindex(2, 2, 2):
            weight = np.ones(size, np.float32)
            index = np.zeros(size, np.int64)
            is_in_map = np.ones(size, np.bool_)
            for axis, step in enumerate(corner):
                weight *= part[axis] if step else 1 - part[axis]
                at = base[axis] + step
                is_in_map &= (at >= 0) & (at < shape[axis])
                index = index * shape[axis] + np.clip(at, 0, shape[axis] - 1)
            group = np.where(is_in_map, flat[index], np.uint8(AIR))
            total += np.bincount(row + group, weight, minlength=size * count)
            inside += weight * (hull[index] & is_in_map)
    scale = 1 / len(offsets)
    return (total * scale).reshape(size, count), inside * scale


def _sum(shape: Shape, fractions: dict[int, Array], chosen: list[int]) -> Array:
    """Returns the summed fractions of some groups, float32 of `shape`."""
    total = np.zeros(shape, np.float32)
    for index in chosen:
        total += fractions[index]
    return total


def _is_ventricle(source: LabelMap, index: int) -> bool:
    return index >= FIRST_ROW and list(source.table.groups.values())[index - FIRST_ROW].ventricle
