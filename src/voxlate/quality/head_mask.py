"""Where the head is in a scan: found by its brightness alone, whatever the contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from voxlate.errors import InputRefused
from voxlate.preparation.steps.grid import coarser
from voxlate.preparation.steps.orientation import ToRas
from voxlate.preparation.steps.resample import resample
from voxlate.volume import Affine, Array, Mask, Volume

SEARCH_MM = 2.0
MAX_VOXELS = 400_000_000
LARGEST = 1e30
_BRIGHT_PERCENTILE = 99.5
_LARGEST_SHARE = 0.25
_BINS = 128
_MARGIN = 3


@dataclass(frozen=True)
class Head:
    """A scan in the order right, anterior, superior, and which of its voxels are head.

    Attributes:
        volume: with the scan's own voxels, less the value that one voxel in 200 is below, so that air is about zero.
        coarse: the same with no voxel finer than 2 mm, without texture finer than that.
        mask: on `coarse`; the largest body, its holes filled slice by slice.
        level: what stands for bright tissue: the median of the upper half of the head.
    """

    volume: Volume
    coarse: Volume
    mask: Mask
    level: float

    @property
    def volume_ml(self) -> float:
        """Returns the size of the head in millilitres."""
        return float(self.mask.sum()) * self.coarse.grid.voxel_volume_mm3 / 1000

    def box(self) -> tuple[slice, slice, slice]:
        """Returns the box of the head on `coarse`; the whole grid when there is none."""
        found = ndimage.find_objects(self.mask.astype(np.uint8))
        i, j, k = found[0] if found else [slice(0, n) for n in self.mask.shape]
        return i, j, k

    def corners_mm(self) -> tuple[Affine, Affine]:
        """Returns the centres of the first and of the last voxel of the box, in millimetres."""
        box = self.box()
        grid = self.coarse.grid
        return grid.to_mm([part.start for part in box]), grid.to_mm([part.stop - 1 for part in box])


def find_head(volume: Volume) -> Head:
    """Returns the head in a scan of any orientation, contrast and scale.

    Raises:
        InputRefused: `RANGE` for values that no scanner writes, `TOO_LARGE` for more than 400 million voxels.
    """
    if volume.data.size > MAX_VOXELS:
        raise InputRefused("TOO_LARGE", f"{volume.data.size:,} voxels; {MAX_VOXELS:,} are looked at")
    turned = ToRas(volume.grid).apply(volume)
    data = turned.data
    if not float(np.abs(data).max()) < LARGEST:
        raise InputRefused("RANGE", f"values above {LARGEST:g} are no image")
    turned = turned.with_data(data - np.float32(np.percentile(data, 0.5)))
    coarse = resample(turned, coarser(turned.grid, SEARCH_MM))
    mask = _body(coarse.data)
    inside = coarse.data[mask]
    level = float(np.median(inside[inside >= np.median(inside)])) if inside.size else 0.0
    return Head(turned, coarse, mask, level)


def otsu(values: Array, highest: float) -> float:
    """Returns the threshold that parts values in 0 to `highest` into two classes of least variance (Otsu 1979)."""
    if highest <= 0:
        return 0.0
    counts, edges = np.histogram(np.clip(values, 0, highest), bins=_BINS, range=(0, highest))
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts).astype(np.float64)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    between[~np.isfinite(between)] = 0
    best = np.flatnonzero(between == between.max())
    return float(middles[best].mean())


def _body(data: Array) -> Mask:
    bright = float(np.percentile(data, _BRIGHT_PERCENTILE))
    threshold = min(otsu(data, bright), _LARGEST_SHARE * bright)
    # beyond its border a scan goes on as it ended, so that a head that is cut off reaches the border
    above = ndimage.binary_opening(np.pad(data > threshold, _MARGIN, mode="edge"))
    labels, count = ndimage.label(above)
    if not count:
        return np.asarray(data > threshold)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    body = ndimage.binary_closing(labels == sizes.argmax(), iterations=2)[(slice(_MARGIN, -_MARGIN),) * 3]
    for k in range(body.shape[2]):
        body[:, :, k] = ndimage.binary_fill_holes(body[:, :, k])
    return np.asarray(body)
