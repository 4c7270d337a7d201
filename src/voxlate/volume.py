"""A volume is an array and the place of its voxels in the patient; nothing else travels with it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxlate.errors import InputRefused

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Affine = NDArray[np.float64]
Shape = tuple[int, int, int]

GRID_TOLERANCE_MM = 1e-3
"""Corners of two grids that differ by less than this are the same place."""


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a volume are.

    Attributes:
        shape: voxels along the three array axes.
        affine: (4, 4), voxel index (i, j, k, 1) to millimetres right, anterior, superior (RAS+).
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
        """Returns the distance between neighbouring voxels along each array axis."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])

    @property
    def voxel_volume_mm3(self) -> float:
        """Returns the volume of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def orientation(self) -> str:
        """Returns the nearest anatomical code of the array axes, for example `RAS`."""
        from nibabel.orientations import aff2axcodes

        return "".join(str(code) for code in aff2axcodes(self.affine))

    def corners_mm(self) -> Affine:
        """Returns the (8, 3) centres of the corner voxels."""
        ends = [(0, n - 1) for n in self.shape]
        return self.to_mm(np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3))

    def to_mm(self, index: ArrayLike) -> Affine:
        """Returns the places, (..., 3) in RAS+ millimetres, of voxel indices (..., 3), which may lie between voxels."""
        return np.asarray(np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3])

    def part(self, start: ArrayLike, shape: Shape) -> Grid:
        """Returns a grid of the same voxels that begins at voxel `start`, which may lie outside."""
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ np.asarray(start, dtype=np.float64)
        return Grid(shape, affine)

    def matches(self, other: Grid, tolerance_mm: float = GRID_TOLERANCE_MM) -> bool:
        """Tells whether both grids have the same shape and the same corners, in the same axis order."""
        if self.shape != other.shape:
            return False
        return bool(np.abs(self.corners_mm() - other.corners_mm()).max() <= tolerance_mm)


@dataclass(frozen=True)
class Volume:
    """A scan of three dimensions in memory.

    Attributes:
        data: (i, j, k), float32, read-only.
        affine: (4, 4), voxel index to RAS+ millimetres.
        shows: what it shows, in the field's words: `T1ce`, `T1nce`, `mask`; empty when unknown.
        stored_dtype: the type of the voxels in the file it came from; a hint for writing.
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
        """Returns where the voxels are."""
        return Grid(self.data.shape, self.affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Returns the distance between neighbouring voxels along each array axis."""
        return self.grid.spacing_mm

    def with_data(self, data: ArrayLike, *, shows: str | None = None) -> Volume:
        """Returns a volume on the same grid that holds `data` instead."""
        array = np.asarray(data, dtype=np.float32)
        if array.shape != self.data.shape:
            raise ValueError(f"data of shape {array.shape} does not fit the grid {self.data.shape}")
        return replace(self, data=array, shows=self.shows if shows is None else shows)


def require_same_grid(first: Volume, second: Volume, *, names: tuple[str, str]) -> None:
    """Refuses two volumes whose voxels are not at the same places.

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
