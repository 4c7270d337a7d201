"""Connected components of a mask, with size, position and values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from voxlate.volume import Mask

SIZES_MM = (5.0, 10.0)
"""Bounds of the size classes: diameters of a sphere of the same volume. Chosen by hand."""

_TOUCHING = np.ones((3, 3, 3), dtype=np.bool_)  # voxels that share a corner are connected (26 neighbours)


@dataclass(frozen=True)
class Component:
    """One connected component.

    Attributes:
        number: rank by volume, 1 is the largest.
        box: smallest box around it, one slice per axis of the mask.
        inside: voxels of the component, of the shape of the box.
        volume_mm3: volume.
    """

    number: int
    box: tuple[slice, ...]
    inside: Mask
    volume_mm3: float

    @property
    def diameter_mm(self) -> float:
        """Returns the diameter of the sphere of the same volume."""
        return float((6 * self.volume_mm3 / np.pi) ** (1 / 3))

    @property
    def size_class(self) -> str:
        """Returns `<5 mm`, `5-10 mm` or `>10 mm`."""
        small, large = SIZES_MM
        if self.diameter_mm < small:
            return f"<{small:g} mm"
        return f"{small:g}-{large:g} mm" if self.diameter_mm <= large else f">{large:g} mm"

    def values(self, image: NDArray[np.float32]) -> NDArray[np.float64]:
        """Returns the values of an image (i, j, k) in the component, a vector."""
        return image[self.box][self.inside].astype(np.float64)

    def centre(self) -> tuple[int, int, int]:
        """Returns the index of the voxel of the component that is nearest to its centre of mass."""
        index = np.argwhere(self.inside)
        nearest = index[np.square(index - index.mean(axis=0)).sum(axis=1).argmin()]
        i, j, k = (int(part.start + offset) for part, offset in zip(self.box, nearest, strict=True))
        return i, j, k


def components(mask: Mask, *, voxel_mm3: float, least_mm3: float = 0.0) -> Iterator[Component]:
    """Yields the connected components of a mask, the largest first.

    Args:
        mask: (i, j, k).
        voxel_mm3: volume of a voxel.
        least_mm3: smaller components are left out.
    """
    labels, count = ndimage.label(mask, structure=_TOUCHING)
    boxes = ndimage.find_objects(labels)
    volumes = np.bincount(labels.ravel(), minlength=count + 1)[1:] * voxel_mm3
    order = [int(index) for index in np.argsort(-volumes, kind="stable") if volumes[index] >= least_mm3]
    for number, index in enumerate(order, start=1):
        box = boxes[index]
        yield Component(number, box, labels[box] == index + 1, float(volumes[index]))
