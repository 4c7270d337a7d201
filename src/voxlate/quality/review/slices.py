"""Slices of a scan as 8-bit pictures, by plane and number, for a person who grades it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from voxlate.errors import VoxlateError
from voxlate.preparation.content import content_hash
from voxlate.quality.head_mask import find_head
from voxlate.volume import Volume
from voxlate.web.png import encode
from voxlate.web.server.http_errors import HttpRefusal

AXES = {"sagittal": 0, "coronal": 1, "axial": 2}
WINDOWS = {"tissue": 1.0, "background": 8.0}
"""Gain of each window. Eight-fold makes noise and ghosts of some per cent of bright tissue visible; chosen by hand."""

_FIRST = (
    ("axial", 0.55, "tissue"), ("coronal", 0.5, "tissue"), ("sagittal", 0.5, "tissue"),
    ("axial", 0.35, "tissue"), ("axial", 0.75, "tissue"), ("axial", 0.55, "background"),
)  # fmt: skip
"""Plane, position as a share of the head, and window of each tile: those of `voxlate.quality.preview`."""

_WHITE = 2.0  # levels of bright tissue that are white, so that bright fat does not make the brain dark. Chosen by hand.
_TOP = 4.0  # brightest value that is kept, in units of white; brighter voxels are white in any window. Chosen by hand.
_STEPS = np.iinfo(np.uint16).max
_KEPT = 3
"""Scans kept in memory: the open one, the next one, which the page loads ahead, and the one before."""


class Plane(TypedDict):
    """A plane of a scan: the number of its slices, the size of one and the place of the head's middle."""

    count: int
    width_mm: float
    height_mm: float
    middle: int


class Tile(TypedDict):
    """What a tile of the page shows first; slices are counted from 1, from the left, from behind and from below."""

    plane: str
    number: int
    window: str


@dataclass(frozen=True)
class Slices:
    """The slices of one scan.

    Attributes:
        values: (I, J, K) in RAS+ order; 65535 is four times the value that the window `tissue` shows white.
        planes: by name.
        tiles: of the page.
    """

    values: NDArray[np.uint16]
    planes: dict[str, Plane]
    tiles: list[Tile]

    def picture(self, plane: str, number: int, window: str) -> NDArray[np.uint8]:
        """Returns one slice, (rows, columns) of grey levels, one pixel for each voxel.

        The patient's right is on the left of axial and coronal slices; anterior is on the right of sagittal ones.

        Args:
            plane: axial, coronal or sagittal.
            number: of the slice, from 1.
            window: of `WINDOWS`.

        Raises:
            HttpRefusal: 404 `SLICE` for a plane, a window or a number that the scan does not have.
        """
        if plane not in self.planes or window not in WINDOWS or not 1 <= number <= self.planes[plane]["count"]:
            raise HttpRefusal(404, "SLICE", "The scan has no such slice.")
        values = np.take(self.values, number - 1, axis=AXES[plane]).astype(np.float32)
        grey = np.clip(values * np.float32(WINDOWS[window] * _TOP / _STEPS), 0, 1) * 255
        turned = np.flipud(np.rint(grey).astype(np.uint8).T)
        return np.ascontiguousarray(turned if plane == "sagittal" else np.fliplr(turned))


def slices_of(volume: Volume) -> Slices:
    """Returns the slices of a scan.

    Args:
        volume: of any orientation.

    Raises:
        InputRefused: see `find_head`.
    """
    head = find_head(volume)
    bright = float(np.percentile(head.coarse.data[head.mask], 99)) if head.mask.any() else 1.0
    bright = max(min(bright, _WHITE * head.level), 1e-6)
    data, grid = head.volume.data, head.volume.grid
    values = np.rint(np.clip(data / np.float32(bright * _TOP), 0, 1) * _STEPS).astype(np.uint16)
    lowest, highest = (np.linalg.solve(grid.affine, [*corner, 1.0])[:3] for corner in head.corners_mm())

    def number(plane: str, share: float) -> int:
        axis = AXES[plane]
        place = lowest[axis] + share * (highest[axis] - lowest[axis])
        return int(np.clip(round(float(place)), 0, data.shape[axis] - 1)) + 1

    size_mm = [count * mm for count, mm in zip(grid.shape, grid.spacing_mm, strict=True)]
    planes: dict[str, Plane] = {}
    for plane, axis in AXES.items():
        width, height = (size_mm[other] for other in range(3) if other != axis)
        middle = number(plane, 0.5)
        planes[plane] = {"count": grid.shape[axis], "width_mm": width, "height_mm": height, "middle": middle}
    tiles: list[Tile] = [
        {"plane": plane, "number": number(plane, share), "window": window} for plane, share, window in _FIRST
    ]
    return Slices(values, planes, tiles)


class SliceStore:
    """Reads scans for the page and keeps the latest ones.

    Args:
        read: returns the scan of an item by its key, and the hash that its content had when it was graded.
    """

    def __init__(self, read: Callable[[str], tuple[Volume, str]]) -> None:
        self._read = read
        self._kept: OrderedDict[str, Slices] = OrderedDict()
        self._reading, self._looking = threading.Lock(), threading.Lock()

    def slices(self, key: str) -> Slices:
        """Returns the slices of a scan.

        Raises:
            HttpRefusal: 404 with the code of the reader when the scan cannot be read, `SCAN_CHANGED` when its voxels
                are not those that were graded.
        """
        kept = self._found(key)
        if kept is not None:  # without waiting for the scan that is read ahead
            return kept
        with self._reading:  # the requests of all tiles of a scan arrive together, and one of them reads it
            kept = self._found(key) or self._made(key)
            with self._looking:
                self._kept[key] = kept
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
        return kept

    def _found(self, key: str) -> Slices | None:
        with self._looking:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def picture(self, key: str, plane: str, number: int, window: str) -> bytes:
        """Returns one slice as a PNG file.

        Raises:
            HttpRefusal: see `slices` and `Slices.picture`.
        """
        return encode(self.slices(key).picture(plane, number, window))

    def _made(self, key: str) -> Slices:
        try:
            volume, content = self._read(key)
            if content_hash(volume) == content:
                return slices_of(volume)
        except HttpRefusal:
            raise
        except VoxlateError as error:  # its message may name files; the page gets the code alone
            raise HttpRefusal(404, error.code, "The scan cannot be read now. Its picture is shown.") from error
        raise HttpRefusal(404, "SCAN_CHANGED", "The scan is not the one that was graded. Its picture is shown.")
