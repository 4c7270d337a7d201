"""Builds a head from formulas and seeded noise, as a partial-volume map.

The subject's head is the template of `head_shapes`, scaled to the drawn axes and intracranial volume, turned, shifted
and warped by spherical harmonics. Scanner coordinates are RAS+ mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import sph_harm_y

from voxlate.errors import UsageError
from voxlate.simulation.anatomy import head_shapes, vessels
from voxlate.simulation.anatomy.brain import BrainFactors, paint_brain
from voxlate.simulation.anatomy.partial_volume import Frame, PaintedAnatomy, PartialVolumeMap
from voxlate.simulation.anatomy.shapes import Points, coverage, rotation
from voxlate.simulation.anatomy.skull import (
    SkullFactors,
    envelope,
    paint_bone,
    paint_hollows,
    paint_membranes,
    paint_scalp,
)
from voxlate.simulation.random_fields import spline_field
from voxlate.volume import Affine, Array, Shape

COARSEST_MM, FINEST_MM = 4.0, 0.5
"""Largest voxel that shows this anatomy, and smallest: at 0.5 mm one array of the volume takes 0.28 GB."""
_WARP_DEGREE, _WARP_RMS = 4, 0.03  # degree of the spherical harmonics and rms of the radius; priors
_COARSE_MM = 12.0  # the warp is computed at this spacing and interpolated; its shortest wave is some 140 mm long
_GRID_CORNERS_MM = np.array(head_shapes.LOW_MM), np.array(head_shapes.HIGH_MM)


@dataclass(frozen=True)
class HeadFactors:
    """Random factors of one head; with the seed of its noise they are enough to build it again.

    Attributes:
        age_years: age.
        semi_axes_mm: semi-axes of the cerebrum: right-left, anterior-posterior, superior-inferior.
        intracranial_ml: volume inside the dura above the foramen magnum.
        shift_mm: position of the head in the scanner, x, y, z.
        turn_deg: rotation of the head about x, y, z.
        brain: measures of the brain.
        skull: thickness of fluid, bone and fat.
        veins: number of cortical veins.
        pial_vessel: fraction of the subarachnoid fluid that small vessels fill.
    """

    age_years: float
    semi_axes_mm: tuple[float, float, float]
    intracranial_ml: float
    shift_mm: tuple[float, float, float]
    turn_deg: tuple[float, float, float]
    brain: BrainFactors
    skull: SkullFactors
    veins: int
    pial_vessel: float


def draw_head_factors(rng: np.random.Generator) -> HeadFactors:
    """Returns the random factors of one head; atrophy grows with age.

    Semi-axes, intracranial volume and thicknesses are priors chosen for this project, in the range of adults.
    """
    age = float(rng.uniform(20, 85))
    loss = (age - 20) / 65
    axes = tuple(float(mean + sd * _normal(rng)) for mean, sd in ((68, 3), (85, 4), (62, 3)))
    brain = BrainFactors(
        cortex_mm=float(2.85 - 0.3 * loss + 0.2 * _normal(rng)),
        sulcus_mm=float(0.6 + 0.9 * loss + 0.15 * _normal(rng)),
        ventricle_ml=float(np.clip(17 + 25 * loss**1.5 + 5 * _normal(rng), 15, 60)),
    )
    skull = SkullFactors(
        fluid_mm=float(np.clip(1.3 + 0.9 * loss + 0.25 * _normal(rng), 1, 4)),
        bone_mm=float(np.clip(6.2 + 0.8 * _normal(rng), 3.5, 8)),
        scalp_mm=float(np.clip(3.8 + 0.9 * _normal(rng), 2, 6)),
    )
    return HeadFactors(
        age_years=age,
        semi_axes_mm=(axes[0], axes[1], axes[2]),
        intracranial_ml=float(np.clip(1450 + 130 * _normal(rng), 1150, 1750)),
        shift_mm=triple(rng, 2.5),
        turn_deg=triple(rng, 3.0),
        brain=brain,
        skull=skull,
        veins=int(rng.integers(14, 24)),
        pial_vessel=float(rng.uniform(0.03, 0.08)),
    )


def head_grid(spacing_mm: float) -> tuple[Shape, Affine]:
    """Returns the shape and the affine (4, 4), voxel index to RAS+ mm, of a grid of isotropic voxels around a head.

    Example:
        >>> head_grid(2.0)[0]
        (96, 120, 96)

    Raises:
        UsageError: `GRID_TOO_SMALL` when the voxels are too large for the anatomy, or too many for memory.
    """
    if not FINEST_MM <= spacing_mm <= COARSEST_MM:
        raise UsageError(
            "GRID_TOO_SMALL",
            f"voxels of {spacing_mm:g} mm are too large or too small for a head; choose {FINEST_MM:g} to "
            f"{COARSEST_MM:g} mm",
        )
    low, high = _GRID_CORNERS_MM
    i, j, k = (round(extent / spacing_mm) for extent in high - low)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = low + spacing_mm / 2
    return (i, j, k), affine


def build_head(factors: HeadFactors, spacing_mm: float, seed: np.random.SeedSequence) -> PaintedAnatomy:
    """Returns a head painted from its factors; the same factors, spacing and seed give the same bytes.

    Args:
        factors: factors of the head.
        spacing_mm: isotropic voxel size.
        seed: seed of warp, folds and vessels.

    Raises:
        UsageError: `GRID_TOO_SMALL`; see `head_grid`.
    """
    warp_rng, shell_rng, vessel_rng, brain_rng, face_rng = (np.random.default_rng(s) for s in seed.spawn(5))
    frame = _frame(factors, spacing_mm, warp_rng)
    shells = envelope(frame, factors.skull, shell_rng)
    tissue_map = PartialVolumeMap(frame.shape)
    fluid = factors.skull.fluid_mm
    veins = [*vessels.sinuses(fluid), *vessels.cortical_veins(vessel_rng, factors.veins, fluid)]
    tissue_map.paint("blood", vessels.vessel_share(frame, [*veins, *vessels.perforators(vessel_rng, 60)]))
    tissue_map.paint("artery", vessels.vessel_share(frame, vessels.arteries()))
    paint_brain(tissue_map, frame, factors.brain, brain_rng)
    paint_membranes(tissue_map, frame, shells)
    _mix_pial_vessels(tissue_map, factors.pial_vessel)
    paint_hollows(tissue_map, frame, face_rng)
    paint_bone(tissue_map, frame, shells, face_rng)
    paint_scalp(tissue_map, frame, shells, face_rng)
    return PaintedAnatomy(tissue_map, frame, coverage(shells.dura, spacing_mm))


def _mix_pial_vessels(tissue_map: PartialVolumeMap, share: float) -> None:
    """Turns a share of the fluid around the brain into blood, for the small vessels there."""
    # The fluid painted last is that around the brain; the ventricles, which hold no such vessels, are painted first.
    fluid = [part for part in tissue_map.parts if part.tissue == "csf"][-1]
    vessel = fluid.fraction * np.float32(share)
    fluid.fraction -= vessel
    tissue_map.parts.append(type(fluid)("blood", fluid.box, vessel))


def _frame(factors: HeadFactors, spacing_mm: float, rng: np.random.Generator) -> Frame:
    """Returns the frame of a head whose size makes the intracranial volume the drawn one."""
    shape, affine = head_grid(spacing_mm)
    ratio = np.divide(factors.semi_axes_mm, (68.0, 85.0, 62.0))
    harmonics = rng.standard_normal((_WARP_DEGREE + 1) ** 2 - 4)
    unscaled = _template_of_scanner(factors, ratio)
    scale = (factors.intracranial_ml / _intracranial_ml(unscaled, harmonics, factors.skull.fluid_mm)) ** (1 / 3)
    matrix = _template_of_scanner(factors, ratio * scale) @ affine
    to_index = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    return Frame(spacing_mm, affine, _warped_points(shape, spacing_mm, matrix, harmonics), to_index)


def _template_of_scanner(factors: HeadFactors, ratio: np.ndarray) -> Affine:
    """Returns the (4, 4) map from scanner to template mm; `ratio`, (3,), is the head's size over the template's."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag(1 / ratio) @ rotation(factors.turn_deg)
    matrix[:3, 3] = -matrix[:3, :3] @ np.asarray(factors.shift_mm)
    return matrix


def _warped_points(shape: Shape, spacing_mm: float, matrix: Affine, harmonics: np.ndarray) -> Points:
    """Returns the template coordinates of each voxel in mm; `matrix`, (4, 4), maps voxel index to unwarped mm."""
    index = [
        np.arange(n, dtype=np.float32).reshape(at)
        for n, at in zip(shape, ((-1, 1, 1), (1, -1, 1), (1, 1, -1)), strict=True)
    ]
    flat = [sum(np.float32(row[a]) * index[a] for a in range(3)) + np.float32(row[3]) for row in matrix[:3]]
    stride = max(round(_COARSE_MM / spacing_mm), 1)
    control_shape = [n // stride + 4 for n in shape]
    steps = [
        np.linspace(-(n - 1) / (c - 3), (n - 1) * (1 + 1 / (c - 3)), c)
        for n, c in zip(shape, control_shape, strict=True)
    ]
    grid = np.stack(np.meshgrid(*steps, indexing="ij"))
    coarse = np.einsum("ab,bijk->aijk", matrix[:3, :3], grid) + matrix[:3, 3, None, None, None]
    factor = spline_field(_radial_warp(coarse, harmonics), shape)
    x, y, z = (np.asarray(axis * factor, dtype=np.float32) for axis in flat)
    return x, y, z


def _radial_warp(points: np.ndarray, harmonics: np.ndarray) -> Array:
    """Returns the factor by which points move along their ray from the centre, float32 of the points' shape.

    It is 1 + a sum of spherical harmonics of degree 2 to 4 and 3 % rms, which fades towards the centre.

    Args:
        points: (3, ...), template mm.
        harmonics: weights of the harmonics, (21,).
    """
    x, y, z = points
    radius = np.sqrt(x**2 + y**2 + z**2) + 1e-6
    polar, azimuth = np.arccos(z / radius), np.arctan2(y, x)
    total = np.zeros_like(radius)
    weights = iter(harmonics)
    power = 0.0
    for degree in range(2, _WARP_DEGREE + 1):
        power += (2 * degree + 1) / degree**4
        for order in range(degree + 1):
            value = sph_harm_y(degree, order, polar, azimuth) * (np.sqrt(2) if order else 1) / degree**2
            total += next(weights) * value.real
            if order:
                total += next(weights) * value.imag
    rms = np.sqrt(power / (4 * np.pi))
    fade = radius**2 / (radius**2 + 35.0**2)
    return np.asarray(1 + _WARP_RMS * fade * total / rms, dtype=np.float32)


def _intracranial_ml(matrix: Affine, harmonics: np.ndarray, fluid_mm: float) -> float:
    """Returns the volume inside the dura above the foramen magnum."""
    spacing = 4.0  # mm; partial volumes make the coarse grid accurate enough: the test allows 3 %
    shape, affine = head_grid(spacing)
    points = _warped_points(shape, spacing, matrix @ affine, harmonics)
    above_foramen = points[2] > -64
    inside = coverage(head_shapes.cavity(points) - np.float32(fluid_mm), spacing) * above_foramen
    return float(inside.sum()) * spacing**3 / 1000


def _normal(rng: np.random.Generator) -> float:
    """Returns a standard normal draw, clipped at ±2.5 so that no anatomy becomes impossible."""
    return float(np.clip(rng.standard_normal(), -2.5, 2.5))


def triple(rng: np.random.Generator, sd: float) -> tuple[float, float, float]:
    """Returns three normal draws.

    Args:
        rng: generator of the draws.
        sd: standard deviation; draws are clipped at 2.5 of it.
    """
    return sd * _normal(rng), sd * _normal(rng), sd * _normal(rng)
