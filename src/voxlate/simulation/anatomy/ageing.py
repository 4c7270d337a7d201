"""Age in a head from a label map: wider ventricles and wider sulci, painted, so that the truth holds their volumes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from voxlate.simulation.anatomy.label_map import LabelMap
from voxlate.simulation.anatomy.partial_volume import Box
from voxlate.volume import Affine, Array

_LATTICE_MM = 2.0  # the push is smooth: no wave of it is shorter than some 10 mm
_REACH_MM = 18.0  # distance at which the push has fallen to 1/e; larger than the push, so that no tissue folds over
_SMOOTHING_MM = 2.0  # of the distance, so that its gradient turns slowly across the middle of a ventricle
_STRIDE = 4  # voxels between the positions that are looked at to find the box that moves
_OPENING = 3.0  # share of the cortex that is lost beside fluid, per unit of atrophy; chosen by eye, not tuned
_RIM_MM = 1.2  # standard deviation of the smoothing that tells how near the fluid of a sulcus is


def widen_ventricles(source: LabelMap, where: list[Array], amount_mm: float) -> None:
    """Moves sampling positions in place so that the walls of the ventricles lie farther out.

    A wall moves by `amount_mm` along the gradient of the distance to it; the movement fades over some 18 mm of tissue,
    which is compressed.

    Args:
        source: label map.
        where: positions in map voxels, three arrays of one shape.
        amount_mm: distance that the walls move outwards; negative makes the ventricles smaller.
    """
    if amount_mm == 0:
        return
    push, affine = _push(source)
    if push is None:
        return
    to_lattice = np.linalg.inv(affine) @ source.affine
    box = _box_within(where, to_lattice, push)
    rows = [sum(np.float32(row[a]) * where[a][box] for a in range(3)) + np.float32(row[3]) for row in to_lattice[:3]]
    points = np.stack([np.asarray(row, dtype=np.float32) for row in rows])
    to_voxel = np.linalg.inv(source.affine[:3, :3])
    moved = [ndimage.map_coordinates(axis, points, order=1, mode="constant", output=np.float32) for axis in push]
    for axis, row in zip(where, to_voxel, strict=True):
        axis[box] -= np.float32(amount_mm) * sum(np.float32(row[a]) * moved[a] for a in range(3))


def lost_cortex(cortex: Array, fluid: Array, atrophy: float, spacing_mm: float) -> Array:
    """Returns the share of the cortex of each voxel that becomes fluid, float32 of the arrays' shape, 0 to 1.

    Cortex is lost where fluid is near, so that open sulci widen and closed ones stay closed.

    Args:
        cortex: fraction of each voxel that is cortex.
        fluid: fraction of each voxel that is fluid outside the ventricles.
        atrophy: 0 for none, to 1.
        spacing_mm: isotropic voxel size.
    """
    near = ndimage.gaussian_filter(fluid, _RIM_MM / spacing_mm, truncate=3.0, output=np.float32)
    return np.where(cortex > 0, np.minimum(np.float32(_OPENING * atrophy) * near * near, 1), np.float32(0))


@lru_cache(maxsize=2)
def _push(source: LabelMap) -> tuple[NDArray[np.float32] | None, Affine]:
    """Returns the push for 1 mm, (3, i, j, k) in mm, and the affine of its lattice; None without ventricles."""
    ventricles = np.isin(source.groups, source.table.rows("ventricle"))
    if not ventricles.any():
        return None, np.eye(4)
    step = [max(round(_LATTICE_MM / float(side)), 1) for side in source.spacing_mm]
    i, j, k = (slice(None, None, each) for each in step)
    inside = ndimage.uniform_filter(ventricles.astype(np.float32), step)[i, j, k] > 0.5
    spacing = source.spacing_mm * np.array(step)
    distance = ndimage.distance_transform_edt(~inside, spacing) - ndimage.distance_transform_edt(inside, spacing)
    smooth = ndimage.gaussian_filter(distance, _SMOOTHING_MM / spacing)
    gradient = np.stack(np.gradient(smooth, *spacing))
    fade = np.exp(-np.square(np.maximum(distance, 0) / _REACH_MM))
    affine = source.affine @ np.diag([*step, 1.0])
    turned = np.einsum("ab,bijk->aijk", source.affine[:3, :3] / source.spacing_mm, gradient * fade)
    return np.asarray(turned, dtype=np.float32), np.asarray(affine)


def _box_within(where: list[Array], to_lattice: Affine, push: NDArray[np.float32]) -> Box:
    """Returns the box of voxels that the push moves by more than 2 % of the largest movement."""
    some = [axis[::_STRIDE, ::_STRIDE, ::_STRIDE] for axis in where]
    points = np.stack([sum(row[a] * some[a] for a in range(3)) + row[3] for row in to_lattice[:3]])
    strength = np.linalg.norm(push, axis=0)
    found = ndimage.map_coordinates(strength, points, order=1, mode="constant") > 0.02 * strength.max()
    boxes = ndimage.find_objects(found.astype(np.int8))
    if not boxes:
        return slice(0, 0), slice(0, 0), slice(0, 0)
    i, j, k = (
        slice(max((part.start - 1) * _STRIDE, 0), min(part.stop * _STRIDE, n))
        for part, n in zip(boxes[0], where[0].shape, strict=True)
    )
    return i, j, k
