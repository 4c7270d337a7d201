"""Tissue maps: the tissues of every voxel of one simulated brain, in eight bytes a voxel.

A simulated head takes seconds to build, and its images depend on scanner, agent and noise. A tissue map keeps what does
not depend on them: the largest tissues of each voxel with their shares. An image of any sequence is then a weighted sum
of the signals of a few tissues.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from voxlate.simulation.anatomy.partial_volume import Box, PaintedAnatomy
from voxlate.simulation.anatomy.tissues import TISSUES, Tissue
from voxlate.simulation.lesions.lesions import Lesion
from voxlate.volume import Array, Mask

Bytes = NDArray[np.uint8]

KEPT = 4
"""Tissues that are kept in a voxel. A fifth one holds less than 0.1 % of the volume of a brain of 1 mm."""
WHOLE = 255
"""The shares of a voxel sum to this."""
REACH_MM = 5.0
"""The map reaches so far beyond the brain, for masks that are cut wide and for tissue that a deformation moves in."""
DEPTH_STEP_MM = 0.1
"""Resolution of the stored depth: a byte then holds depths of -5 to 20.5 mm."""
ENHANCING_UPTAKE = 0.05
"""Least uptake of a voxel that enhances visibly: some 0.03 mM, which shortens the T1 of white matter by a tenth."""
SAMPLED = 8192
"""Random voxels of the brain that give its intensity scale; the standard error of their median is some 0.3 %."""


@dataclass(frozen=True)
class TissueMap:
    """The tissues of one brain; the arrays may be memory-mapped files.

    Attributes:
        names: of the tissues.
        spacing_mm: isotropic voxel size.
        index: (i, j, k, KEPT), numbers of the largest tissues of each voxel in `names`.
        share: (i, j, k, KEPT), their shares; they sum to `WHOLE`.
        depth: (i, j, k), `depth_mm` of each voxel in steps of `DEPTH_STEP_MM` above `-REACH_MM`.
        lesions: (i, j, k), number of the lesion, from 1, that fills at least half of a voxel, else 0.
        enhancing: (n,), flat indices of the brain's voxels that enhance.
        sample: (m,), flat indices of random voxels of the brain.
        lesion_tissues: field strength in tesla to the tissues of the lesions by name.
    """

    names: tuple[str, ...]
    spacing_mm: float
    index: Bytes
    share: Bytes
    depth: Bytes
    lesions: Bytes
    enhancing: NDArray[np.int64]
    sample: NDArray[np.int64]
    lesion_tissues: Mapping[float, Mapping[str, Tissue]]

    @cached_property
    def enhancing_lesions(self) -> NDArray[np.int64]:
        """Returns those of `enhancing` that lie in a lesion, which windows are centred on."""
        return np.asarray(self.enhancing[self.lesions.reshape(-1)[self.enhancing] > 0])

    @cached_property
    def sampled(self) -> tuple[Bytes, Bytes]:
        """Returns `index` and `share` at the voxels of `sample`, (m, KEPT) each; every window needs them."""
        places = np.unravel_index(self.sample, self.shape)
        return np.asarray(self.index[places]), np.asarray(self.share[places])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Returns the number of voxels along each axis."""
        i, j, k = self.depth.shape
        return i, j, k


def depth_mm(stored: Bytes) -> Array:
    """Returns the depth of voxels below the surface of the brain in mm, negative outside, float32 of their shape."""
    return np.asarray(stored * np.float32(DEPTH_STEP_MM) - np.float32(REACH_MM), dtype=np.float32)


def compact(
    painted: PaintedAnatomy, lesions_at: Mapping[float, Sequence[Lesion]], rng: np.random.Generator
) -> TissueMap:
    """Returns the tissue map of a painted head, cropped to the brain.

    Args:
        painted: head with its lesions.
        lesions_at: field strength in tesla to the lesions with their tissues at that field.
        rng: chooses the sample.
    """
    box, depth = _depth(painted.inside >= 0.5, painted.frame.spacing_mm)
    names = tuple(sorted({part.tissue for part in painted.tissue_map.parts}))
    index, share = _largest(painted, names, box)
    lesion_tissues: dict[float, dict[str, Tissue]] = {field: {} for field in lesions_at}
    labels = np.zeros(painted.inside.shape, dtype=np.uint8)
    for field, lesions in lesions_at.items():
        for lesion in lesions:
            lesion_tissues[field] |= lesion.tissues
    for number, lesion in enumerate(next(iter(lesions_at.values()), ()), start=1):
        labels[painted.tissue_map.total(*lesion.tissues) >= 0.5] = number
    inside = depth_mm(depth) > 0
    uptakes = {name: tissue.uptake for name, tissue in TISSUES.items()}
    uptakes |= {name: tissue.uptake for tissues in lesion_tissues.values() for name, tissue in tissues.items()}
    uptake = np.array([uptakes[name] for name in names], dtype=np.float32) / WHOLE
    concentrated = np.zeros(inside.shape, dtype=np.float32)
    for kept in range(KEPT):
        concentrated += uptake[index[..., kept]] * share[..., kept]
    return TissueMap(
        names,
        painted.frame.spacing_mm,
        index,
        share,
        depth,
        labels[box],
        np.flatnonzero(inside & (concentrated > ENHANCING_UPTAKE)),
        np.sort(rng.choice(np.flatnonzero(inside), SAMPLED)),
        lesion_tissues,
    )


def _depth(inside: Mask, spacing_mm: float) -> tuple[Box, Bytes]:
    """Returns the box around a brain and the stored depth of its voxels, of the shape of the box."""
    reach = int(np.ceil(REACH_MM / spacing_mm))
    found = ndimage.find_objects(inside.astype(np.uint8))[0]
    i, j, k = (
        slice(max(part.start - reach, 0), min(part.stop + reach, size))
        for part, size in zip(found, inside.shape, strict=True)
    )
    cropped = inside[i, j, k]
    # The surface lies half a voxel outside the centres of the outermost voxels.
    within = ndimage.distance_transform_edt(cropped, sampling=spacing_mm) - spacing_mm / 2
    outside = ndimage.distance_transform_edt(~cropped, sampling=spacing_mm) - spacing_mm / 2
    steps = (np.where(cropped, within, -outside) + REACH_MM) / DEPTH_STEP_MM
    return (i, j, k), np.clip(np.rint(steps), 0, 255).astype(np.uint8)


def _largest(painted: PaintedAnatomy, names: Sequence[str], box: Box) -> tuple[Bytes, Bytes]:
    """Returns the numbers of the largest tissues of each voxel of a box and their shares, (i, j, k, KEPT) each.

    Args:
        painted: painted head.
        names: of all tissues.
        box: of voxels.
    """
    shape = tuple(axis.stop - axis.start for axis in box)
    index, share = (np.zeros((*shape, KEPT), dtype=np.uint8) for _ in range(2))
    for plane in range(shape[0]):
        filled = _fractions(painted, names, box, plane)
        order = np.argsort(-filled, axis=0, kind="stable")[:KEPT]
        kept = np.take_along_axis(filled, order, axis=0)
        kept = kept / np.maximum(kept.sum(axis=0), np.float32(1e-6)) * WHOLE
        whole = np.floor(kept).astype(np.int64)
        whole[0] += WHOLE - whole.sum(axis=0)
        index[plane], share[plane] = np.moveaxis(order, 0, -1), np.moveaxis(whole, 0, -1)
    return index, share


def _fractions(painted: PaintedAnatomy, names: Sequence[str], box: Box, plane: int) -> Array:
    """Returns the fraction of each voxel of one plane of a box that each tissue fills, (tissues, j, k)."""
    _, across, along = box
    filled = np.zeros((len(names), across.stop - across.start, along.stop - along.start), dtype=np.float32)
    at = box[0].start + plane
    for part in painted.tissue_map.parts:
        i, j, k = part.box
        j_low, j_high = max(j.start, across.start), min(j.stop, across.stop)
        k_low, k_high = max(k.start, along.start), min(k.stop, along.stop)
        if i.start <= at < i.stop and j_low < j_high and k_low < k_high:
            mine = part.fraction[at - i.start, j_low - j.start : j_high - j.start, k_low - k.start : k_high - k.start]
            of_tissue = filled[names.index(part.tissue)]
            of_tissue[j_low - across.start : j_high - across.start, k_low - along.start : k_high - along.start] += mine
    return filled
