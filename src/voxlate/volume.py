"""`Volume`, an array of voxels with its affine, `Grid`, the position of the voxels in the patient, and masks.

All world coordinates are in millimetres, RAS+ (right, anterior, superior are positive), as in NIfTI.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxlate.errors import InputRefused

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Affine = NDArray[np.float64]
Shape = tuple[int, int, int]

GRID_TOLERANCE_MM = 1e-3
"""Two grids are equal when their corners differ by less than this: far below any voxel size, and above the rounding
of affines that are stored as float32."""


@dataclass(frozen=True)
class Grid:
    """Shape and affine of a volume.

    Attributes:
        shape: number of voxels along the three array axes.
        affine: (4, 4), maps a voxel index (i, j, k, 1) to RAS+ millimetres; read-only.
    """

    shape: Shape
    affine: Affine = field(repr=False)

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise InputRefused("AFFINE", f"an affine must be 4 x 4 and finite, this one is {affine.tolist()}")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise InputRefused("AFFINE", "the affine is singular: a voxel would have no volume")
        affine.flags.writeable = False
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Returns the voxel size along each array axis, in millimetres."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])

    @property
    def voxel_volume_mm3(self) -> float:
        """Returns the volume of one voxel, in cubic millimetres."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def volume_cm3(self, mask: Mask) -> float:
        """Returns the volume of a mask, (i, j, k) on this grid, in cubic centimetres."""
        return float(mask.sum()) * self.voxel_volume_mm3 / 1000

    @property
    def orientation(self) -> str:
        """Returns the closest anatomical orientation of the array axes, for example `RAS`."""
        from nibabel.orientations import aff2axcodes

        return "".join(str(code) for code in aff2axcodes(self.affine))

    def corners_mm(self) -> Affine:
        """Returns the centres of the eight corner voxels, (8, 3), in RAS+ millimetres."""
        ends = [(0, n - 1) for n in self.shape]
        return self.to_mm(np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3))

    def to_mm(self, index: ArrayLike) -> Affine:
        """Converts voxel indices, (..., 3) and not necessarily whole, to RAS+ millimetres, (..., 3)."""
        return np.asarray(np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_index(self, points_mm: ArrayLike) -> Affine:
        """Converts RAS+ millimetres, (..., 3), to voxel indices, (..., 3), which are not rounded."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(np.asarray(points_mm, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3])

    def part(self, start: ArrayLike, shape: Shape) -> Grid:
        """Returns the grid of a box of this grid.

        Args:
            start: (3,), index of the first voxel; the box may reach outside.
            shape: of the box, in voxels.
        """
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ np.asarray(start, dtype=np.float64)
        return Grid(shape, affine)

    def matches(self, other: Grid, tolerance_mm: float = GRID_TOLERANCE_MM) -> bool:
        """Returns whether both grids have the same shape, axis order and corners (within `tolerance_mm`)."""
        if self.shape != other.shape:
            return False
        return bool(np.abs(self.corners_mm() - other.corners_mm()).max() <= tolerance_mm)


@dataclass(frozen=True)
class Volume:
    """A three-dimensional scan in memory.

    Attributes:
        data: (i, j, k), float32, read-only.
        affine: (4, 4), maps a voxel index to RAS+ millimetres.
        shows: the contrast, for example `T1ce`, `T1nce`, `CT`, or `mask`; empty when unknown.
        stored_dtype: data type of the voxels in the source file, used as the default when writing.

    Raises:
        InputRefused: `DIMENSIONS` when `data` is not three-dimensional or is empty; `AFFINE` when the affine is not
            finite or is singular.
    """

    data: Array = field(repr=False)
    affine: Affine = field(repr=False)
    shows: str = ""
    stored_dtype: str = "float32"

    def __post_init__(self) -> None:
        data = np.asarray(self.data, dtype=np.float32)
        if data.ndim != 3 or 0 in data.shape:
            raise InputRefused("DIMENSIONS", f"a volume has three dimensions of at least one voxel, not {data.shape}")
        data = data.view()
        data.flags.writeable = False
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "affine", Grid(data.shape, self.affine).affine)

    @property
    def grid(self) -> Grid:
        """Returns the grid: shape and affine."""
        return Grid(self.data.shape, self.affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Returns the voxel size along each array axis, in millimetres."""
        return self.grid.spacing_mm

    def with_data(self, data: ArrayLike, *, shows: str | None = None) -> Volume:
        """Returns a volume on the same grid with other voxel values.

        Args:
            data: same shape as this volume.
            shows: contrast of the new volume; unchanged by default.

        Raises:
            ValueError: the shape differs.
        """
        array = np.asarray(data, dtype=np.float32)
        if array.shape != self.data.shape:
            raise ValueError(f"data of shape {array.shape} does not fit the grid {self.data.shape}")
        return replace(self, data=array, shows=self.shows if shows is None else shows)


def box_of(mask: Mask, margin: int | Sequence[int] = 0) -> tuple[slice, ...]:
    """Returns the smallest box that contains a mask, as one slice per axis.

    Args:
        mask: of any shape, not empty.
        margin: voxels by which the box is grown on each side, along all axes or one per axis; it ends at the edge of
            the image.
    """
    margins = (margin,) * mask.ndim if isinstance(margin, int) else margin
    box = []
    for axis, (size, reach) in enumerate(zip(mask.shape, margins, strict=True)):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        index = np.flatnonzero(mask.any(axis=others))
        box.append(slice(max(int(index[0]) - reach, 0), min(int(index[-1]) + 1 + reach, size)))
    return tuple(box)


def require_same_grid(first: Volume, second: Volume, *, names: tuple[str, str]) -> None:
    """Raises an error unless two volumes lie on the same grid.

    Args:
        first: a volume.
        second: another volume.
        names: of both, for the message.

    Raises:
        InputRefused: `GRID_MISMATCH`, with both shapes and the largest distance between corners.
    """
    if first.grid.matches(second.grid):
        return
    detail = f"shapes {first.data.shape} and {second.data.shape}"
    if first.data.shape == second.data.shape:
        distance_mm = np.abs(first.grid.corners_mm() - second.grid.corners_mm()).max()
        detail = f"their corners are up to {distance_mm:.3g} mm apart"
    raise InputRefused("GRID_MISMATCH", f"{names[0]} and {names[1]} lie on different grids: {detail}; register them")


def require_several_slices(volume: Volume, name: str) -> None:
    """Raises an error for a single slice, whichever its axis.

    Args:
        volume: a volume.
        name: of the volume, for the message.

    Raises:
        InputRefused: `TOO_FEW_SLICES`, with the shape.
    """
    if 1 in volume.data.shape:
        shape = " x ".join(map(str, volume.data.shape))
        raise InputRefused("TOO_FEW_SLICES", f"{name} has one slice ({shape}); give the whole volume")
