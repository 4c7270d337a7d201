"""Finds the head in a scan by brightness alone, for any image contrast."""

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
"""Least voxel size of the search: finer voxels cost time and do not change the outline of a head. Chosen by hand."""

MAX_VOXELS = 400_000_000
"""Most voxels of a scan, 1.6 GB in float32, so that a few copies fit into memory. Chosen by hand."""

MAX_VALUE = 1e30
"""Larger values are refused: no scanner writes them. Chosen by hand, far below the largest float32, 3e38."""

# Excludes vessels and spikes, which must not set the scale; chosen by hand.
_BRIGHT_PERCENTILE = 99.5

# Largest threshold as a share of bright tissue: in an image of high contrast, Otsu's threshold falls between dark and
# bright tissue instead of between air and tissue. Chosen by hand.
_MAX_THRESHOLD = 0.25

_BINS = 128  # of the histogram for Otsu's threshold; chosen by hand
_MARGIN = 3  # voxels by which the image is extended: two closings and one opening reach that far


@dataclass(frozen=True)
class Head:
    """A scan with axes right, anterior, superior (RAS+), and the mask of its head.

    Attributes:
        volume: the scan at its own resolution, minus its 0.5th percentile, so that air is about zero.
        coarse: `volume` at voxels of at least 2 mm, smoothed against aliasing.
        mask: on the grid of `coarse`: the largest bright body, holes filled in each axial slice.
        level: intensity of bright tissue: the median of the brighter half of the voxels in the mask.
    """

    volume: Volume
    coarse: Volume
    mask: Mask
    level: float

    @property
    def volume_ml(self) -> float:
        """Returns the volume of the head in ml."""
        return self.coarse.grid.volume_cm3(self.mask)

    def box(self) -> tuple[slice, slice, slice]:
        """Returns the bounding box of the head in voxels of `coarse`; the whole grid when the mask is empty."""
        boxes = ndimage.find_objects(self.mask.astype(np.uint8))
        i, j, k = boxes[0] if boxes else [slice(0, n) for n in self.mask.shape]
        return i, j, k

    def corners_mm(self) -> tuple[Affine, Affine]:
        """Returns the centres of the first and the last voxel of the box, float arrays (3,) in RAS+ mm."""
        box = self.box()
        grid = self.coarse.grid
        return grid.to_mm([part.start for part in box]), grid.to_mm([part.stop - 1 for part in box])


def find_head(volume: Volume) -> Head:
    """Returns the head in a scan.

    Args:
        volume: of any orientation, image contrast and intensity scale.

    Raises:
        InputRefused: `RANGE` for values above 1e30, `TOO_LARGE` for more than 400 million voxels.
    """
    if volume.data.size > MAX_VOXELS:
        raise InputRefused(
            "TOO_LARGE", f"the scan has {volume.data.size:,} voxels, above {MAX_VOXELS:,}; crop or resample it"
        )
    turned = ToRas(volume.grid).apply(volume)
    data = turned.data
    if not float(np.abs(data).max()) < MAX_VALUE:
        raise InputRefused("RANGE", f"the scan has values above {MAX_VALUE:g}, which no scanner writes")
    turned = turned.with_data(data - np.float32(np.percentile(data, 0.5)))
    coarse = resample(turned, coarser(turned.grid, SEARCH_MM))
    mask = _body(coarse.data)
    inside = coarse.data[mask]
    level = float(np.median(inside[inside >= np.median(inside)])) if inside.size else 0.0
    return Head(turned, coarse, mask, level)


def otsu(values: Array, highest: float) -> float:
    """Returns the threshold that splits values into two classes of least variance within each (Otsu 1979).

    Args:
        values: array of any shape; values outside 0 to `highest` count as the nearest of these.
        highest: upper end of the histogram, in the unit of `values`.
    """
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
    """Returns the mask (I, J, K) of the largest bright body in a coarse image of the same shape."""
    bright = float(np.percentile(data, _BRIGHT_PERCENTILE))
    threshold = min(otsu(data, bright), _MAX_THRESHOLD * bright)
    # the border voxels are repeated outside, so that opening and closing do not detach a truncated head from the border
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
